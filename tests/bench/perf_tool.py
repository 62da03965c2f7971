# SPDX-License-Identifier: Apache-2.0
"""Kafka's own load tools: what they say, and where the CPU time went meanwhile."""

import dataclasses
import os
import pathlib
import re
import subprocess
import time

from tests.bench import measure
from tests.bench.processes import BenchFailed, Processes
from tests.rig import clients, java_tools, paths

EVERYWHERE = (0, 1)
RECORD_BYTES = 100
# Full speed, from a heap that does not grow.
JVM = ["-Xshare:auto", "-XX:-UsePerfData", "-XX:+UseParallelGC", "-Xms1g", "-Xmx1g", "-Xmn700m"]
NUMBER = r"([\d.]+)"
PRODUCED = re.compile(rf"^(\d+) records sent, {NUMBER} records/sec \({NUMBER} MB/sec\), {NUMBER} ms avg latency, "
                      rf"{NUMBER} ms max latency(?:, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th)?\.$")
# start.time, end.time, MB, MB/s, records, records/s, rebalance ms, fetch ms, MB/s and records/s while fetching
CONSUMED = re.compile(rf"^20\d\d-[^,]+, [^,]+, {NUMBER}, {NUMBER}, (\d+), {NUMBER}, (\d+), (\d+), {NUMBER}, {NUMBER}$")
HARMLESS = re.compile(r"^(Reading payloads from: .*|Number of (messages|records) read: .*|)$")
SAMPLE_S = 0.25
GIVE_UP_MS = 60_000  # when a consumer gets nothing
SETTLE_S = 1  # from then on a thread's share of a CPU counts
# Names as the kernel cuts them.
THREADS = {"java": "client main", "kafka-producer-": "client network"}


def missing(version: str = paths.AJNA) -> str | None:
    """Why the tools cannot run here; None when they can."""
    try:
        java_tools.command(version, "PerfTools")
    except (paths.Missing, FileNotFoundError) as why:
        return str(why)
    return None


def ticks() -> list[int]:
    """Of all CPUs: user, nice, system, idle, iowait, irq, softirq, steal."""
    with open("/proc/stat") as file:
        return [int(n) for n in file.readline().split()[1:9]]


def shares(before: list[int], after: list[int]) -> dict[str, float]:
    """Of the time between: how much the CPUs were at work, and how much another guest of the host took."""
    spent = [b - a for a, b in zip(before, after)]
    total = max(1, sum(spent))
    return {"busy": 1 - (spent[3] + spent[4]) / total, "steal": spent[7] / total}


@dataclasses.dataclass
class Ran:
    """Rates count acknowledged records, or records read once the group was joined. `busy`: the share of a CPU that each
    thread of the tool, and each watched process, used. Latencies, in a Produce, count from send() to the answer."""
    records: int
    records_per_s: float
    errors: list[str]
    busy: dict[str, float]
    cpu_s: dict[str, float]  # of the watched processes
    machine_busy: float
    steal: float
    foreign: float  # the share of all CPUs that neither the tool nor the watched processes used
    p50_ms: float = 0
    p99_ms: float = 0

    @property
    def mb_per_s(self) -> float:
        return self.records_per_s * RECORD_BYTES / 1e6


class Watch:
    """Samples the CPU time of the threads of a tool and of other processes."""

    def __init__(self, tool: int, others: dict[str, int]):
        self.tool, self.others = tool, others
        self.began, self.ticks, self.used = time.monotonic(), ticks(), self._used()
        self.samples = [(0.0, self._now())]

    def _now(self) -> dict[str, float]:
        found = {name: measure.cpu_seconds([pid]) for name, pid in self.others.items()}
        for task in pathlib.Path(f"/proc/{self.tool}/task").iterdir():
            name = THREADS.get((task / "comm").read_text().strip(), "client other")
            found[name] = found.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
        return found

    def sample(self) -> None:
        try:
            self.samples.append((time.monotonic() - self.began, self._now()))
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread ended just now

    def result(self) -> dict:
        spent = shares(self.ticks, ticks())
        done = {name: measure.cpu_seconds([pid]) - self.samples[0][1][name] for name, pid in self.others.items()}
        ours = (self._used() - self.used) / (os.cpu_count() or 1) / (time.monotonic() - self.began)
        return {"busy": self._busy(), "machine_busy": spent["busy"], "steal": spent["steal"], "cpu_s": done,
                "foreign": max(0.0, spent["busy"] - spent["steal"] - ours)}

    def _used(self) -> float:
        """Seconds, those of threads that have ended among them."""
        total = 0
        for pid in (self.tool, *self.others.values()):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def _busy(self) -> dict[str, float]:
        """Between the first sample that counts, if the run was that long, and the last with the same threads."""
        threads = max((s[1].keys() for s in self.samples), key=len)
        same = [s for s in self.samples if s[1].keys() == threads]
        (first_s, first), (last_s, last) = next((s for s in same if s[0] >= SETTLE_S), same[0]), same[-1]
        took_s = max(last_s - first_s, SAMPLE_S)
        return {name: max(0.0, last.get(name, 0) - first.get(name, 0)) / took_s
                for name in (*THREADS.values(), "client other", *self.others)}


class Tools:
    """One JVM for any number of runs; the first of them also measures its compiler."""

    def __init__(self, processes: Processes, name: str, version: str = paths.AJNA):
        self.processes, self.name = processes, name
        self.log = processes.directory / f"{name}.log"
        self.process = processes.start(name, EVERYWHERE, *java_tools.command(version, "PerfTools", options=JVM),
                                       stdin=subprocess.PIPE)

    def close(self) -> None:
        self.process.stdin.close()
        self.processes.stop(self.process)

    def produce(self, login: clients.Login, topic: str, records: int, properties: dict,
                payloads: pathlib.Path | None = None, throughput: int = -1, watched: dict[str, int] | None = None,
                timeout_s: float = 300) -> Ran:
        """kafka-producer-perf-test. `watched`: processes whose CPU time is of interest, by name."""
        size = ["--payload-file", payloads] if payloads else ["--record-size", RECORD_BYTES]
        text, watch = self._run(["produce", "--topic", topic, "--num-records", records, *size, "--throughput", throughput,
                                 "--producer.config", self._config(login, properties)], watched or {}, timeout_s)
        report = next((match for match in map(PRODUCED.match, reversed(text)) if match and match[6]), None)
        if not report:
            raise BenchFailed(f"{self.name}: no report at the end:\n" + "\n".join(text[-10:]))
        errors = [line for line in text if not PRODUCED.match(line) and not HARMLESS.match(line)]
        if int(report[1]) != records:
            errors.append(f"{report[1]} of {records} acknowledged")
        return Ran(records, float(report[2]), errors, p50_ms=float(report[6]), p99_ms=float(report[8]), **watch)

    def consume(self, login: clients.Login, topic: str, records: int, group: str, properties: dict,
                watched: dict[str, int] | None = None, timeout_s: float = 300) -> Ran:
        """kafka-consumer-perf-test."""
        text, watch = self._run(["consume", "--bootstrap-server", login.bootstrap, "--topic", topic, "--messages", records,
                                 "--group", group, "--hide-header", "--timeout", GIVE_UP_MS, "--consumer.config",
                                 self._config(login, properties)], watched or {}, timeout_s)
        report = next((match for match in map(CONSUMED.match, reversed(text)) if match), None)
        if not report:
            raise BenchFailed(f"{self.name}: no report at the end:\n" + "\n".join(text[-10:]))
        errors = [line for line in text if not CONSUMED.match(line) and not HARMLESS.match(line)]
        if int(report[3]) < records:
            errors.append(f"{report[3]} of {records} read")
        return Ran(int(report[3]), float(report[8]), errors, **watch)

    def _config(self, login: clients.Login, properties: dict) -> pathlib.Path:
        return login.java_file(self.processes.directory / f"{self.name}.properties",
                               **{key.replace(".", "_"): value for key, value in properties.items()})

    def _run(self, words: list, watched: dict, timeout_s: float) -> tuple[list[str], dict]:
        """What the tool printed, line by line."""
        at = self.log.stat().st_size
        watch = Watch(self.process.pid, watched)
        self.process.stdin.write("\t".join(map(str, words)).encode() + b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + timeout_s
        while True:
            time.sleep(SAMPLE_S)
            watch.sample()
            *text, last = (self.log.read_bytes()[at:].decode(errors="replace").splitlines() or [""])
            if last == "== done":
                return text, watch.result()
            if last.startswith("== ") or self.process.poll() is not None or time.monotonic() > end:
                raise BenchFailed(f"{self.name}: not done:\n" + "\n".join([*text[-20:], last]))
