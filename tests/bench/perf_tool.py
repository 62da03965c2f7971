# SPDX-License-Identifier: Apache-2.0
"""Kafka's own load tools, run to their end: what they say, and where the CPU time went meanwhile."""

import dataclasses
import pathlib
import re
import time

from tests.bench import measure
from tests.bench.processes import BenchFailed, Processes
from tests.rig import clients, java_tools, paths

EVERYWHERE = (0, 1)
RECORD_BYTES = 100
# Full speed from a heap that does not grow. The tool keeps one object a record only until it is acknowledged.
JVM = ["-Xshare:auto", "-XX:-UsePerfData", "-XX:+UseParallelGC", "-XX:ParallelGCThreads=2", "-Xms1g", "-Xmx1g", "-Xmn700m"]
REPORT = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, "
                    r"([\d.]+) ms max latency(?:, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th)?\.$")
EXPECTED = re.compile(r"^(Reading payloads from: .*|Number of (messages|records) read: .*|DEPRECATED: .*|)$")
SAMPLE_S = 0.25
TOOL_REPORT_S = 5  # how often the tool says how far it is
# Names as the kernel cuts them.
THREADS = {"java": "producer main", "kafka-producer-": "producer network"}


def missing(version: str = paths.AJNA) -> str | None:
    """Why the tools cannot run here; None when they can."""
    try:
        java_tools.command(version, "kafka.Kafka")
    except paths.Missing as why:
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
class Produced:
    """The rates count acknowledged records; `steady` leaves out the tool's first report, when its JVM still compiles.
    `busy`: by thread or process, the share of a CPU it used from then on. Latencies count from send() to the answer."""
    records: int
    records_per_s: float
    steady_records_per_s: float
    p50_ms: float
    p99_ms: float
    errors: list[str]
    busy: dict[str, float]
    cpu_s: dict[str, float]  # of the watched processes, over the whole run


class Watch:
    """Samples the CPU time of the threads of a tool and of other processes."""

    def __init__(self, tool: int, others: dict[str, int], skip_s: float):
        self.tool, self.others, self.skip_s = tool, others, skip_s
        self.began = time.monotonic()
        self.samples = [(0.0, self._now())]

    def _now(self) -> dict[str, float]:
        found = {name: measure.cpu_seconds([pid]) for name, pid in self.others.items()}
        for task in pathlib.Path(f"/proc/{self.tool}/task").iterdir():
            name = THREADS.get((task / "comm").read_text().strip(), "producer other")
            found[name] = found.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
        return found

    def sample(self) -> None:
        try:
            now = self._now()
        except (FileNotFoundError, ProcessLookupError):
            return  # a thread ended just now
        if now.keys() >= self.samples[-1][1].keys():
            self.samples.append((time.monotonic() - self.began, now))

    def busy(self) -> dict[str, float]:
        last_s, last = self.samples[-1]
        first_s, first = next(s for s in self.samples if s[0] >= self.skip_s or s is self.samples[-1])
        if last_s <= first_s:
            return {}
        return {name: round((last[name] - first[name]) / (last_s - first_s), 3) for name in last if name in first}


def produce(processes: Processes, login: clients.Login, topic: str, records: int, name: str, properties: dict,
            payloads: pathlib.Path | None = None, throughput: int = -1, watched: dict[str, int] | None = None,
            timeout_s: float = 300, version: str = paths.AJNA) -> Produced:
    """kafka-producer-perf-test. `watched`: processes whose CPU time is of interest, by name."""
    config = login.java_file(processes.directory / f"{name}.properties",
                             **{k.replace(".", "_"): v for k, v in properties.items()})
    size = ["--payload-file", payloads] if payloads else ["--record-size", RECORD_BYTES]
    command = java_tools.command(version, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
                                 "--num-records", records, *size, "--throughput", throughput, "--producer.config", config,
                                 options=JVM)
    watched = watched or {}
    before = {who: measure.cpu_seconds([pid]) for who, pid in watched.items()}
    text, watch = _run(processes, name, command, watched, timeout_s)
    cpu_s = {who: round(measure.cpu_seconds([pid]) - before[who], 3) for who, pid in watched.items()}
    return _produced(name, text, records, watch.busy(), cpu_s)


def _run(processes: Processes, name: str, command: list, watched: dict, timeout_s: float) -> tuple[list[str], Watch]:
    """What it printed, line by line."""
    (processes.directory / f"{name}.log").unlink(missing_ok=True)
    process = processes.start(name, EVERYWHERE, *command)
    watch = Watch(process.pid, watched, TOOL_REPORT_S)
    end = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() > end:
            processes.stop(process)
            raise BenchFailed(f"{name}: not done within {timeout_s:g} s\n{processes.log(name)}")
        time.sleep(SAMPLE_S)
        watch.sample()
    if processes.stop(process) != 0:
        raise BenchFailed(f"{name}: ended with {process.returncode}\n{processes.log(name)}")
    return (processes.directory / f"{name}.log").read_text(errors="replace").splitlines(), watch


def _produced(name: str, text: list[str], asked: int, busy: dict, cpu_s: dict) -> Produced:
    reports = [match for match in map(REPORT.match, text) if match]
    errors = [line for line in text if not REPORT.match(line) and not EXPECTED.match(line)]
    if not reports or not reports[-1][6]:
        raise BenchFailed(f"{name}: no report at the end:\n" + "\n".join(text[-10:]))
    total, rate = int(reports[-1][1]), float(reports[-1][2])
    if total != asked:
        errors.append(f"{total} of {asked} acknowledged")
    steady = rate
    if len(reports) > 2:
        first, first_rate = int(reports[0][1]), float(reports[0][2])
        steady = (total - first) / (total / rate - first / first_rate)
    return Produced(total, rate, steady, float(reports[-1][6]), float(reports[-1][8]), errors, busy, cpu_s)
