# SPDX-License-Identifier: Apache-2.0
"""A million messages a second, no more: how much of one core that takes, and how long an acknowledgement takes."""

import sys

from tests.bench import contenders, lines, measure
from tests.bench.stage import PLAIN_MTLS, PLAIN_PLAIN

NAME = "paced"
ROWS = ()
LIMIT_S = 1800
RATE = 1_000_000
FRAMES = (16384, 65536)
NAMES = ("direct", "setu", "setu-fast-aes", "haproxy-64k", "haproxy-tuned")
KEPT = 0.99  # of the rate, or the load was not what it says


def run(stage, options, chooser) -> list[dict]:
    """Open loop: a batch is sent when it is due, and its latency counts from then."""
    names = [n for n in NAMES if n in options.names and not contenders.missing(n, stage)]
    rounds = min(options.rounds, 3 if options.quick else 7)
    found = []
    for row in (PLAIN_PLAIN, PLAIN_MTLS):
        for frame in FRAMES:
            print(f"{row.name} {frame // 1024} KiB ", end="", file=sys.stderr, flush=True)
            found += _scene(stage, row, frame, names, rounds, chooser)
            print(file=sys.stderr)
    return found


def _scene(stage, row, frame: int, names, rounds: int, chooser) -> list[dict]:
    of = measure.Shape(seconds=1.5, warmup=0.5, inflight=100, batch_bytes=frame, rate=RATE)
    started = []
    try:
        started += [contenders.start(stage, row, name) for name in names]
        done, dropped = measure.interleave(started, rounds, lambda c: measure.load(stage, row, c, of), chooser)
    finally:
        for contender in started:
            contenders.stop(stage, contender)
    own = measure.medians(done)
    where = f"1 M msg/s, {frame // 1024} KiB, {row.name}"
    found = [{"scene": where, "paced": True, "rounds": len(done), "dropped": dropped, "contenders": own}]
    late = [n for n, f in own.items() if f["records_per_s"] < KEPT * RATE]
    for theirs in (n for n in ("haproxy-64k", "haproxy-tuned") if n in own and "setu" in own):
        for key, what in (("busy", "CPU"), ("p50_us", "p50"), ("p99_us", "p99")):
            found.append(lines.goal_line(None, f"{where}: {what} setu ÷ {theirs}",
                                         measure.ratios(done, "setu", theirs, key), None, contenders=own,
                                         dropped=dropped, below_rate=late))
    return found
