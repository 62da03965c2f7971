# SPDX-License-Identifier: Apache-2.0
"""Row 9: kafka-producer-perf-test, records of 100 bytes, through Setu to setu-sink, which decrypts and checks everything.

And kafka-consumer-perf-test, to which the sink hands the same batch at every offset; it has no goal here.

Nothing is pinned: the producer, Setu and the sink share all processors, so what one of them costs the others lack. Direct
is the same producer at the sink itself: over TLS with its own certificate, as it would have to come without Setu; and in
plaintext, which spares it and the sink all encryption.
"""

import dataclasses
import json
import os
import random
import string
import sys

from tests.bench import contenders, lines, measure, perf_tool
from tests.bench.processes import BenchFailed
from tests.bench.stage import PASSWORD, PLAIN_MTLS, USER
from tests.rig import clients
from tests.rig.setu import private_file

NAME = "headline"
ROWS = (9,)
TOPIC, PARTITIONS = "perf", 6
PRODUCER = {"acks": "1", "linger.ms": "5", "batch.size": "262144", "buffer.memory": "134217728",
            "compression.type": "none"}
PAYLOADS = 1000
READ_BATCH_BYTES = 131072
FLOOR, SHARE = 1_000_000, 0.90
ABSOLUTE = "kafka-producer-perf-test → Setu (plain → mTLS, CRC) → sink: records/s"
ERRORS = "the same: records lost, refused or wrong"
RATIOS = {"direct-mtls": ("the same: records/s ÷ direct over mTLS", SHARE),
          "direct-plain": ("the same: records/s ÷ direct in plaintext, nothing encrypted", None)}
WARMUP_RECORDS = 4_000_000  # in each JVM, before anything counts; the long run has one of its own and counts from the start
# Seconds of the long run, of each short one, and rounds.
FULL, QUICK = (60, 5, 11), (10, 3, 5)


@dataclasses.dataclass
class Way:
    name: str
    login: clients.Login
    tools: perf_tool.Tools


def run(stage, options, chooser) -> list[dict]:
    why = perf_tool.missing()
    if why:
        print(f"SKIPPED: {NAME}: {why}", file=sys.stderr)
        return [lines.skipped_line(9, text, goal, why)
                for text, goal in ((ABSOLUTE, FLOOR), (ERRORS, 0), RATIOS["direct-mtls"])]
    long_s, short_s, rounds = QUICK if options.quick else FULL
    stage.start_sink(READ_BATCH_BYTES, "--topic", f"{TOPIC}:{PARTITIONS}")
    setu = contenders.start(stage, PLAIN_MTLS, "setu")
    try:
        play = Play(stage, setu)
        for _ in range(2):  # the second knows how fast it is
            per_s = {way.name: play.run(way, WARMUP_RECORDS)["records_per_s"] for way in play.ways}
        done, dropped = measure.interleave(play.ways, rounds,
                                           lambda way: play.run(way, int(per_s[way.name] * short_s)), chooser)
        for way in play.ways:
            per_s[way.name] = play.consume(way, WARMUP_RECORDS)["records_per_s"]
        read, _ = measure.interleave(play.ways, rounds,
                                     lambda way: play.consume(way, int(per_s[way.name] * short_s)), chooser)
        longest = play.long_run(int(max(r["setu"]["records_per_s"] for r in done) * long_s * 1.02))
    finally:
        contenders.stop(stage, setu)
    print(f" {len(done)} rounds, {dropped} dropped for steal", file=sys.stderr)
    return _judge(done, dropped, longest, play.settle()) + _read(read)


def unpin(pid: int) -> None:
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), set(range(os.cpu_count() or 1)))


class Play:
    def __init__(self, stage, setu):
        self.stage, self.asked, self.errors = stage, 0, []
        self.watched = {"setu": setu.process.pid, "sink": stage.sink.pid}
        for pid in self.watched.values():
            unpin(pid)
        chooser = random.Random(1)
        self.payloads = private_file(stage.directory / "payloads", "".join(
            "".join(chooser.choices(string.ascii_uppercase, k=perf_tool.RECORD_BYTES)) + "\n" for _ in range(PAYLOADS)))
        addresses = {"setu": setu.port, "direct-mtls": stage.tls_port, "direct-plain": stage.plain_port}
        self.ways = [Way(name, self._login(name, f"127.0.0.1:{port}"), perf_tool.Tools(stage.processes, f"tools of {name}"))
                     for name, port in addresses.items()]

    def _login(self, name: str, address: str) -> clients.Login:
        if name == "setu":
            return clients.Login(address, USER, PASSWORD)
        if name == "direct-mtls":
            return clients.Login(address, certificate=self.stage.client, ca=self.stage.authority.certificate)
        return clients.Login(address)

    def run(self, way: Way, records: int) -> dict:
        self.asked += records
        ran = way.tools.produce(way.login, TOPIC, records, PRODUCER, self.payloads, watched=self.watched)
        return self._figures(way, ran) | {"p50_ms": ran.p50_ms, "p99_ms": ran.p99_ms}

    def consume(self, way: Way, records: int) -> dict:
        return self._figures(way, way.tools.consume(way.login, TOPIC, records, "perf", {}, watched=self.watched))

    def _figures(self, way: Way, ran: perf_tool.Ran) -> dict:
        self.errors += ran.errors
        busy = {f"busy {who}": share for who, share in ran.busy.items() if who != "setu" or way.name == "setu"}
        found = {"records_per_s": ran.records_per_s, "mb_per_s": ran.mb_per_s,
                 "seconds": ran.records / ran.records_per_s, **busy, "busy machine": ran.machine_busy, "steal": ran.steal, "foreign": ran.foreign}
        if way.name == "setu":
            found["cpu_s_per_million_records"] = ran.cpu_s["setu"] / ran.records * 1e6
            found["cpu_s_per_gb"] = ran.cpu_s["setu"] / (ran.records * perf_tool.RECORD_BYTES / 1e9)
        return found

    def long_run(self, records: int) -> dict:
        """Through Setu, in a JVM that has done nothing before."""
        way = next(w for w in self.ways if w.name == "setu")
        for other in self.ways:
            other.tools.close()
        return self.run(Way("setu", way.login, perf_tool.Tools(self.stage.processes, "setu-long")), records)

    def settle(self) -> int:
        """Stops the sink and says how many records of all runs did not arrive once and whole."""
        self.stage.stop_sink()  # raises when a CRC was wrong
        arrived = json.loads(self.stage.processes.log("sink").splitlines()[-1])["records"]
        for error in self.errors[:10]:
            print(f"{NAME}: {error}", file=sys.stderr)
        return abs(arrived - self.asked) + len(self.errors)


def _saturated(own: dict) -> str:
    """What had no time left, by its median share of a processor."""
    threads = {who: share for who, share in own.items() if who.startswith("busy ") and who != "busy machine"}
    full = [who.removeprefix("busy ") for who, share in threads.items() if share >= 0.9]
    if own["busy machine"] >= 0.95:
        full.append("all processors" + (", by others, too" if own["foreign"] > measure.FOREIGN_MAX else ""))
    return ", ".join(full) or "nothing"


def _judge(done: list[dict], dropped: int, longest: dict, wrong: int) -> list[dict]:
    own = measure.medians(done)
    for name in own:
        own[name]["saturated"] = _saturated(own[name])
    long_run = {"setu": {**{k: round(v, 6) for k, v in longest.items()}, "saturated": _saturated(longest)}}
    found = [lines.goal_line(9, ABSOLUTE, longest["records_per_s"], FLOOR, True, long_run,
                             seconds=round(longest["seconds"], 1)),
             lines.goal_line(9, ERRORS, wrong, 0, contenders=long_run)]
    for theirs, (text, goal) in RATIOS.items():
        values = measure.ratios(done, "setu", theirs, "records_per_s")
        found.append(lines.goal_line(9, text, values, goal, True, own, dropped=dropped))
    return found


def _read(done: list[dict]) -> list[dict]:
    own = measure.medians(done)
    return [lines.goal_line(9, f"kafka-consumer-perf-test: records/s, Setu ÷ {theirs}",
                            measure.ratios(done, "setu", theirs, "records_per_s"), None, True, own) for theirs in RATIOS]
