# SPDX-License-Identifier: Apache-2.0
"""A bad cable between two network namespaces: IP packets are lost, doubled, delayed, and overtake each other.

python3 lossy_wire.py NAMESPACE ADDRESS PEER-ADDRESS SEED: one end, a TUN device, is in the namespace it is started in,
the other in NAMESPACE. Good at first; each line of input says how it is from then on:

    loss=0.02 reorder=0.2 twice=0.01 delay_ms=3
"""

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE, MTU = "wire", 1500


def tun(address: str) -> int:
    """A TUN device of the namespace this thread is in now, up, with this address."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    for words in (f"address add {address}/24 dev {DEVICE}", f"link set {DEVICE} mtu {MTU} txqueuelen 5000 up",
                  "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    return device


class Wire:
    def __init__(self, ends: list[int], seed: int):
        self.ends, self.random = ends, random.Random(seed)
        self.loss = self.reorder = self.twice = self.delay_ms = 0.0
        self.waiting: list[tuple[float, int, int, bytes]] = []
        self.count = 0

    def order(self, line: str) -> None:
        for word in line.split():
            name, _, value = word.partition("=")
            setattr(self, name, float(value))

    def _later(self, to: int, packet: bytes, delay_s: float) -> None:
        self.count += 1
        heapq.heappush(self.waiting, (time.monotonic() + delay_s, self.count, to, packet))

    def carry(self, from_end: int, packet: bytes) -> None:
        to = self.ends[1] if from_end == self.ends[0] else self.ends[0]
        if self.random.random() < self.loss:
            return
        delay_s = self.delay_ms / 1000
        if self.random.random() < self.reorder:
            delay_s += self.random.uniform(0.0005, 0.01)
        if self.random.random() < self.twice:
            self._later(to, packet, delay_s + 0.001)
        if delay_s > 0:
            self._later(to, packet, delay_s)
        else:
            self.put(to, packet)

    @staticmethod
    def put(to: int, packet: bytes) -> None:
        try:
            os.write(to, packet)
        except BlockingIOError:
            pass  # a full queue: lost, as on any cable

    def due(self) -> float | None:
        """Puts what is due; the time until the next."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(self.waiting)
            self.put(to, packet)
        return max(0.0, self.waiting[0][0] - now) if self.waiting else None


def main() -> None:
    namespace, address, peer, seed = sys.argv[1:]
    ours = tun(address)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(there, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    wire = Wire([ours, tun(peer)], int(seed))
    selector = selectors.DefaultSelector()
    for end in (*wire.ends, 0):
        selector.register(end, selectors.EVENT_READ)
    print("ready", flush=True)
    rest = b""
    while True:
        for key, _ in selector.select(wire.due()):
            if key.fd == 0:
                data = os.read(0, 4096)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    wire.order(line.decode())
                    print("done", flush=True)
                continue
            for _ in range(64):
                try:
                    wire.carry(key.fd, os.read(key.fd, 65536))
                except BlockingIOError:
                    break


if __name__ == "__main__":
    main()
