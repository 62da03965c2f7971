# SPDX-License-Identifier: Apache-2.0
"""What the process denies itself, and what is not to be found in its memory."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import struct
import tempfile
import threading
import time

from tests.integration import kafka_client as kafka
from tests.integration import shim
from tests.integration.stage import PASSWORDS, Stage, StageTest
from tests.rig.process import Process, wait_until

CHUNK_BYTES = 1 << 24


def status(task: pathlib.Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)


def memory(pid: int):
    """All that can be read of a process, in pieces that overlap."""
    regions = re.findall(r"(?m)^([0-9a-f]+)-([0-9a-f]+) rw", pathlib.Path(f"/proc/{pid}/maps").read_text())
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for begin, end in ((int(a, 16), int(b, 16)) for a, b in regions):
            for at in range(begin, end, CHUNK_BYTES):
                with contextlib.suppress(OSError, OverflowError):  # shadow of a sanitizer, gaps
                    file.seek(at)
                    yield file.read(min(CHUNK_BYTES, end - at) + 64)


def aborted(pid: int) -> int:
    """SIGABRT, and how it ended: CLD_KILLED, or CLD_DUMPED. It is not reaped."""
    os.kill(pid, signal.SIGABRT)
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_code


class Sandbox(StageTest):
    def test_t77_every_thread_is_in_the_sandbox(self):
        pid = self.stage.process.pid
        with self.stage.client(1) as client:
            client.metadata()
            tasks = [status(task) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        self.assertGreaterEqual(len(tasks), 3)
        self.assertEqual({(task["Seccomp"].strip(), task["NoNewPrivs"].strip()) for task in tasks}, {("2", "1")})
        self.assertTrue(self.stage.told(0, "seccomp_on"))


class InTwo(kafka.Client):
    """What it sends comes in two pieces, the second of which has the password."""

    def send(self, data: bytes) -> "InTwo":
        super().send(data[:-20])
        time.sleep(0.02)
        return super().send(data[-20:])


class MemoryTest(StageTest):
    """In the release build: a sanitizer keeps what is freed, and terabytes to look through."""

    measures_memory = True

    def found(self, secret: bytes) -> int:
        return sum(piece.count(secret) for piece in memory(self.stage.process.pid))

    def none_left(self, secret: str, port: int, tls: bool = False) -> None:
        """Three connections by PLAIN, open and at work, two of them after a renewal (KIP-368), and `secret` nowhere."""
        with contextlib.ExitStack() as stack:
            context = self.stage.tls() if tls else None
            clients = [stack.enter_context(one(port, "orders", secret, "PLAIN", tls=context))
                       for one in (kafka.Client, kafka.Client, InTwo)]
            for client in clients:
                client.metadata()
            self.assertEqual(self.found(secret.encode()), 0)
            for client in clients[:0:-1]:
                client.log_in("orders", secret, "PLAIN")
            self.assertEqual(self.found(secret.encode()), 0)

    def none_left_of_a_wrong_one(self, port: int, secret: str) -> None:
        with self.assertRaises(PermissionError):
            kafka.Client(port, "orders", secret, "PLAIN")
        self.assertEqual(self.found(secret.encode()), 0)


class Memory(MemoryTest):
    @classmethod
    def arrange(cls, stage):
        for listener in stage.config["listeners"]:
            listener["session_lifetime_ms"] = 60000

    def test_the_search_finds_what_is_there(self):
        with self.stage.client(1) as client:
            client.metadata()
            self.assertGreater(self.found(b"payments"), 0, "a principal is no secret")

    def test_t76_no_password_is_left(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                self.none_left(PASSWORDS["orders"], self.stage.node_port(1, tls), tls)

    def test_t76_nor_of_a_renewal_that_was_wrong(self):
        with self.stage.client(1, mechanism="PLAIN") as client:
            with self.assertRaises(PermissionError):
                client.log_in("orders", "wrong-when-renewed", "PLAIN")
        self.assertEqual(self.found(b"wrong-when-renewed"), 0)

    def test_t76_nor_of_one_that_was_wrong(self):
        for token in (b"\0orders\0wrong-but-secret", b"\0unheard-of\0wrong-but-secret", b"\0\0\0wrong-but-secret"):
            with kafka.Client(self.stage.port) as client:
                client.handshake("PLAIN")
                with self.assertRaises(PermissionError):
                    client.authenticate(token)
        self.assertEqual(self.found(b"wrong-but-secret"), 0)

    def test_t76_no_core(self):
        limits = pathlib.Path(f"/proc/{self.stage.process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")

    def test_t76_abort_leaves_no_core(self):
        """A core_pattern with a pipe has no regard for the limit nor for Landlock: not being dumpable is alone here."""
        if not shim.library().is_file():
            self.skipTest(f"{shim.library()} is not built")
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="setu-abort-")))
        dumping = ["prlimit", "--core=unlimited", "--", "env", f"--chdir={folder}", *shim.before(SETU_SHIM_CORE="1")]
        stage = Stage(self.stage.program, wrap=dumping)
        stage.config["security"] = {"landlock": "off"}
        with contextlib.closing(stage):
            process = stage.start().process
            limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size\s+unlimited")
            self.assertEqual(aborted(process.pid), os.CLD_KILLED, "no core was written")
            self.assertEqual(process.wait(20), -signal.SIGABRT)
            stage.process = None  # it has ended, and not as close() would want it
            self.assertEqual(list(folder.iterdir()), [])
        other = Process("sleep", [*dumping, "sleep", "60"], folder / "log").start()
        wait_until(lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", 60, "it sleeps")
        dumped = aborted(other.pid) == os.CLD_DUMPED
        other.wait(20)
        if not dumped:
            self.skipTest("this machine writes no core of a process that may leave one either")

    def test_who_starts_programs_knows_nothing(self):
        """The launcher was forked before a secret was read, and holds no connection."""
        pid = self.stage.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.assertEqual(len(children), 1)
        self.assertEqual(pathlib.Path(f"/proc/{children[0]}/comm").read_text(), "setu-launcher\n")
        with self.stage.client(1) as client:
            client.metadata()
            links = [os.readlink(link) for link in pathlib.Path(f"/proc/{children[0]}/fd").iterdir()]
        self.assertEqual(sum(link.startswith("socket:") for link in links), 1, links)
        for secret in (b"PRIVATE KEY", b"setu-at-the-broker", b"stored_key"):
            self.assertFalse(any(secret in piece for piece in memory(int(children[0]))), secret)


class FakeSaslauthd:
    """Says yes to one password, to anybody."""

    def __init__(self, path: pathlib.Path, password: str):
        self.socket, self.password = socket.socket(socket.AF_UNIX), password.encode()
        self.socket.bind(str(path))
        self.socket.listen(20)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                with self.socket.accept()[0] as asked, asked.makefile("rb") as file, contextlib.suppress(OSError, struct.error):
                    fields = [file.read(struct.unpack(">H", file.read(2))[0]) for _ in range(4)]
                    answer = b"OK" if fields[1] == self.password else b"NO"
                    asked.sendall(struct.pack(">H", len(answer)) + answer)

    def close(self) -> None:
        self.socket.close()


class MemoryOfOthersPasswords(MemoryTest):
    """Passwords that somebody else judges: the broker behind node 1's port (passthrough), saslauthd at all others."""

    stage_options = {"legacy_login": "passthrough", "broker_options": {1: ["--session", 60000]}}

    @classmethod
    def arrange(cls, stage):
        stage.config["users"]["saslauthd"] = stage.directory / "mux"
        cls.judge = FakeSaslauthd(stage.directory / "mux", "known-to-saslauthd")
        cls.addClassCleanup(cls.judge.close)
        for listener in stage.config["listeners"]:
            listener["session_lifetime_ms"] = 60000

    def test_t76_no_password_is_left_that_saslauthd_judges(self):
        self.none_left("known-to-saslauthd", self.stage.node_port(2))
        self.none_left_of_a_wrong_one(self.stage.node_port(2), "unknown-to-saslauthd")

    def test_t76_no_password_is_left_that_a_broker_judges(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                self.none_left(PASSWORDS["orders"], self.stage.node_port(1, tls), tls)
        self.none_left_of_a_wrong_one(self.stage.node_port(1), "unknown-to-the-broker")
