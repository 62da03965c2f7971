# SPDX-License-Identifier: Apache-2.0
"""Load by Kafka's own kafka-producer-perf-test, and the reader that accounts for every record it wrote."""

import dataclasses
import json
import pathlib
import re
import subprocess

from tests.rig import clients, java_tools, paths
from tests.rig.process import Process, ProcessFailed, tail

INTERVAL = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\)")
PRODUCER = {"acks": "all", "linger.ms": "5", "batch.size": "65536", "buffer.memory": "67108864"}


@dataclasses.dataclass(frozen=True)
class Written:
    """What the tool reported. It counts a record only when the broker acknowledged it."""
    asked: int
    acknowledged: int
    records_per_s: float
    mb_per_s: float


def _follow(process: Process, stdout_line) -> None:
    """Starts it and hands over each line of its output; raises when it fails."""
    process.start()
    for line in process.popen.stdout:
        stdout_line(line.decode(errors="replace").rstrip())
    process.popen.stdout.close()
    status = process.wait()
    if status != 0:
        raise ProcessFailed(f"{process.name} ended with {status}:\n{tail(process.log)}")


def write(login: clients.Login, topic: str, records: int, size: int, directory: pathlib.Path, name: str,
          progress=None, **producer) -> Written:
    """Writes `records` records; `progress(acknowledged so far, records per second)` is told every few seconds."""
    settings = PRODUCER | {k.replace("_", "."): str(v) for k, v in producer.items()} | {"client.id": name}
    config = login.java_file(directory / f"{name}.properties", **settings)
    process = Process(name, java_tools.command(
        paths.AJNA, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", records,
        "--record-size", size, "--throughput", -1, "--producer.config", config, options=java_tools.LOAD),
        directory / f"{name}.log", stdout=subprocess.PIPE)
    reports = []

    def line(text: str) -> None:
        match = INTERVAL.match(text)
        if match:
            reports.append((int(match[1]), float(match[2]), float(match[3])))
            # The last line is the total, those before it are intervals.
            if progress and "99.9th" not in text:
                progress(sum(row[0] for row in reports), float(match[2]))
        elif text:
            with open(process.log, "a") as log:
                log.write(text + "\n")

    _follow(process, line)
    if not reports:
        raise ProcessFailed(f"{name} reported nothing:\n{tail(process.log)}")
    return Written(records, *reports[-1])


def read_all(login: clients.Login, topic: str, records: int, size: int, directory: pathlib.Path, name: str, group: str,
             progress=None, consumers: int = 2, timeout_s: int = 60) -> dict:
    """Reads the topic to its end and accounts for every record by its contents (java/CountRecords.java)."""
    config = login.java_file(directory / f"{name}.properties", group_id=group, client_id=name)
    process = Process(name, java_tools.command(
        paths.AJNA, "CountRecords", "--config", config, "--topic", topic, "--records", records, "--record-size", size,
        "--consumers", consumers, "--timeout", timeout_s, options=java_tools.LOAD),
        directory / f"{name}.log", stdout=subprocess.PIPE)
    results = []

    def line(text: str) -> None:
        if text.startswith("{"):
            results.append(json.loads(text))
        elif text.endswith("records read"):
            if progress:
                progress(int(text.split()[0]))
        else:
            with open(process.log, "a") as log:
                log.write(text + "\n")

    _follow(process, line)
    return results[0]
