# SPDX-License-Identifier: Apache-2.0
"""Row 8: what a proxy adds to one small request at a time, everything on one core."""

import random
import statistics
import sys

from tests.bench import contenders, generator, lines, measure
from tests.bench.processes import LOAD_CPU
from tests.bench.stage import PLAIN_MTLS, PLAIN_PLAIN

NAME = "latency"
ROWS = (8,)
GOAL_ADDED, GOAL_TAIL = 0.85, 1.00
PEERS = ("haproxy-default", "haproxy-64k")
RESAMPLES = 500
RECORD_BYTES = 100


def run(stage, options, chooser) -> list[dict]:
    """A Produce of one record, acks 1, on one connection. On one core, since on two the wake-up of the other one costs
    five times what a proxy does. A tail needs many samples: all latencies of all rounds are merged for it."""
    found = []
    for row in (PLAIN_PLAIN, PLAIN_MTLS):
        rounds, dropped = _rounds(stage, row, options, chooser)
        found += _judge(row, rounds, dropped)
    return found


def _rounds(stage, row, options, chooser) -> tuple[list[dict], int]:
    started, seconds = [], 0.3 if options.quick else 0.6
    print(f"{row.name} ", end="", file=sys.stderr, flush=True)
    try:
        for name in ("direct", "setu", *(p for p in PEERS if not contenders.missing(p))):
            started.append(contenders.start(stage, row, name))
            if started[-1].process:
                generator.pin(started[-1].process, LOAD_CPU)
        arguments = ["--conns", 1, "--inflight", 1, "--batch-bytes", RECORD_BYTES, "--warmup", 0.1,
                     "--duration", seconds, "--histogram"]
        return measure.interleave(started, options.rounds * 4,
                                  lambda c: generator.once(stage, c, *arguments), chooser)
    finally:
        for contender in started:
            contenders.stop(stage, contender)
        print(file=sys.stderr)


def percentile(rounds: list[dict], name: str, share: float) -> float:
    """Of all latencies of these rounds, in microseconds."""
    counts: dict[int, int] = {}
    for one in rounds:
        for edge, count in one[name]["histogram"]:
            counts[edge] = counts.get(edge, 0) + count
    wanted, seen = share * sum(counts.values()), 0
    for edge in sorted(counts):
        seen += counts[edge]
        if seen >= wanted:
            return edge / 1e3
    raise ValueError("no latencies")


def _added(one: dict, name: str) -> float:
    return one[name]["p50_us"] - one["direct"]["p50_us"]


def _judge(row, rounds, dropped) -> list[dict]:
    own = measure.medians(rounds)
    for name, figures in own.items():
        figures |= {f"merged_{label}_us": percentile(rounds, name, share)
                    for label, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}
        figures["added_p50_us"] = round(statistics.median(_added(r, name) for r in rounds), 3)
    theirs = [p for p in PEERS if p in own]
    goals = row is PLAIN_PLAIN
    if not theirs:
        why = "haproxy is not installed"
        return [lines.skipped_line(8, f"{row.name}: added p50", GOAL_ADDED, why),
                lines.skipped_line(8, f"{row.name}: p99.9", GOAL_TAIL, why)] if goals else []
    best = min(theirs, key=lambda name: own[name]["added_p50_us"])
    more = {"contenders": own, "dropped": dropped}
    added = [_added(r, "setu") / _added(r, best) for r in rounds]
    tail = _tail(rounds, best)
    low, high = _tail_interval(rounds, best)
    return [lines.goal_line(8 if goals else None, f"{row.name}: p50 that setu adds to a request ÷ what {best} adds", added,
                            GOAL_ADDED if goals else None, **more),
            lines.goal_line(8 if goals else None, f"{row.name}: p99.9 of a request, setu ÷ {best}", tail,
                            GOAL_TAIL if goals else None, rounds=len(rounds), **more) | {"ci": [low, high]}]


def _tail(rounds, best) -> float:
    return percentile(rounds, "setu", 0.999) / percentile(rounds, best, 0.999)


def _tail_interval(rounds, best) -> tuple[float, float]:
    chooser = random.Random(len(rounds))
    found = sorted(_tail(chooser.choices(rounds, k=len(rounds)), best) for _ in range(RESAMPLES))
    return round(found[int(RESAMPLES * 0.025)], 4), round(found[int(RESAMPLES * 0.975)], 4)
