# SPDX-License-Identifier: Apache-2.0
"""Row 10: Kafka's own load tools at a real cluster of Kafka 2.8.2 and 3.9.2, through Setu and without it.

Every partition has replicas on all three brokers, two of the legacy generation and one of Ajna. No client can log in to both
generations by itself, so what is direct depends on who leads:

    legacy   partitions led by the two legacy brokers; direct is the same SCRAM login at their SASL_PLAINTEXT listeners
    ajna     partitions led by the Ajna broker; direct is the service's certificate at its mTLS listener
    mixed    partitions led by all three; direct is plaintext without any login, which spares client and brokers all work
             of security, so its ratio is that of Setu and security together: told, but without a goal

Through Setu it is always one SCRAM login over plaintext. Brokers, tools and Setu share all processors.
"""

import dataclasses
import itertools
import os
import sys

from tests.bench import lines, measure, perf_tool
from tests.rig import clients, paths
from tests.rig.cluster import Cluster
from tests.rig.setu import Setu

NAME = "cluster"
ROWS = (10,)
THROUGHPUT, LATENCY = 0.95, 1.10
USER = "orders"
PRODUCER = {"linger.ms": "5", "batch.size": "131072", "buffer.memory": "67108864", "compression.type": "none",
            "enable.idempotence": "false"}
# What is written is of no use later: no partition keeps more than a few segments.
WRITTEN = {"retention_bytes": 128 << 20, "segment_bytes": 64 << 20, "file_delete_delay_ms": 1000}
BROKER = {"log_retention_check_interval_ms": 3000, "log_initial_task_delay_ms": 3000}
WARMUP_RECORDS = 400_000
OFFSETS_PARTITIONS = 6
# Seconds of a run, and rounds.
FULL, QUICK = (6, 7), (3, 5)


@dataclasses.dataclass(frozen=True)
class Scene:
    name: str
    leaders: tuple
    with_goal: bool

    def partitions(self) -> list[int]:
        return list(itertools.islice(itertools.cycle(self.leaders), 6))


SCENES = (Scene("legacy", (1, 2), True), Scene("ajna", (3,), True), Scene("mixed", (1, 2, 3), False))


@dataclasses.dataclass
class Way:
    """`prefix`: how topics and groups must begin that this login may use."""
    name: str
    login: clients.Login
    tools: perf_tool.Tools
    prefix: str = USER


def missing() -> str | None:
    try:
        paths.classpath(paths.LEGACY)
    except paths.Missing as why:
        return str(why)
    return perf_tool.missing()


def run(stage, options, chooser) -> list[dict]:
    why = missing()
    if why:
        print(f"SKIPPED: {NAME}: {why}", file=sys.stderr)
        return [lines.skipped_line(10, text, goal, why) for text, goal in
                (("throughput ÷ direct", THROUGHPUT), ("p99 at 50 % of saturation ÷ direct", LATENCY))]
    seconds, rounds = QUICK if options.quick else FULL
    found = []
    with Cluster(directory=stage.directory / "rig", **BROKER) as cluster, \
            Setu(cluster, binary=options.build / "proxy/setu", log_level="warn") as setu:
        for scene in SCENES:
            if scene.with_goal or not options.quick:
                print(f"{scene.name} ", end="", file=sys.stderr, flush=True)
                found += Play(stage, cluster, setu, scene, seconds).judge(rounds, chooser)
                print(f" {rounds} rounds", file=sys.stderr)
    return found


def coordinator(cluster: Cluster, group: str) -> int:
    """The broker that keeps the offsets of this group: clients of one generation reach no other."""
    number = 0
    for character in group:
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    return cluster.leaders("__consumer_offsets")[(number & 0x7FFFFFFF) % OFFSETS_PARTITIONS]


class Play:
    """One scene: its topics, its two ways, and what is measured on them."""

    def __init__(self, stage, cluster: Cluster, setu: Setu, scene: Scene, seconds: float):
        self.cluster, self.scene, self.seconds = cluster, scene, seconds
        self.numbers, self.errors = itertools.count(), []
        self.watched = {"setu": setu.process.pid}
        self.watched |= {f"broker {n}": node.process.pid for n, node in cluster.nodes.items()}
        direct = {"legacy": lambda: cluster.login_sasl(USER), "ajna": lambda: cluster.login_certificate(USER),
                  "mixed": cluster.login_direct}[scene.name]()
        self.ways = [
            Way("setu", setu.login(USER), perf_tool.Tools(stage.processes, f"{scene.name}-setu")),
            Way("direct", direct, perf_tool.Tools(stage.processes, f"{scene.name}-direct"),
                "direct" if scene.name == "mixed" else USER)]
        for prefix in {way.prefix for way in self.ways}:
            cluster.create_topic(f"{prefix}-{scene.name}-write", leaders=scene.partitions(), **WRITTEN)
            cluster.create_topic(f"{prefix}-{scene.name}-read", leaders=scene.partitions())
        self.speed = self._warm_up()

    # --- runs ---

    def produce(self, way: Way, records: int, acks: str, throughput: int = -1, topic: str = "write") -> dict:
        os.sync()  # what the run before left to be written must not slow this one
        ran = way.tools.produce(way.login, f"{way.prefix}-{self.scene.name}-{topic}", records, PRODUCER | {"acks": acks},
                                throughput=throughput, watched=self.watched)
        return self._figures(way, ran) | {"p50_ms": ran.p50_ms, "p99_ms": ran.p99_ms}

    def consume(self, way: Way, records: int) -> dict:
        ran = way.tools.consume(way.login, f"{way.prefix}-{self.scene.name}-read", records, self._group(way), {},
                                watched=self.watched)
        return self._figures(way, ran)

    def _group(self, way: Way) -> str:
        names = (f"{way.prefix}-{self.scene.name}-{way.name}-{n}" for n in self.numbers)
        return next(name for name in names if coordinator(self.cluster, name) in self.scene.leaders)

    def _figures(self, way: Way, ran: perf_tool.Ran) -> dict:
        if way.name == "setu":  # on the direct way a client also tries brokers of the other generation, and says so
            self.errors += ran.errors
        busy = {f"busy {who}": share for who, share in ran.busy.items() if who != "setu" or way.name == "setu"}
        found = {"records_per_s": ran.records_per_s, "mb_per_s": ran.mb_per_s, **busy,
                 "busy machine": ran.machine_busy, "steal": ran.steal, "foreign": ran.foreign}
        if way.name == "setu":
            found["cpu_s_per_gb"] = ran.cpu_s["setu"] / (ran.records * perf_tool.RECORD_BYTES / 1e9)
        return found

    # --- what is measured ---

    def _warm_up(self) -> dict[str, float]:
        """Both ways of both tools twice, so that nobody's compiler is measured, and their speed."""
        for way in self.ways:
            self.produce(way, WARMUP_RECORDS, "1", topic="read")
        self._offsets_exist()
        speed = {}
        for _, way in itertools.product(range(2), self.ways):
            found = {acks: self.produce(way, WARMUP_RECORDS, acks) for acks in ("1", "all")}
            found["read"] = self.consume(way, WARMUP_RECORDS)
            speed = {key: max(speed.get(key, 0), figures["records_per_s"]) for key, figures in found.items()}
        # A read must find as much as it takes for its time; a topic that both ways write has the first of it twice.
        more = int(speed["read"] * self.seconds)
        for way in {way.prefix: way for way in self.ways}.values():
            self.produce(way, more, "1", topic="read")
        return speed | {"read": more + WARMUP_RECORDS}

    def _offsets_exist(self) -> None:
        """The first group of all makes the brokers create the topic of offsets."""
        way = self.ways[0]
        way.tools.consume(way.login, f"{way.prefix}-{self.scene.name}-read", 1000, f"{way.prefix}-first", {})

    def measures(self):
        """(text, run of a way → figures, key, goal, at least)"""
        for acks in ("all", "1"):
            records = int(self.speed[acks] * self.seconds)
            yield (f"produce, acks={acks}: records/s", lambda way: self.produce(way, records, acks), "records_per_s",
                   THROUGHPUT, True)
        yield ("consume: records/s", lambda way: self.consume(way, self.speed["read"]), "records_per_s", THROUGHPUT, True)
        half = int(self.saturation / 2)
        yield (f"produce, acks=all, {half} records/s: p99 ms",
               lambda way: self.produce(way, int(half * self.seconds), "all", half), "p99_ms", LATENCY, False)

    def judge(self, rounds: int, chooser) -> list[dict]:
        found = []
        self.saturation = self.speed["all"]
        for text, run_one, key, goal, at_least in self.measures():
            done, dropped = measure.interleave(self.ways, rounds, run_one, chooser)
            own = measure.medians(done)
            if text.startswith("produce, acks=all: "):
                self.saturation = own["direct"]["records_per_s"]
            values = measure.ratios(done, "setu", "direct", key)
            found.append(lines.goal_line(10, f"{self.scene.name}: {text}, Setu ÷ direct", values,
                                         goal if self.scene.with_goal else None, at_least, own, dropped=dropped,
                                         errors=len(self.errors)))
        for error in self.errors[:10]:
            print(f"{NAME}: {error}", file=sys.stderr)
        for way in self.ways:
            way.tools.close()
        return found
