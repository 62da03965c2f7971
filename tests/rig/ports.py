# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports, below the range the kernel hands out to connecting sockets. SETU_TEST_PORTS=LOWEST-HIGHEST keeps processes
that run side by side apart: a port is free until it is used, and another could be quicker."""

import errno
import os
import random
import socket

LOWEST, HIGHEST = map(int, os.environ.get("SETU_TEST_PORTS", "15000-32000").split("-"))
_taken: dict[int, None] = {}  # in the order in which they were handed out
_next = random.SystemRandom().randrange(LOWEST, HIGHEST)


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


def _next_block(count: int) -> int | None:
    """From where the last one ended, once around."""
    global _next
    for _ in range(HIGHEST - LOWEST):
        first = _next if _next + count <= HIGHEST else LOWEST
        busy = [first + i for i in range(count) if not _free(first + i)]
        _next = busy[-1] + 1 if busy else first + count
        if not busy:
            return first
    return None


def free_block(count: int) -> int:
    """The first of `count` free ports in a row. A process is given none twice, until it has had them all: then the
    older half of them may come again."""
    for _ in range(2):
        first = _next_block(count)
        if first is not None:
            _taken.update(dict.fromkeys(range(first, first + count)))
            return first
        for port in list(_taken)[:len(_taken) // 2]:
            del _taken[port]
    raise RuntimeError(f"no {count} free TCP ports in a row between {LOWEST} and {HIGHEST}")


def free_port() -> int:
    return free_block(1)
