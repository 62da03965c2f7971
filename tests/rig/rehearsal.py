# SPDX-License-Identifier: Apache-2.0
"""The migration, rehearsed: three brokers of the legacy generation become Ajna one by one, under load, through Setu.

Each node is stopped, keeps its name, ports and log directory, and comes back as another version that accepts nothing
but certificates. Then the inter-broker protocol is raised by a rolling restart. Clients write and read all the time. At
the end every record is accounted for.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import threading
import time

from tests.rig import census, cluster as cluster_module, node, paths, process, segment, verdict
from tests.rig.cluster import Cluster
from tests.rig.players import Part, Player, Players
from tests.rig.setu import Setu, hear_out
from tests.rig.teller import Teller

RATE = 250                 # records per second of one writer
SOAK_S = 10                # load between one node and the next; a quarter of it while the protocol is raised
TELL_EACH_S = 4
# A follower that fetches once more while it shuts down is back in the ISR, and acknowledgements wait for it this long.
LAG_MS = 10000
PROTOCOLS = ("2.8", "3.9")  # inter.broker.protocol.version before and after
ARCHIVE, ARCHIVE_RECORDS, ARCHIVE_BATCH = "orders-archive", 1500, 20
LIVE = {census.IDEMPOTENT: ("orders-idempotent", 6), census.TRANSACTIONAL: ("orders-transactional", 6),
        census.PLAIN: ("orders-plain", 3)}
DAMAGED_NODE = 1
BETWEEN_BROKERS = ("Fetch", "LeaderAndIsr", "UpdateMetadata", "StopReplica", "ControlledShutdown", "AlterPartition",
                   "WriteTxnMarkers")
BROKERS = "brokers to each other"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/demo --migrate", description=__doc__)
    parser.add_argument("--migrate", action="store_true", help=argparse.SUPPRESS)  # that we are here says so already
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write steps, verdict and counts to FILE")
    parser.add_argument("--rate", type=int, default=RATE, metavar="N",
                        help=f"records a second that each of five clients writes (default: {RATE})")
    parser.add_argument("--soak", type=float, default=SOAK_S, metavar="S",
                        help=f"seconds of load after each node (default: {SOAK_S})")
    damage = parser.add_mutually_exclusive_group()
    for name, text in (("lose", "cut a batch out of"), ("duplicate", "put a batch twice into"),
                       ("alter", "change a batch in")):
        damage.add_argument(f"--{name}", dest="damage", action="store_const", const=name,
                            help=f"{text} the log of node {DAMAGED_NODE} while it is stopped: it must be found")
    return parser.parse_args(argv)


class Watch(threading.Thread):
    """A line every few seconds: how fast, what errors, how complete the replicas are."""

    def __init__(self, cluster: Cluster, players: Players, tell: Teller):
        super().__init__(daemon=True)
        self.cluster, self.players, self.tell = cluster, players, tell
        self._ending = threading.Event()

    def run(self) -> None:
        acked, read, at = 0, 0, time.monotonic()
        while not self._ending.wait(TELL_EACH_S):
            self.players.look()
            now, acked_now, read_now = time.monotonic(), self.players.acknowledged(), self.players.read()
            state, seconds = self.cluster.replicas(), now - at
            self.tell(f"   {(acked_now - acked) / seconds:>6,.0f} records/s written, "
                      f"{(read_now - read) / seconds:>6,.0f} read; {self.players.errors()} errors; replicas complete {state.complete}/{state.partitions}, "
                      f"led {state.led}/{state.partitions}")
            acked, read, at = acked_now, read_now, now

    def stop(self) -> None:
        self._ending.set()
        if self.is_alive():
            self.join()


class Rehearsal:
    def __init__(self, options: argparse.Namespace, cluster: Cluster, setu: Setu, tell: Teller):
        self.options, self.cluster, self.setu, self.tell = options, cluster, setu, tell
        self.players = Players()
        self.steps: list[dict] = []
        self.planted: verdict.Planted | None = None
        self.readings: list[verdict.Reading] = []
        self.ledger: dict | None = None
        self.setu_said: dict = {}
        self.bridge_said: dict = {}

    @contextlib.contextmanager
    def step(self, name: str):
        row = {"name": name, "started_s": round(self.tell.elapsed_s, 1), "seconds": 0.0, "ok": False}
        self.steps.append(row)
        self.tell.head(name)
        began, acked = self.tell.elapsed_s, self.players.look().acknowledged()
        try:
            yield row
            row["ok"] = True
        finally:
            seconds, written = self.tell.elapsed_s - began, self.players.look().acknowledged() - acked
            state = self.cluster.replicas()
            row |= {"seconds": round(seconds, 1), "written": written, "errors": self.players.errors(),
                    "replicas_complete": state.complete, "partitions": state.partitions}
            self.tell(f"   {'done' if row['ok'] else 'FAILED'} in {seconds:.1f} s; {written:,} records written "
                      f"meanwhile, {row['errors']} errors, replicas complete {state.complete}/{state.partitions}")

    # --- clients ---

    def play(self, part: Part, login=None) -> Player:
        return Player(part, login or self.setu.login("orders"), self.cluster.directory)

    def writer(self, name: str, role: str, kind: str, version: str | None = None) -> Player:
        topic, partitions = LIVE[kind]
        return self.play(Part(name, role, version, (topic,), kind, partitions, self.options.rate))

    def start_clients(self) -> None:
        live = tuple(topic for topic, _ in LIVE.values())
        self.players.add(
            self.play(Part("librdkafka-archive", "write", None, (ARCHIVE,), census.IDEMPOTENT, 3, 2000,
                           ARCHIVE_RECORDS, settings={"batch.num.messages": str(ARCHIVE_BATCH)})),
            self.play(Part("java-reader", "read", paths.AJNA, live)),
            self.play(Part("librdkafka-reader", "read", None, live)),
            self.writer("java-idempotent", "write", census.IDEMPOTENT, paths.LEGACY),
            self.writer("java-transactional", "transact", census.TRANSACTIONAL, paths.AJNA),
            self.writer("librdkafka-idempotent", "write", census.IDEMPOTENT),
            self.writer("librdkafka-transactional", "transact", census.TRANSACTIONAL),
            self.writer("librdkafka-plain", "write", census.PLAIN))
        self.players.wait_further("at the start", 90)
        archive = self.players.all[0]
        process.wait_until(lambda: archive.look().done, 120, "the archive is written")

    def soak(self, seconds: float) -> None:
        self.players.wait_further("under load")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.players.check()
            self.setu.process.check()
            self.cluster.bridge.process.check()
            time.sleep(0.2)

    # --- nodes ---

    def topics(self) -> None:
        for topic, partitions in LIVE.values():
            self.cluster.create_topic(topic, partitions=partitions)
        # A batch behind the last one stays only where there is no other replica to know better.
        replicas = 1 if self.options.damage == "duplicate" else 3
        self.cluster.create_topic(ARCHIVE, partitions=3, replicas=replicas, leaders=[DAMAGED_NODE, 2, 3],
                                  min_insync_replicas=min(2, replicas))

    def damage(self, node_id: int) -> None:
        """On the disk of a stopped node, as a bad copy would do it; no checksum of Kafka's tells."""
        file = self.cluster.nodes[node_id].directory / "data" / f"{ARCHIVE}-0" / f"{0:020}.log"
        batch = segment.DAMAGES[self.options.damage](file)
        self.planted = verdict.Planted(self.options.damage, ARCHIVE, 0, batch.base_offset, batch.records)
        if self.options.damage == "alter":
            self.planted.records = 1
        self.tell(f"   DAMAGE on purpose: {self.options.damage} the batch of {batch.records} records at offset "
                  f"{batch.base_offset} of {ARCHIVE}-0")

    def describe(self, node_id: int) -> str:
        broker = self.cluster.nodes[node_id]
        way = "SASL" if broker.generation == "legacy" else "certificates"
        return f"Kafka {broker.version}, {way}, protocol {broker.protocol_version}"

    def restart(self, node_id: int, protocol: str, soak_s: float) -> None:
        """Stops a node and brings it back as Ajna with this inter-broker protocol; all under load."""
        with self.step(f"node {node_id}: stopping {self.describe(node_id)}; its log directory stays"):
            self.cluster.stop(node_id)
            if self.options.damage and node_id == DAMAGED_NODE and not self.planted:
                self.damage(node_id)
        self.cluster.become(node_id, paths.AJNA, "ajna", protocol)
        with self.step(f"node {node_id}: starting {self.describe(node_id)}"):
            self.cluster.start_node(node_id)
        with self.step(f"node {node_id}: waiting until all replicas are in sync, then its leaderships back") as row:
            self.cluster.wait_replicas()
            self.cluster.elect_preferred()
            row["leaders"] = self.leaders()
        with self.step(f"{self.generations()}: load goes on") as row:
            self.soak(soak_s)
            row["leaders"] = self.leaders()

    def generations(self) -> str:
        count = collections.Counter(b.generation for b in self.cluster.nodes.values())
        return " and ".join(f"{n} {name}" for name, n in sorted(count.items(), reverse=True))

    def leaders(self) -> dict[str, int]:
        """Partitions of the clients' topics that each generation leads."""
        found = collections.Counter()
        for topic, _ in LIVE.values():
            for leader in self.cluster.leaders(topic):
                found[self.cluster.nodes[leader].generation if leader in self.cluster.nodes else "none"] += 1
        self.tell("   leaders: " + ", ".join(f"{n} partitions on {name}" for name, n in sorted(found.items())))
        return dict(found)

    def migrate(self) -> None:
        with self.step("clients start; load on legacy brokers only"):
            self.start_clients()
            self.cluster.wait_replicas()
            self.soak(self.options.soak)
        for node_id in self.cluster.nodes:
            self.restart(node_id, PROTOCOLS[0], self.options.soak)
        self.tell.head(f"all nodes are Ajna: raising inter.broker.protocol.version to {PROTOCOLS[1]}")
        for node_id in self.cluster.nodes:
            self.restart(node_id, PROTOCOLS[1], self.options.soak / 4)

    # --- the end ---

    def finish_clients(self) -> None:
        with self.step("clients end: no more records, every answer awaited, readers read on to the end"):
            for group in (self.players.writers, self.players.readers):
                for player in group:
                    player.end()
                for player in group:
                    player.finish()

    def read_back(self) -> None:
        everything = (*(topic for topic, _ in LIVE.values()), ARCHIVE)
        ways = ((Part("direct", "read-all", None, everything), self.cluster.login_certificate("orders"),
                 "from the brokers, not through Setu, committed"),
                (Part("direct-uncommitted", "read-all", None, everything, isolation="read_uncommitted"),
                 self.cluster.login_certificate("orders"), "from the brokers, aborted transactions too"),
                (Part("late-reader", "read-all", None, everything), None, "through Setu, after the migration"))
        with self.step("reading all of it back, from the brokers and through Setu"):
            late = [(self.play(part, login), way) for part, login, way in ways]
            for player, _ in late:
                player.finish()
                if player.fatal or not player.done:
                    raise process.ProcessFailed(f"{player.name}: {player.fatal}\n{process.tail(player.process.log)}")
        with self.step("counting every record by its contents"):
            claims = [p.claims for p in self.players.writers]
            for player, way in late:
                self.count(player, way, claims)
            for player in self.players.readers:
                self.count(player, "through Setu, all the time", [c for c in claims if c.topic != ARCHIVE])

    def count(self, player: Player, way: str, claims: list[census.Claims]) -> None:
        uncommitted = player.part.isolation == "read_uncommitted"
        found = census.count(claims, player.records(), uncommitted)
        self.readings.append(verdict.Reading(player.name, way, found))
        self.tell(f"   {player.name}: {found.read:,} records, "
                  f"{', '.join(f'{getattr(found, word)} {word}' for word in verdict.WORDS)}")

    # --- what came of it ---

    def identities(self) -> dict[str, list[str]]:
        """As whom the brokers' own authorizers saw those who wrote (topic → principals), and each other."""
        topics = [topic for topic, _ in LIVE.values()] + [ARCHIVE]
        rows = [row for row in self.cluster.seen() if row.allowed]
        found = {topic: sorted({row.principal for row in rows if row.resource == topic and row.operation == "write"})
                 for topic in topics}
        return found | {BROKERS: sorted({row.principal for row in rows if row.operation == "clusteraction"})}

    def judge_ledger(self) -> None:
        """What Setu itself has noted of all batches, judged by its own verb once it has ended."""
        with self.step("setu ends; `setu ledger verify` on what it has noted"):
            self.setu_said, self.bridge_said = self.of_setu(), self.of_bridge()
            status = self.setu.stop()
            if status != 0:
                raise process.ProcessFailed(f"setu ended with {status}:\n{process.tail(self.setu.log)}")
            if not self.setu.ledger:
                return
            done = subprocess.run([self.setu.binary, "ledger", "verify", self.setu.ledger, "-o", "json"],
                                  capture_output=True, text=True, timeout=300)
            if done.returncode not in (0, 1):
                raise process.ProcessFailed(f"setu ledger verify ended with {done.returncode}: {done.stderr}")
            self.ledger = json.loads(done.stdout)

    @staticmethod
    def of_process(which) -> dict:
        """What a Setu used, and why its connections ended."""
        hear_out(which.process)
        text = which.log.read_text(errors="replace")
        return {"cpu_s": round(which.process.cpu_s(), 2), "rss_peak_bytes": which.process.rss_peak_bytes(),
                "sessions_ended": dict(collections.Counter(re.findall(r"event=session_closed .*? reason=(\w+)", text)))}

    def of_setu(self) -> dict:
        flips = re.findall(r"event=generation_flipped .*?node=(\d+)", self.setu.said())
        return self.of_process(self.setu) | {"generation_flips": [int(n) for n in flips]}

    def of_bridge(self) -> dict:
        """What went from broker to broker, by the bridge's own counters."""
        counted = dict(re.findall(r"^setu_(\S+) (\d+)$", self.cluster.bridge.stats.read_text(), re.M))
        asked = {name: int(counted.get(f'requests_total{{api="{name}"}}', 0)) for name in BETWEEN_BROKERS}
        return self.of_process(self.cluster.bridge) | {
            "requests": asked, "batches_replicated": int(counted.get('batches_total{direction="fetch"}', 0)),
            "batches_with_bad_checksum": int(counted.get('batch_crc_errors_total{direction="fetch"}', 0))}

    def failed(self, error: Exception) -> None:
        self.tell(f"   {error}")
        if not any(not step["ok"] for step in self.steps):
            self.steps.append({"name": str(error).splitlines()[0], "started_s": round(self.tell.elapsed_s, 1),
                               "seconds": 0.0, "ok": False})

    def report(self) -> dict:
        clients = [player.report() for player in self.players.all]
        problems = verdict.problems(self.steps, self.readings, clients, self.planted)
        report = {"steps": self.steps, "verdict": None, "verdict_by": None, "independent_count": None,
                  "clients": clients, "setu": self.setu_said, "bridge": self.bridge_said}
        if self.readings:
            count = self.readings[0].count
            report["independent_count"] = verdict.independent(self.readings)
            report |= verdict.by(self.ledger, count)
            if self.ledger:
                problems += verdict.ledger_problems(self.ledger, count, self.planted)
            report["identities"] = self.identities()
            problems += [f"{what}: seen as {', '.join(who) or 'nobody'}" for what, who in report["identities"].items()
                         if who != [f"User:{node.REPLICATOR if what == BROKERS else 'orders'}"]]
        if self.planted:
            report["planted"] = self.planted.report() | {
                "named_by_count": bool(self.readings) and verdict.named(self.planted, self.readings),
                "named_by_ledger": verdict.named_by_ledger(self.planted, self.ledger) if self.ledger else None}
        report |= {"seconds": round(self.tell.elapsed_s, 1), "ok": not problems, "problems": problems}
        return report

    def tell_verdict(self, report: dict) -> None:
        self.tell.head("Verdict")
        for line in verdict.table(self.readings, report["clients"]):
            self.tell(f"   {line}")
        for reading in self.readings[:1]:
            for finding in [f for f in reading.count.findings if not f["kind"].endswith("_plain")][:10]:
                self.tell(f"   {finding['kind']}: {finding['text']}")
        self.tell("")
        if self.readings:
            kinds = collections.Counter()
            for player in self.players.writers:
                kinds[player.part.kind] += player.progress
            for line in verdict.claims_text(self.readings[0].count, kinds):
                self.tell(f"   {line}")
            words = ", ".join(f"{n} {word.replace('_', ' ')}" for word, n in report["verdict"].items())
            self.tell(f"   verdict: {words} ({report['verdict_by']})")
        for finding in (self.ledger or {}).get("findings", [])[:10]:
            self.tell(f"   ledger: {finding['kind']}: {finding['topic']}-{finding['partition']} at offset "
                      f"{finding['offset']}: {finding['text']}")
        if self.setu_said:
            said = self.setu_said
            bridge = self.bridge_said
            self.tell(f"   bridge: {bridge['batches_replicated']:,} batches replicated, "
                      f"{bridge['batches_with_bad_checksum']} bad checksums; "
                      + ", ".join(f"{n:,} {name}" for name, n in bridge["requests"].items() if name != "Fetch"))
            self.tell(f"   setu: {said['cpu_s']} s of CPU time, {said['rss_peak_bytes'] / 2**20:.1f} MiB at most; "
                      f"saw nodes {said['generation_flips']} change their generation")
        if self.planted:
            who = [name for name in ("count", "ledger") if report["planted"][f"named_by_{name}"]]
            self.tell(f"   planted: {self.planted.word}, {self.planted.records} records at offset "
                      f"{self.planted.offset} of {self.planted.topic}-0: "
                      f"{'named by the ' + ' and the '.join(who) if who else 'NOT FOUND'}")
        for problem in report["problems"]:
            self.tell(f"   FAILED: {problem}")
        if report["ok"]:
            self.tell("   everything holds")


def status(report: dict) -> int:
    """0: everything holds. 1: it does not. 3: what was damaged on purpose was not named by all who should."""
    planted = report.get("planted")
    if planted and False in (planted["named_by_count"], planted["named_by_ledger"]):
        return 3
    return 0 if report["ok"] else 1


def rehearse(rehearsal: Rehearsal) -> None:
    """From the first client to the last count; what goes wrong is told, and the steps say where."""
    watch = Watch(rehearsal.cluster, rehearsal.players, rehearsal.tell)
    try:
        rehearsal.topics()
        watch.start()
        rehearsal.migrate()
        rehearsal.finish_clients()
        watch.stop()
        rehearsal.read_back()
        rehearsal.judge_ledger()
    except (process.ProcessFailed, TimeoutError, RuntimeError, ValueError, OSError) as error:
        rehearsal.failed(error)
    finally:
        watch.stop()


def run(options: argparse.Namespace, tell: Teller) -> int:
    tell.head("Starting Apache Kafka: three brokers of the legacy generation, one ZooKeeper cluster")
    with Cluster(cluster_module.LEGACY, say=tell, bridge=True, replica_lag_time_max_ms=LAG_MS) as cluster:
        setu = Setu(cluster, probe=True, ledger=True).start()
        tell(f"bridge up: process {cluster.bridge.process.pid}; brokers reach each other through it alone")
        tell(f"setu up: process {setu.process.pid}, port {setu.port}; it looks by itself of which generation a node is")
        rehearsal = Rehearsal(options, cluster, setu, tell)
        try:
            rehearse(rehearsal)
            report = rehearsal.report()
        finally:
            rehearsal.players.kill()
            setu.process.kill()
        if options.json:
            options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        rehearsal.tell_verdict(report)
        cluster.keep = not report["ok"] and not rehearsal.planted
        return status(report)


def main() -> int:
    options = arguments()
    process.exit_on_signals()
    try:
        return run(options, Teller())
    except (process.ProcessFailed, paths.Missing, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
