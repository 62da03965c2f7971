# SPDX-License-Identifier: Apache-2.0
"""Networks of a test's own: what happens there is seen by nobody else.

    this process, brokers, clients          Setu
      10.77.0.1 ─────── lossy_wire ─────── 10.77.0.2         two namespaces; both legs of Setu use the cable
"""

import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tests.rig.process import Process, wait_until

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.77.0.1", "10.77.0.2"
LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class PrivateNetwork:
    """Between open() and close() this thread, and all that it starts, are in a network namespace of their own, with a
    loopback only. Raises SkipTest, with the reason, where such a thing may not be made."""

    def __init__(self):
        self.before: int | None = None

    def open(self) -> "PrivateNetwork":
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _call("unshare", CLONE_NEWNET)
        except OSError as error:
            os.close(before)
            raise unittest.SkipTest(f"NO NETWORK NAMESPACE: {error}") from None
        self.before = before
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return self

    def close(self) -> None:
        if self.before is not None:
            _call("setns", self.before, CLONE_NEWNET)
            os.close(self.before)
            self.before = None

    @staticmethod
    def reset(*words: str) -> int:
        """Ends TCP connections of this namespace with a reset, at both ends; how many. `words`: an `ss` filter."""
        done = subprocess.run(["ss", "-H", "-t", "-K", *words], capture_output=True, text=True)
        return len(done.stdout.splitlines())


class LossyNetwork(PrivateNetwork):
    """Two namespaces and a cable that order() makes bad. `wrap` is what starts a program at the other end."""

    def __init__(self, seed: int = 1):
        super().__init__()
        self.name = f"setu-wire-{os.getpid()}"
        self.wrap = ["ip", "netns", "exec", self.name]
        self.seed, self.wire = seed, None
        self.directory: tempfile.TemporaryDirectory | None = None

    def open(self) -> "LossyNetwork":
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            raise unittest.SkipTest("NO /dev/net/tun: a bad network is not tested")
        super().open()
        self.directory = tempfile.TemporaryDirectory(prefix="setu-wire-")
        log = pathlib.Path(self.directory.name) / "wire.log"
        script = pathlib.Path(__file__).with_name("lossy_wire.py")
        self.wire = Process("wire", [sys.executable, script, self.name, HERE, THERE, self.seed], log,
                            stdin=subprocess.PIPE)
        try:
            subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True)
            self.wire.start()
            self.wire.wait_ready(lambda: "ready" in log.read_text(), 10)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            self.close()
            raise unittest.SkipTest(f"NO TUN CABLE: {error}") from None
        return self

    def order(self, **how: float) -> None:
        log = self.wire.log
        done = log.read_text().count("done")
        words = " ".join(f"{key}={value}" for key, value in how.items())
        self.wire.popen.stdin.write(words.encode() + b"\n")
        self.wire.popen.stdin.flush()
        wait_until(lambda: log.read_text().count("done") > done, 20, "the cable changes")

    def heal(self) -> None:
        self.order(loss=0, reorder=0, twice=0, delay_ms=0)

    def close(self) -> None:
        if self.wire is not None and self.wire.popen is not None:
            self.wire.popen.stdin.close()
            self.wire.stop(5)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)
        if self.directory is not None:
            self.directory.cleanup()
        super().close()
