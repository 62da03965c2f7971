# SPDX-License-Identifier: Apache-2.0
"""A network namespace with one way out: a virtual cable to an address of this machine, where Setu listens."""

import os
import pathlib
import subprocess
import unittest

from tests.rig.process import wait_until


def _ip(*words) -> None:
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")


class Namespace:
    """`outside` is this machine's end and the only address that can be reached from inside, by what run() starts there;
    127.0.0.1 there is another 127.0.0.1, on which nobody listens."""

    def __init__(self):
        # At most 15 characters; addresses of 198.18.0.0/15, which is for tests of networks (RFC 2544).
        number = os.getpid() % (1 << 15)
        self.name, self.link = f"setu-{number}", f"setu{number}"
        block = number * 4
        prefix = f"198.{18 + (block >> 16)}.{block >> 8 & 255}"
        self.outside, self.inside = f"{prefix}.{(block & 255) + 1}", f"{prefix}.{(block & 255) + 2}"

    def open(self) -> "Namespace":
        """Raises SkipTest, with the reason, where such a thing may not be made."""
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self.link, "type", "veth", "peer", "name", "out", "netns", self.name)
            _ip("address", "add", f"{self.outside}/30", "dev", self.link)
            _ip("link", "set", self.link, "up")
            _ip("-n", self.name, "address", "add", f"{self.inside}/30", "dev", "out")
            _ip("-n", self.name, "link", "set", "out", "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except (OSError, RuntimeError) as error:
            self.close()
            raise unittest.SkipTest(f"NO NETWORK NAMESPACE, isolation is not tested: {error}") from None
        wait_until(lambda: pathlib.Path(f"/sys/class/net/{self.link}/operstate").read_text().strip() == "up", 10,
                   f"{self.link} up")
        return self

    def close(self) -> None:
        for words in (("link", "delete", self.link), ("netns", "delete", self.name)):
            subprocess.run(["ip", *words], capture_output=True)

    def run(self, argv: list, timeout_s: float = 120, **options) -> subprocess.CompletedProcess:
        return subprocess.run(["ip", "netns", "exec", self.name, *map(str, argv)], capture_output=True, text=True,
                              timeout=timeout_s, **options)

    def _read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def dials(self) -> int:
        """TCP connections begun in the namespace since it exists, to anywhere (ActiveOpens of RFC 4022)."""
        names, values = (line.split() for line in self._read("/proc/net/snmp").splitlines() if line.startswith("Tcp:"))
        return int(values[names.index("ActiveOpens")])

    def loopback_packets(self) -> int:
        """Packets sent on the loopback of the namespace: a dial to 127.0.0.1 is one."""
        line, = (line for line in self._read("/proc/net/dev").splitlines() if line.strip().startswith("lo:"))
        return int(line.split()[10])
