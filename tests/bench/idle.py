# SPDX-License-Identifier: Apache-2.0
"""Row 11: the memory of connections that do nothing."""

import json
import pathlib
import re
import statistics
import sys
import time

from tests.bench import contenders, generator, lines
from tests.bench.processes import BenchFailed
from tests.bench.stage import PLAIN_MTLS

NAME = "idle"
ROWS = (11,)
GOAL_KB, GOAL_GROWTH = 45, 1.01
CONNECTIONS = 10000
SPARE_DESCRIPTORS = 200
SETTLE_S, EVERY_S = 2, 1


def connections(wanted: int) -> int:
    """As many of these as a proxy has descriptors for."""
    return min(wanted, (generator.descriptors_max() - SPARE_DESCRIPTORS) // 2)


def run(stage, options, _chooser) -> list[dict]:
    """Each connection has logged in, shaken hands with the broker, and done one Produce; then it rests. KB are 1,024 bytes
    of the proxy's resident memory, less what it had before; what the kernel holds for sockets is not in it."""
    conns = connections(2000 if options.quick else CONNECTIONS)
    seconds = 15 if options.quick else 60
    own = {}
    for name in ("setu", "haproxy-default"):
        if not contenders.missing(name):
            own[name] = _hold(stage, name, conns, seconds)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    more = {"contenders": own, "conns": conns}
    what = f"{conns:,} idle connections, plain→mTLS"
    return [
        lines.goal_line(11, f"{what}: KB each", own["setu"]["kb_each"], GOAL_KB, **more),
        lines.goal_line(11, f"{what}: memory at the end of {seconds} s ÷ at their start", own["setu"]["growth"],
                        GOAL_GROWTH, **more),
        lines.goal_line(None, f"{what}: share of it given back when all have closed", own["setu"]["given_back"], None,
                        **more)]


def memory_kb(pid: int) -> dict:
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {label: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1])
            for label, name, text in (("rss", "Rss", rollup), ("pss", "Pss", rollup), ("hwm", "VmHWM", status))}


def _hold(stage, name: str, conns: int, seconds: float) -> dict:
    contender = contenders.start(stage, PLAIN_MTLS, name)
    try:
        before = memory_kb(contender.process.pid)
        began = time.monotonic()
        gen = generator.Kept(stage, contender, "--hold", "--conns", conns, "--batch-bytes", 100, "--duration", 3600)
        if json.loads(gen.line())["held"] != conns:
            raise BenchFailed("not all connections are up")
        up_s = time.monotonic() - began
        time.sleep(SETTLE_S)
        seen = _watch(contender.process.pid, gen.process, seconds)
        gen.stop()
        time.sleep(SETTLE_S * 3)
        after = memory_kb(contender.process.pid)
    finally:
        contenders.stop(stage, contender)
    grown = max(s["rss"] for s in seen) - before["rss"]
    third = max(1, len(seen) // 3)
    first, last = (statistics.mean(s["rss"] for s in part) for part in (seen[:third], seen[-third:]))
    return {"kb_each": round(grown / conns, 3), "growth": round(last / first, 5),
            "given_back": round(1 - (after["rss"] - before["rss"]) / grown, 4), "up_s": round(up_s, 2),
            **{f"{label}_kb": {"before": before[label], "idle": seen[-1][label], "closed": after[label]}
               for label in before}}


def _watch(pid: int, gen, seconds: float) -> list[dict]:
    seen, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        seen.append(memory_kb(pid))
        if gen.poll() is not None:
            raise BenchFailed("connections did not stay up")
        time.sleep(EVERY_S)
    return seen
