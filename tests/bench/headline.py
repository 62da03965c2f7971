# SPDX-License-Identifier: Apache-2.0
"""Row 9: kafka-producer-perf-test, records of 100 bytes, through Setu to setu-sink, which decrypts and checks everything.

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
FLOOR, SHARE = 1_000_000, 0.90
ABSOLUTE = "kafka-producer-perf-test → Setu (plain → mTLS, CRC) → sink: records/s"
ERRORS = "the same: records lost, refused or wrong"
RATIOS = {"direct-mtls": ("the same: records/s ÷ direct over mTLS", SHARE),
          "direct-plain": ("the same: records/s ÷ direct in plaintext, nothing encrypted", None)}
WARMUP_RECORDS = 4_000_000
# Seconds of the long run, of each short one (the tool's first report, after 5 s, does not count), and rounds.
FULL, QUICK = (60, 16, 7), (10, 11, 5)


@dataclasses.dataclass
class Way:
    name: str
    login: clients.Login


def run(stage, options, chooser) -> list[dict]:
    why = perf_tool.missing()
    if why:
        print(f"SKIPPED: {NAME}: {why}", file=sys.stderr)
        return [lines.skipped_line(9, measure_, goal, why)
                for measure_, goal in ((ABSOLUTE, FLOOR), (ERRORS, 0), RATIOS["direct-mtls"])]
    long_s, short_s, rounds = QUICK if options.quick else FULL
    stage.start_sink(options.batch_bytes, "--topic", f"{TOPIC}:{PARTITIONS}")
    setu = contenders.start(stage, PLAIN_MTLS, "setu")
    try:
        play = Play(stage, setu)
        per_s = {name: play.run(way, WARMUP_RECORDS)["records_per_s"] for name, way in play.ways.items()}
        done, dropped = measure.interleave(list(play.ways.values()), rounds,
                                           lambda way: play.run(way, int(per_s[way.name] * short_s)), chooser)
        best = max(r["setu"]["records_per_s"] for r in done)
        longest = play.run(play.ways["setu"], int(best * long_s * 1.05))
    finally:
        contenders.stop(stage, setu)
    print(f" {len(done)} rounds, {dropped} dropped for steal", file=sys.stderr)
    wrong = play.settle()
    return _judge(done, dropped, longest, wrong)


def unpin(pid: int) -> None:
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), set(range(os.cpu_count() or 1)))


class Play:
    def __init__(self, stage, setu):
        self.stage, self.asked, self.errors, self.runs = stage, 0, [], 0
        self.watched = {"setu": setu.process.pid, "sink": stage.sink.pid}
        for pid in self.watched.values():
            unpin(pid)
        chooser = random.Random(1)
        self.payloads = private_file(stage.directory / "payloads", "".join(
            "".join(chooser.choices(string.ascii_uppercase, k=perf_tool.RECORD_BYTES)) + "\n" for _ in range(PAYLOADS)))
        addresses = {"setu": setu.port, "direct-mtls": stage.tls_port, "direct-plain": stage.plain_port}
        self.ways = {name: Way(name, self._login(name, f"127.0.0.1:{port}")) for name, port in addresses.items()}

    def _login(self, name: str, address: str) -> clients.Login:
        if name == "setu":
            return clients.Login(address, USER, PASSWORD)
        if name == "direct-mtls":
            return clients.Login(address, certificate=self.stage.client, ca=self.stage.authority.certificate)
        return clients.Login(address)

    def run(self, way: Way, records: int) -> dict:
        self.runs += 1
        self.asked += records
        before = perf_tool.ticks()
        made = perf_tool.produce(self.stage.processes, way.login, TOPIC, records, f"{way.name}-{self.runs}", PRODUCER,
                                 self.payloads, watched=self.watched)
        share = perf_tool.shares(before, perf_tool.ticks())
        self.errors += made.errors
        busy = {f"busy {who}": share for who, share in made.busy.items() if who != "setu" or way.name == "setu"}
        return {"records_per_s": made.steady_records_per_s, "records_per_s_with_start": made.records_per_s,
                "mb_per_s": made.steady_records_per_s * perf_tool.RECORD_BYTES / 1e6, "p50_ms": made.p50_ms,
                "p99_ms": made.p99_ms, "records": records, "seconds": records / made.records_per_s, **busy,
                "busy machine": share["busy"], "steal": share["steal"],
                "cpu_s_per_million_records": made.cpu_s["setu"] / records * 1e6 if way.name == "setu" else 0.0}

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
        full.append("all processors")
    return ", ".join(full) or "nothing"


def _judge(done: list[dict], dropped: int, longest: dict, wrong: int) -> list[dict]:
    own = measure.medians(done)
    for name in own:
        own[name]["saturated"] = _saturated(own[name])
    long_run = {"setu": {**{k: round(v, 6) for k, v in longest.items()}, "saturated": _saturated(longest)}}
    found = [lines.goal_line(9, ABSOLUTE, longest["records_per_s_with_start"], FLOOR, True, long_run,
                             seconds=round(longest["seconds"], 1)),
             lines.goal_line(9, ERRORS, wrong, 0, contenders=long_run)]
    for theirs, (text, goal) in RATIOS.items():
        values = measure.ratios(done, "setu", theirs, "records_per_s")
        found.append(lines.goal_line(9, text, values, goal, True, own, dropped=dropped))
    return found
