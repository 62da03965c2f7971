# SPDX-License-Identifier: Apache-2.0
"""A stage for attacks: scripted brokers (tests/broker), Setu before them, and what they say about what happened.

    raw sockets, good clients ──▶ setu ──┬─ SASL ──▶ node 1, legacy
                                         └─ mTLS ──▶ node 2, ajna

`SETU_BIN` (or SETU_BINARY), `SETU_TEST_BROKER_BIN` and `SETU_RELEASE_BIN` name the programs; the default is the
AddressSanitizer build, and the release build where memory is measured.
"""

import collections
import json
import os
import pathlib
import re
import resource
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest

from tests.integration import kafka_client
from tests.integration.kafka_client import Client, Raw
from tests.rig import ports, scram
from tests.rig.certificates import Authority
from tests.rig.paths import ROOT
from tests.rig.process import Process, tail, wait_until
from tests.rig.setu import hear_out, private_file, yaml

NODES = (1, 2)
TOPICS = ("good", "acks", "crc", "large", "many", "place", "slow")  # two partitions each, one a node
SALT = b"0123456789abcdef"
ITERATIONS = 4096
PASSWORDS = {"orders": "orders-secret", "payments": "payments-secret", "nobody": "nobody-secret"}


def _program(names: tuple[str, ...], default: str) -> pathlib.Path:
    for name in names:
        if os.environ.get(name):
            return pathlib.Path(os.environ[name])
    return ROOT / default


def setu_program() -> pathlib.Path:
    return _program(("SETU_BIN", "SETU_BINARY"), "build/asan/proxy/setu")


def release_program() -> pathlib.Path:
    return _program(("SETU_RELEASE_BIN",), "build/release/proxy/setu")


def broker_program() -> pathlib.Path:
    return _program(("SETU_TEST_BROKER_BIN",), "build/asan/tests/broker/setu-test-broker")


def raise_descriptors(wanted: int) -> int:
    """Our own limit of open files, raised as far as we may; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limits in ((max(soft, wanted), max(hard, wanted)), (min(wanted, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class TestBroker:
    """One setu-test-broker. `plain` is a port without login, for the test's own eyes."""

    __test__ = False

    def __init__(self, node_id: int, directory: pathlib.Path, port: int, peers: dict[int, int], options: list,
                 host: str = "127.0.0.1"):
        self.node_id, self.port, self.plain = node_id, port, ports.free_port()
        self.directory, self.peers, self.options, self.host = directory, peers, options, host
        self.door = "--sasl" if node_id == 1 else "--ssl"
        self.log = directory / f"broker-{node_id}.log"
        self.make()

    def make(self) -> None:
        """Its next life, as it was or as it has been changed; start() begins it."""
        ca = self.directory / "ca"
        arguments = [broker_program(), "--id", self.node_id, self.door, f"{self.host}:{self.port}",
                     "--plain", f"127.0.0.1:{self.plain}", "--users", self.directory / "broker-users.yaml",
                     "--ca", ca / "ca.pem", "--chain", ca / "broker.pem", "--key", ca / "broker.key", "--control",
                     "--trace", *self.options]
        for peer, peer_port in self.peers.items():
            arguments += ["--node", f"{peer}={self.host}:{peer_port}"]
        self.process = Process(f"broker {self.node_id}", arguments, self.log, stdin=subprocess.PIPE)

    def start(self) -> None:
        mark = self.mark() if self.log.exists() else 0
        self.process.start()
        self.process.wait_ready(lambda: f"ready node={self.node_id}" in self.text(mark), 20)

    def again(self, door: str | None = None, node_id: int | None = None, options: list | None = None) -> None:
        """Ends it and starts it anew at the same address, as something else. What it had stored is gone."""
        if self.stop() != 0:
            raise AssertionError(f"broker {self.node_id} ended badly\n{tail(self.log, 40)}")
        self.door, self.options = door or self.door, self.options if options is None else options
        self.node_id = self.node_id if node_id is None else node_id
        self.make()
        self.start()

    def text(self, mark: int = 0) -> str:
        return "\n".join(self.lines(mark))

    def mark(self) -> int:
        return self.log.stat().st_size

    def lines(self, mark: int = 0) -> list[str]:
        with open(self.log, errors="replace") as log:
            log.seek(mark)
            return log.read().splitlines()

    def command(self, line: str) -> None:
        mark = self.mark()
        self.process.popen.stdin.write(line.encode() + b"\n")
        self.process.popen.stdin.flush()
        wait_until(lambda: f"done {line}" in self.lines(mark), 10, f"the broker does {line}", 0.005)

    def fault(self, spec: str) -> None:
        self.command(f"fault {spec}")

    def clear(self) -> None:
        self.command("clear")

    def become(self, door: str) -> None:
        """Of another generation from now on, with all that it has stored: `--sasl` or `--ssl`."""
        self.door = door
        self.command(f"door {door.removeprefix('--')}")

    def peak(self) -> int:
        """The most connections that were logging in at a time since this was asked last."""
        mark = self.mark()
        self.command("peak")
        return int(re.findall(r"peak settling=(\d+)", self.text(mark))[-1])

    def requests(self, mark: int = 0, principal: str | None = None) -> list[tuple[str, int]]:
        """(API, version) of what arrived since the mark; principal: only of this one."""
        found = []
        for line in self.lines(mark):
            match = re.match(r"request node=\d+ principal=(.*) api=(\S+) version=(-?\d+)", line)
            if match and principal in (None, match[1]):
                found.append((match[2], int(match[3])))
        return found

    def logins(self, mark: int = 0) -> list[tuple[str, str]]:
        return re.findall(r"(?m)^login principal=(.*) mechanism=(\S+) node=", "\n".join(self.lines(mark)))

    def stop(self) -> int | None:
        """It ends when its commander goes."""
        if self.process.popen is None:
            return 0
        self.process.popen.stdin.close()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            return self.process.stop(1)


class Stage:
    """Brokers and Setu in a directory of their own. Change `config` before start(). `broker_host`, `host`: where the
    brokers and Setu listen; `wrap`: what Setu's command line is put behind."""

    def __init__(self, program: pathlib.Path | None = None, broker_options: dict[int, list] | None = None,
                 limits: dict | None = None, integrity: str = "observe", descriptors: int | None = None,
                 legacy_login: str = "sasl", workers: int = 1, broker_host: str = "127.0.0.1",
                 host: str = "127.0.0.1", wrap: list | None = None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="setu-stage-"))
        self.program = program or setu_program()
        self.descriptors = descriptors
        self.broker_host, self.host, self.wrap = broker_host, host, wrap or []
        self.shown = "localhost" if host == "127.0.0.1" else host
        self.authority = Authority(self.directory / "ca")
        self.certificates = {name: self.authority.issue(name, server=name in ("broker", "listener"), also=broker_host)
                             for name in ("broker", "listener", "setu", "orders", "payments")}
        # With passthrough a client logs in at the broker with its own password; else Setu does, with another one.
        self.legacy_login = legacy_login
        passwords = PASSWORDS if legacy_login == "passthrough" else {}
        self._users("broker-users.yaml", {name: passwords.get(name, f"{name}-at-the-broker")
                                          for name in ("orders", "payments", "setu")})
        self._users("users.yaml", PASSWORDS)
        first = ports.free_block(2)
        where = {node: first + i for i, node in enumerate(NODES)}
        options = broker_options or {}
        topics = [part for name in TOPICS for part in ("--topic", f"{name}:2")]
        self.brokers = {node: TestBroker(node, self.directory, where[node],
                                         {n: p for n, p in where.items() if n != node},
                                         ["--keep", "64", *topics, *options.get(0, []), *options.get(node, [])],
                                         broker_host)
                        for node in NODES}
        self.base, self.tls_base = ports.free_block(20), ports.free_block(20)
        self.port, self.tls_port = self.base + 19, self.tls_base + 19
        self.config = self._config(limits or {}, integrity) | {"workers": workers}
        self.config_file = self.directory / "setu.yaml"
        self.stats_file = self.directory / "setu.prom"
        self.log = self.directory / "setu.log"
        self.process: Process | None = None

    # --- files ---

    def _users(self, file: str, passwords: dict[str, str]) -> None:
        rows = [{"name": name, **{mechanism.lower(): scram.record(mechanism, password, SALT, ITERATIONS)
                                  for mechanism in scram.HASHES}} for name, password in passwords.items()]
        private_file(self.directory / file, yaml({"users": rows}) + "\n")

    def _legacy_credentials(self) -> pathlib.Path:
        rows = [{"principal": name, "username": name,
                 "password_file": private_file(self.directory / f"{name}.password", f"{name}-at-the-broker")}
                for name in ("orders", "payments")]
        return private_file(self.directory / "legacy.yaml", yaml({"credentials": rows}) + "\n")

    def _legacy(self) -> dict:
        row = {"name": "legacy", "match": {"node_ids": "1"}, "protocol": "SASL_PLAINTEXT", "login": self.legacy_login}
        if self.legacy_login == "sasl":
            row["sasl"] = {"mechanism": "SCRAM-SHA-512", "credentials_file": self._legacy_credentials()}
        return row

    def _listener(self, name: str, base: int) -> dict:
        return {"name": name, "role": "clients", "cluster": "main", "bind": self.host, "port": base + 19,
                "advertised_host": self.shown, "node_base_port": base, "node_ports_max": 19,
                "mechanisms": ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], "allow_plain_without_tls": True}

    def _config(self, limits: dict, integrity: str) -> dict:
        certificates = self.certificates
        tls = {"chain": certificates["listener"].chain, "key": certificates["listener"].key, "client_auth": "none"}
        password = private_file(self.directory / "setu.password", "setu-at-the-broker")
        ca = self.authority.certificate
        return {
            "log": {"level": "info", "format": "json", "file": "-"},
            # A disk that a busy machine lets wait is not what is tested here.
            "audit": {"file": self.directory / "audit.log", "on_failure": "deny", "unsynced_max_ms": 60000},
            "limits": {"drain_timeout_ms": 1000, "login_failure_delay_ms": 50, "connections": 20000} | limits,
            "integrity": {"crc": integrity},
            "certificates": [{"name": name, "chain": certificates[name].chain, "key": certificates[name].key}
                             for name in ("setu", "orders", "payments")],
            "users": {"file": self.directory / "users.yaml"},
            "mapping": [{"principal": name, "certificate": name} for name in ("orders", "payments")],
            "clusters": [{
                "name": "main",
                "bootstrap": [f"{self.broker_host}:{broker.port}" for broker in self.brokers.values()],
                "identity": {"certificate": "setu", "sasl": {"mechanism": "SCRAM-SHA-512", "username": "setu",
                                                             "password_file": password}},
                "generations": [
                    self._legacy(),
                    {"name": "ajna", "match": {"node_ids": "2"}, "protocol": "SSL", "login": "mapped-certificate",
                     "tls": {"ca": ca}}],
            }],
            "listeners": [self._listener("clients", self.base),
                          self._listener("secure", self.tls_base) | {"tls": tls}],
        }

    # --- life ---

    def start(self) -> "Stage":
        try:
            for broker in self.brokers.values():
                broker.start()
            private_file(self.config_file, yaml(self.config) + "\n")
            command = [self.program, "run", "-c", self.config_file, "--stats-file", self.stats_file]
            if self.descriptors:
                command = ["prlimit", f"--nofile={self.descriptors}:{self.descriptors}", "--", *command]
            self.process = Process("setu", [*self.wrap, *command], self.log)
            self.process.start()
            self.process.wait_ready(self.serves, 30)
        except BaseException:
            self.close()
            raise
        return self

    def kill_and_restart(self, wait: bool = True) -> None:
        """kill -9 Setu, and start it again."""
        self.process.kill()
        self.start_again(wait)

    def start_again(self, wait: bool = True) -> None:
        """Setu has ended; the next life has a log of its own."""
        text = self.log.read_text(errors="replace")
        if "Sanitizer" in text or "runtime error:" in text:
            raise AssertionError(f"a sanitizer spoke:\n{tail(self.log, 80)}")
        self.log = self.process.log = self.directory / f"setu-{self.process.pid}.log"
        self.process.start()
        if wait:
            self.process.wait_ready(self.serves, 30)

    def serves(self) -> bool:
        """All its ports take connections."""
        try:
            for port in (self.port, self.tls_port, *(self.node_port(node) for node in NODES)):
                Raw(port, 1, host=self.host).close()
            return True
        except OSError:
            return False

    def close(self) -> list[str]:
        """Ends everything; what was wrong with how it ended. A second call does nothing."""
        wrong = []
        if not self.directory.exists():
            return wrong
        if self.process and self.process.popen:
            by_itself = self.process.popen.poll()
            status = self.process.stop(30)
            text = self.log.read_text(errors="replace")
            if by_itself is not None:
                wrong.append(f"setu ended by itself with {by_itself}")
            elif status != 0:
                wrong.append(f"setu's exit status after SIGTERM: {status}")
            if "Sanitizer" in text or "runtime error:" in text:
                wrong.append("a sanitizer spoke")
            wrong += self._books() if not wrong else [tail(self.log, 80)]
        for broker in self.brokers.values():
            status = broker.stop()
            if status != 0:
                wrong.append(f"broker {broker.node_id}'s exit status: {status}\n{tail(broker.log, 40)}")
        if wrong:
            self.keep()
        shutil.rmtree(self.directory, ignore_errors=True)
        return wrong

    def keep(self) -> pathlib.Path:
        """Copies the logs to where they stay."""
        target = ROOT / "build" / "logs" / "integration" / self.directory.name
        for file in self.directory.glob("*"):
            if file.suffix in (".log", ".yaml", ".prom"):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
        return target

    def _books(self) -> list[str]:
        """What went in has come out: gauges at zero, and the counters and the log agree about every close."""
        stats, wrong = self.stats(), []
        closed = {labels["cause"]: int(n) for labels, n in stats["client_disconnects_total"]}
        accepted = sum(int(n) for labels, n in stats["client_connections_total"] if labels["outcome"] == "accepted")
        for gauge in ("client_connections", "client_logins_in_progress", "broker_connections"):
            if stats[gauge][0][1] != 0:
                wrong.append(f"setu_{gauge} is {stats[gauge][0][1]} at the end")
        if accepted != sum(closed.values()):
            wrong.append(f"{accepted} connections accepted, {sum(closed.values())} closed")
        if stats["log_lines_dropped_total"][0][1] == 0 and closed != dict(self.closes()):
            wrong.append(f"closes counted {closed}, logged {dict(self.closes())}")
        return wrong

    # --- clients ---

    def node_port(self, node: int, tls: bool = False) -> int:
        return (self.tls_base if tls else self.base) + node

    def raw(self, port: int | None = None, **options) -> Raw:
        return Raw(port or self.port, host=self.host, **options)

    def client(self, node: int | None = None, user: str = "orders", mechanism: str = "SCRAM-SHA-512", tls: bool = False,
               **options) -> Client:
        port = self.node_port(node, tls) if node is not None else self.tls_port if tls else self.port
        return Client(port, user, PASSWORDS[user], mechanism, tls=self.tls() if tls else None,
                      host=self.host, **options)

    def broker_client(self, node: int, **options) -> Client:
        """A client of the broker itself, without Setu and without a login."""
        return Client(self.brokers[node].plain, **options)

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.certificate))

    def check_good_client(self, case: unittest.TestCase, user: str = "payments") -> None:
        """A client that has done nothing wrong finds the cluster, writes to both nodes and reads what it wrote."""
        value = os.urandom(8).hex().encode()
        with self.client(user=user) as client:
            brokers, leaders = client.metadata(["good"])
            case.assertEqual(brokers, {node: (self.shown, self.node_port(node)) for node in NODES})
        for partition, node in enumerate(leaders["good"]):
            with self.client(node, user) as client:
                error, base = client.produce("good", partition, kafka_client.batch([value]))
                case.assertEqual(error, 0)
                error, records = client.fetch("good", partition, base)
                case.assertEqual(error, 0)
                case.assertIn(value, records)

    # --- what Setu says ---

    def mark(self) -> int:
        """Where the log ends: what happened until now is before it."""
        hear_out(self.process)
        return self.log.stat().st_size

    def events(self, mark: int = 0, name: str | None = None, end: int | None = None) -> list[dict]:
        """Whole log lines since the mark, or between two."""
        with open(self.log, "rb") as log:
            log.seek(mark)
            lines = log.read(-1 if end is None else end - mark).rpartition(b"\n")[0].splitlines()
        rows = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [row for row in rows if name in (None, row.get("event"))]

    def told(self, mark: int = 0, name: str | None = None) -> list[dict]:
        """events(), with all that Setu had to say when this call began."""
        hear_out(self.process)
        return self.events(mark, name)

    def audited(self, outcome: str, count: int) -> list[dict]:
        """All audit records with this outcome once there are so many, or after a minute: their writer lags behind, too."""
        deadline = time.monotonic() + 60
        while True:
            late = time.monotonic() > deadline
            done = subprocess.run([self.program, "audit", "query", "--outcome", outcome, "-o", "json",
                                   self.directory / "audit.log"], capture_output=True, text=True, timeout=60)
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            if late or len(rows) >= count:
                return rows
            time.sleep(0.05)

    def closes(self, mark: int = 0) -> collections.Counter:
        return collections.Counter(row["reason"] for row in self.events(mark, "session_closed"))

    def told_closes(self, mark: int = 0) -> collections.Counter:
        """closes(), with all that Setu had to say when this call began."""
        return collections.Counter(row["reason"] for row in self.told(mark, "session_closed"))

    def stats(self) -> dict[str, list[tuple[dict, float]]]:
        """The stats file: metric without `setu_` → rows of labels and number."""
        found = collections.defaultdict(list)
        for line in self.stats_file.read_text().splitlines():
            match = re.fullmatch(r"setu_(\w+)(?:\{(.*)\})? (\S+)", line)
            if match:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                found[match[1]].append((labels, float(match[3])))
        return found

    def fresh_stats(self) -> dict[str, list[tuple[dict, float]]]:
        """Counted after this call began."""
        before = [self.stats_file.stat().st_ino]

        def rewritten():
            inode = self.stats_file.stat().st_ino
            if inode != before[-1]:
                before.append(inode)
            return len(before) > 2  # the one under way may have been counted earlier

        wait_until(rewritten, 10, "the stats file is rewritten")
        return self.stats()

    def audit_bytes(self) -> bytes:
        """The audit log, with all that had happened when this call began."""
        wait_until(lambda: self.fresh_stats()["audit_queue"] == [({}, 0)], 20, "no audit event waits")
        return (self.directory / "audit.log").read_bytes()

    def number(self, metric: str, **labels) -> int:
        return int(sum(n for row, n in self.fresh_stats()[metric] if labels.items() <= row.items()))

    # --- what it costs ---

    def _memory(self, field: str) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024

    def rss(self) -> int:
        """Resident bytes now; rss_peak() counts from here on."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def rss_peak(self) -> int:
        return self._memory("VmHWM")

    def descriptors_open(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class StageTest(unittest.TestCase):
    """Tests on one stage. During each a client stays connected that must not notice anything."""

    measures_memory = False
    stage_options: dict = {}
    longMessage = True

    @classmethod
    def setUpClass(cls):
        program = release_program() if cls.measures_memory else setu_program()
        for needed in (program, broker_program()):
            if not needed.is_file():
                raise unittest.SkipTest(f"{needed} is not built")
        cls.stage = Stage(program, **cls.stage_options)
        cls.addClassCleanup(cls._close)
        cls.arrange(cls.stage)
        cls.stage.start()

    @classmethod
    def arrange(cls, stage: Stage) -> None:
        """What a class changes before it starts."""

    @classmethod
    def _close(cls):
        wrong = cls.stage.close()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def setUp(self):
        self.mark = self.stage.mark()
        self.steady = self.stage.client(user="payments")
        self.addCleanup(self.steady.close)

    def tearDown(self):
        for broker in self.stage.brokers.values():
            broker.clear()
        self.assertEqual(set(self.steady.metadata(["good"])[0]), set(NODES), "the client that was there all the time")
        self.steady.close()
        self.stage.check_good_client(self)

    def closed(self, reasons: dict[str, int] | None = None, timeout_s: float = 20, **more: int) -> None:
        """Exactly these closes since the test began, those of clients that went by themselves aside."""
        expected = collections.Counter({**(reasons or {}), **more})

        def seen():
            found = self.stage.closes(self.mark)
            return collections.Counter({k: n for k, n in found.items() if k in expected or k != "client_closed"})

        try:
            wait_until(lambda: seen() == expected, timeout_s, "closes", 0.02)
        except TimeoutError:
            self.assertEqual(seen(), expected)

    def only_closed(self, *reasons: str) -> None:
        """No close since the test began had another reason, those of clients that went by themselves aside."""
        self.assertLessEqual(set(self.stage.told_closes(self.mark)), {"client_closed", *reasons})

    def remark(self) -> None:
        """What has happened until now is of before."""
        self.mark = self.stage.mark()
