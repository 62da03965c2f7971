# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports, below the range the kernel hands out to connecting sockets. SETU_TEST_PORTS=LOWEST-HIGHEST keeps processes
that run side by side apart: a port is free until it is used, and another could be quicker."""

import errno
import os
import random
import socket

LOWEST, HIGHEST = map(int, os.environ.get("SETU_TEST_PORTS", "15000-32000").split("-"))
_taken: set[int] = set()


def _free(port: int) -> bool:
    if port in _taken:
        return False
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT or error.errno == errno.EADDRNOTAVAIL:
                continue
            return False
    return True


def free_block(count: int) -> int:
    """The first of `count` free ports in a row. Never hands out the same port twice in one process."""
    chooser = random.SystemRandom()
    for _ in range(1000):
        first = chooser.randrange(LOWEST, HIGHEST - count)
        if all(_free(first + i) for i in range(count)):
            _taken.update(range(first, first + count))
            return first
    raise RuntimeError(f"no {count} free TCP ports in a row between {LOWEST} and {HIGHEST}")


def free_port() -> int:
    return free_block(1)
