# SPDX-License-Identifier: Apache-2.0
"""Load that notices everything while Setu's process changes beneath it: writers whose every record is accounted for,
knocks at every door, and a reader of the audit chain."""

import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

from tests.integration import kafka_client as kafka
from tests.integration.stage import NODES, PASSWORDS, Stage
from tests.rig.process import Process, wait_until
from tests.rig.setu import private_file, yaml


class LifeStage(Stage):
    """A stage whose Setu has several lives: one log and one audit log for all of them."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.socket = self.directory / "control.sock"
        self.config["control"] = {"socket": self.socket}
        self.lives = 1
        self.extra: list[int] = []

    def _books(self) -> list[str]:
        stats = self.stats()
        return [f"setu_{gauge} is {stats[gauge][0][1]} at the end"
                for gauge in ("client_connections", "client_logins_in_progress", "broker_connections")
                if stats[gauge][0][1] != 0]

    def write_config(self) -> None:
        private_file(self.config_file, yaml(self.config) + "\n")

    def command(self, verb: str, *options) -> tuple[int, dict, str]:
        """Exit status, the JSON it printed, its standard error."""
        done = subprocess.run([self.program, verb, "-c", self.config_file, "-o", "json", *options],
                              capture_output=True, text=True, timeout=90)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr

    def status(self) -> dict:
        return self.command("status")[1]

    def successor(self, config_file: pathlib.Path | None = None, before: list | None = None) -> Process:
        """before: what its command line is put behind."""
        self.lives += 1
        return Process(f"setu {self.lives}", [*(before or []), self.program, "run", "--takeover", "-c", config_file or self.config_file,
                                              "--stats-file", self.stats_file], self.log).start()

    def take_over(self, timeout_s: float = 60) -> float:
        """A new process by hand; the old one has ended when this returns. How long it took, in seconds."""
        before, mark, began = self.process, self.mark(), time.monotonic()
        after = self.successor()
        after.wait_ready(lambda: self.events(mark, "took_over"), timeout_s)
        status = before.wait(timeout_s)
        if status != 0:
            raise AssertionError(f"the predecessor's exit status: {status}")
        self.process = after
        return time.monotonic() - began

    def usr2(self, timeout_s: float = 60, meanwhile=lambda: None) -> int:
        """By signal: the new process is nobody's child of ours. Its pid. `meanwhile` is called when both live."""
        before, mark = self.status()["pid"], self.mark()
        os.kill(before, signal.SIGUSR2)
        wait_until(lambda: self.events(mark, "took_over"), timeout_s, "the successor serves")
        meanwhile()
        wait_until(lambda: gone(before), timeout_s, f"process {before} has ended")
        after = self.status()["pid"]
        self.extra.append(after)
        return after

    def ours_again(self, before: list | None = None) -> None:
        """After usr2(), whose process is nobody's child: one more takes over, which is ours."""
        pid, mark = self.status()["pid"], self.mark()
        after = self.successor(before=before)
        after.wait_ready(lambda: self.events(mark, "took_over"), 60)
        wait_until(lambda: gone(pid), 60, "the last predecessor has ended")
        self.process = after

    def close(self) -> list[str]:
        for pid in self.extra:
            if not gone(pid) and pid != (self.process.popen.pid if self.process else None):
                os.kill(pid, signal.SIGKILL)
        return super().close()

    def rss_of(self, pid: int) -> int:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def state(pid: int) -> str:
    """As the kernel calls it: R, S, T (stopped), Z, …"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def gone(pid: int) -> bool:
    return state(pid) == "Z"


class Writer(threading.Thread):
    """Numbered records to one partition through its leader's port, a few under way. When its connection ends it looks
    where its answers ended and goes on from there: what Setu has taken must have been answered."""

    DEPTH, PAUSE_S = 4, 0.01

    def __init__(self, stage: Stage, name: str, topic: str, partition: int, tls: bool, tolerant: bool):
        super().__init__(daemon=True, name=name)
        self.stage, self.topic, self.partition, self.tls, self.tolerant = stage, topic, partition, tls, tolerant
        self.acked: list[int] = []  # offset of record n
        self.connects, self.cut, self.errors, self.halted = 0, 0, [], threading.Event()

    def _connect(self) -> kafka.Client | None:
        node = NODES[self.partition]
        try:
            client = kafka.Client(self.stage.node_port(node, self.tls), "orders", PASSWORDS["orders"], timeout_s=30,
                                  tls=self.stage.tls() if self.tls else None)
        except kafka.Closed as error:
            # Drained while it logged in; anything but an orderly end is an error.
            self.cut += 1
            if str(error) != "end of stream" and not self.tolerant:
                self.errors.append(f"login: {error}")
            return None
        self.connects += 1
        return client

    def _use(self, client: kafka.Client) -> None:
        first, sent, told = client.correlation_id + 1, len(self.acked), len(self.acked)
        while not self.halted.is_set() or len(self.acked) < sent:
            while sent - len(self.acked) < self.DEPTH and not self.halted.is_set():
                value = b"%s-%d;" % (self.name.encode(), sent)
                body = kafka.produce_body(7, self.topic, {self.partition: kafka.batch([value])}, acks=-1)
                client.send_anyway(kafka.request(kafka.PRODUCE, 7, body, first + sent - told, "life"))
                sent += 1
            answer = client.answer(kafka.PRODUCE, 7, first + len(self.acked) - told)
            error, base = kafka.produced(answer, 7)[self.partition]
            if error:
                self.errors.append(f"Produce error {error}")
            self.acked.append(base)
            time.sleep(self.PAUSE_S)

    def run(self) -> None:
        while not self.halted.is_set():
            try:
                client = self._connect()
                if client is None:
                    continue
                with client:
                    self._use(client)
            except kafka.Closed as error:
                if str(error) != "end of stream" and not self.tolerant:
                    self.errors.append(str(error))
            except (AssertionError, PermissionError) as error:
                self.errors.append(repr(error))
            except OSError as error:
                self.errors += [] if self.tolerant else [repr(error)]
                time.sleep(0.1)


class Knocker(threading.Thread):
    """Connects without end; every second time it also wants an answer to ApiVersions."""

    def __init__(self, ports: list[int], tolerant: bool):
        super().__init__(daemon=True)
        self.tolerant, self.ports, self.knocks, self.answers, self.cut = tolerant, ports, 0, 0, 0
        self.errors, self.halted = [], threading.Event()

    def _knock(self, port: int, talk: bool) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            self.knocks += 1
            if not talk:
                return
            s.sendall(kafka.request(kafka.API_VERSIONS, 3, kafka.api_versions_body(3), 1))
            if s.recv(4096):
                self.answers += 1
            else:
                self.cut += 1

    def run(self) -> None:
        while not self.halted.is_set():
            for port in self.ports:
                try:
                    self._knock(port, self.knocks % 2 == 0)
                except OSError as error:
                    self.errors += [] if self.tolerant else [f"port {port}: {error!r}"]
            time.sleep(0.002)


class Load:
    """Four writers and a knocker until check(). tolerant: of connections that break, as when Setu is killed; then what
    was not acknowledged may be there twice."""

    TOPIC = "acks"

    def __init__(self, stage: Stage, tolerant: bool = False):
        self.stage, self.tolerant = stage, tolerant
        self.began = {partition: self._end(partition) for partition in range(len(NODES))}
        self.writers = [Writer(stage, f"w{time.monotonic_ns()}{'t' if tls else 'p'}{partition}", self.TOPIC, partition,
                               tls, tolerant) for partition in range(len(NODES)) for tls in (False, True)]
        self.knocker = Knocker([stage.port, *(stage.node_port(node) for node in NODES)], tolerant)
        for thread in (*self.writers, self.knocker):
            thread.start()
        self.further("at the start")

    def _end(self, partition: int) -> int:
        with kafka.Client(self.stage.brokers[NODES[partition]].plain) as client:
            return client.offset(self.TOPIC, partition)

    def further(self, what: str, records: int = 3, timeout_s: float = 60) -> None:
        """Each writer goes on."""
        before = [len(writer.acked) for writer in self.writers]
        wait_until(lambda: all(len(w.acked) >= n + records for w, n in zip(self.writers, before)) or self.errors(),
                   timeout_s, f"the writers go on {what}", 0.01)

    def errors(self) -> list[str]:
        return [error for thread in (*self.writers, self.knocker) for error in thread.errors]

    def stop(self) -> None:
        for thread in (*self.writers, self.knocker):
            thread.halted.set()
        for thread in (*self.writers, self.knocker):
            thread.join(60)

    def check(self, case) -> str:
        """Ends it and accounts for every record: acknowledged is what is there, once, in order, where it was told."""
        self.stop()
        case.assertEqual(self.errors(), [])
        for partition in range(len(NODES)):
            self._account(case, partition)
        acked, connects = (sum(n) for n in zip(*((len(w.acked), w.connects) for w in self.writers)))
        return (f"{acked} records acknowledged and there, {connects} connections; {self.knocker.knocks} knocks, none "
                f"refused, {self.knocker.answers} answered, {self.knocker.cut} ended in order before an answer")

    def _account(self, case, partition: int) -> None:
        found: dict[str, list[tuple[int, int]]] = {}
        at = self.began[partition]
        with kafka.Client(self.stage.brokers[NODES[partition]].plain, timeout_s=60) as client:
            end = client.offset(self.TOPIC, partition)
            while at < end:
                error, records = client.fetch(self.TOPIC, partition, at)
                case.assertEqual(error, 0)
                whole = kafka.batches(records)
                case.assertTrue(whole and all(good for _, _, good in whole))
                values = re.findall(rb"(w\d+[pt]\d)-(\d+);", records[:self._length(records, len(whole))])
                case.assertEqual(len(values), sum(count for _, count, _ in whole))
                for (base, _, _), (name, number) in zip(whole, values):
                    found.setdefault(name.decode(), []).append((int(number), base))
                at = whole[-1][0] + whole[-1][1]
        for writer in self.writers:
            if writer.partition == partition:
                told = list(enumerate(writer.acked))
                there = found.get(writer.name, [])
                if self.tolerant:
                    case.assertEqual(sorted(set(told) - set(there)), [], f"{writer.name}: acknowledged, but not there")
                else:
                    case.assertEqual(there, told, f"{writer.name}: what is there, what was told")

    @staticmethod
    def _length(records: bytes, count: int) -> int:
        at = 0
        for _ in range(count):
            at += 12 + int.from_bytes(records[at + 8:at + 12], "big")
        return at


# --- the audit log ---

def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _fields(record: bytes):
    """(field number, value, where it begins) of a protobuf message without groups and fixed fields."""
    at = 0
    while at < len(record):
        begin = at
        key, at = _varint(record, at)
        if key & 7 == 0:
            value, at = _varint(record, at)
        else:
            length, at = _varint(record, at)
            value, at = record[at:at + length], at + length
        yield key >> 3, value, begin


def _audit_codes(data: bytes) -> list[str]:
    at, before, seq, codes = 0, bytes(32), 0, []
    while at < len(data):
        length, at = _varint(data, at)
        record, at = data[at:at + length], at + length
        fields = {number: (value, begin) for number, value, begin in _fields(record)}
        own, begin = fields[1000]
        seq += 1
        if fields[1][0] != seq or fields.get(2, (bytes(32),))[0] not in (before, b"") or \
                hashlib.sha256(before + record[:begin]).digest() != own:
            raise ValueError(f"record {seq}: the chain does not hold")
        before = own
        codes.append(fields[5][0].decode())
    return codes


def audit_codes(path: pathlib.Path, enough=lambda codes: True) -> list[str]:
    """The codes of an audit log, oldest first, once there are enough of them, or after a minute. ValueError or LookupError
    where its chain does not hold then: a batch may be half written, so it is read again until then."""
    deadline = time.monotonic() + 60
    while True:
        late = time.monotonic() > deadline
        try:
            codes = _audit_codes(path.read_bytes())
            if late or enough(codes):
                return codes
        except (ValueError, LookupError):
            if late:
                raise
        time.sleep(0.02)
