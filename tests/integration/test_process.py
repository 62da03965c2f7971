# SPDX-License-Identifier: Apache-2.0
"""What the process denies itself, and what is not to be found in its memory."""

import contextlib
import os
import pathlib
import re

from tests.integration import kafka_client as kafka
from tests.integration.stage import PASSWORDS, Stage, StageTest

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


class Sandbox(StageTest):
    def test_t77_every_thread_is_in_the_sandbox(self):
        pid = self.stage.process.pid
        with self.stage.client(1) as client:
            client.metadata()
            tasks = [status(task) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        self.assertGreaterEqual(len(tasks), 3)
        self.assertEqual({(task["Seccomp"].strip(), task["NoNewPrivs"].strip()) for task in tasks}, {("2", "1")})
        self.assertTrue(self.stage.events(0, "seccomp_on"))


class Memory(StageTest):
    """In the release build: a sanitizer keeps what is freed, and terabytes to look through."""

    measures_memory = True

    def found(self, secret: bytes) -> int:
        return sum(piece.count(secret) for piece in memory(self.stage.process.pid))

    def test_the_search_finds_what_is_there(self):
        with self.stage.client(1) as client:
            client.metadata()
            self.assertGreater(self.found(b"payments"), 0, "a principal is no secret")

    def test_t76_no_password_is_left(self):
        secret = PASSWORDS["orders"].encode()
        for tls in (False, True):
            with self.subTest(tls=tls), contextlib.ExitStack() as stack:
                for _ in range(3):
                    stack.enter_context(self.stage.client(1, mechanism="PLAIN", tls=tls)).metadata()
                self.assertEqual(self.found(secret), 0)

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
