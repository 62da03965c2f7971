# SPDX-License-Identifier: Apache-2.0
"""Writers that go on while things break, and the accounting afterwards: all that was acknowledged, once, in order."""

import collections
import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import unittest

from tests.rig import Setu, java_tools
from tests.rig.clients import Login
from tests.rig.process import Process, wait_until

RATE, COUNT_MAX = 200, 60_000  # records per second and in all, of one writer
IDEMPOTENT = {"acks": "all", "enable.idempotence": "true", "linger.ms": "5"}


@dataclasses.dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    writer: str
    number: int


class Writer:
    """A process that writes numbered records, and what it has said so far."""

    def __init__(self, name: str, partitions: int, argv: list, directory: pathlib.Path, job: dict | None = None):
        self.name, self.partitions = name, partitions
        self.acked: dict[int, tuple[int, int]] = {}
        self.failed: list[str] = []
        self.sent: int | None = None
        self._said = directory / f"{name}.out"
        self._at = 0
        with open(self._said, "wb") as out:
            self.process = Process(name, argv, directory / f"{name}.log", stdin=subprocess.PIPE, stdout=out).start()
        if job:
            self.process.popen.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.popen.stdin.flush()

    def look(self) -> "Writer":
        with open(self._said, "rb") as said:
            said.seek(self._at)
            lines = said.read().rpartition(b"\n")[0]
        self._at += len(lines) + 1 if lines else 0
        for line in lines.decode(errors="replace").splitlines():
            word, _, rest = line.partition(" ")
            if word == "acked":
                number, partition, offset = map(int, rest.split())
                self.acked[number] = (partition, offset)
            elif word == "done":
                self.sent = int(rest)
            else:
                self.failed.append(line)
        return self

    def counts(self) -> collections.Counter:
        """Acknowledged records of each partition."""
        return collections.Counter(partition for partition, _ in self.look().acked.values())

    def wait_further(self, partitions, what: str, records: int = 20, timeout_s: float = 90) -> None:
        """Until so many more records of each of these partitions are acknowledged."""
        began = self.counts()

        def further():
            self.process.check()
            now = self.counts()
            return all(now[p] >= began[p] + records for p in partitions)

        wait_until(further, timeout_s, f"{self.name} goes on {what}", 0.1)

    def finish(self, timeout_s: float = 120) -> None:
        """No more records; waits until the fate of each is known."""
        self.process.popen.stdin.close()
        status = self.process.wait(timeout_s)
        if status != 0 or self.look().sent is None:
            raise AssertionError(f"{self.name} ended with {status} and sent {self.sent}; see {self.process.log}")


class Load:
    """Two writers on one topic, of the Java client and of librdkafka, both idempotent, until check()."""

    def __init__(self, case, setu: Setu, partitions: int, topic: str, version: str):
        self.case, self.topic, self.login = case, topic, setu.login("orders")
        directory, number = case.cluster.directory, topic.rpartition("-")[2]
        common = {"topic": topic, "partitions": partitions, "rate": RATE, "count": COUNT_MAX}
        java, other = f"java{number}", f"librdkafka{number}"
        config = self.login.java_file(directory / f"{java}.properties", **IDEMPOTENT, client_id=java)
        options = [part for key, value in (common | {"config": config, "name": java}).items()
                   for part in (f"--{key}", value)]
        self.writers = []
        case.addCleanup(self.kill)
        self.writers.append(Writer(java, partitions, java_tools.command(version, "SteadyWriter", *options), directory))
        settings = self.login.librdkafka() | IDEMPOTENT | {"client.id": other}
        self.writers.append(Writer(other, partitions,
                                   [sys.executable, pathlib.Path(__file__).with_name("steady_writer.py")], directory,
                                   common | {"name": other, "settings": settings}))
        self.partitions = range(partitions)
        self.wait_further("at the start")

    def kill(self) -> None:
        for writer in self.writers:
            writer.process.kill()

    def wait_further(self, what: str, partitions=None, **options) -> None:
        """Until each writer has got on with each of the partitions."""
        for writer in self.writers:
            writer.wait_further(self.partitions if partitions is None else partitions, what, **options)

    def check(self) -> str:
        """Ends the writers, reads everything back through Setu and accounts for it; what there is to tell."""
        for writer in self.writers:
            writer.finish()
        read = read_back(self.case, self.login, self.topic)
        account(self.case, self.writers, read)
        return ", ".join(f"{len(w.acked)} by {w.name.rstrip('0123456789')}" for w in self.writers)


def read_back(case, login: Login, topic: str) -> list[Record]:
    """Every record of the topic, in the order in which its partitions give them."""
    done = case.kcat(login, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\\n")
    case.assertEqual(done.returncode, 0, done.stderr[-2000:])
    found = []
    for line in done.stdout.splitlines():
        partition, offset, value = line.split(" ")
        writer, _, number = value.rpartition("-")
        found.append(Record(int(partition), int(offset), writer, int(number)))
    return found


def account(case: unittest.TestCase, writers: list[Writer], read: list[Record]) -> None:
    """Acknowledged ⊆ read, at the offset told; nothing twice; each writer's order in each partition."""
    times = collections.Counter((record.writer, record.number) for record in read)
    case.assertEqual([key for key, n in times.items() if n > 1], [], "duplicated")
    where = {(record.writer, record.number): (record.partition, record.offset) for record in read}
    for writer in writers:
        case.assertEqual(writer.failed, [], f"records that {writer.name} gave up")
        lost = [n for n in writer.acked if (writer.name, n) not in where]
        case.assertEqual(lost, [], f"acknowledged to {writer.name}, but not there")
        # -1: acknowledged as one that the broker has already; where, it no longer says
        moved = {n: (at, where[writer.name, n]) for n, at in writer.acked.items()
                 if at != where[writer.name, n] and at != (where[writer.name, n][0], -1)}
        case.assertEqual(moved, {}, f"not where {writer.name} was told")
        case.assertEqual(len(writer.acked), writer.sent, f"of {writer.name}'s records some have no answer")
    case.assertEqual(len(read), sum(writer.sent for writer in writers))
    last: dict[tuple[str, int], int] = {}
    for record in read:
        before = last.get((record.writer, record.partition), -1)
        case.assertLess(before, record.number, f"order of {record}")
        last[record.writer, record.partition] = record.number


def wait_end(process: Process, timeout_s: float) -> int:
    """The exit status after SIGTERM."""
    process.signal(signal.SIGTERM)
    return process.wait(timeout_s)
