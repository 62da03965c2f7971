# SPDX-License-Identifier: Apache-2.0
"""Row 12: what a request costs when the same number a second comes over 1 connection, or over 10,000."""

import statistics
import sys

from tests.bench import contenders, generator, lines, measure
from tests.bench.idle import connections
from tests.bench.processes import LOAD_CPU
from tests.bench.stage import PLAIN_MTLS

NAME = "scaling"
ROWS = (12,)
GOAL = 1.5
COUNTS = (1, 10, 100, 1000, 10000)
RATE = 4000
RECORD_BYTES = 100


def run(stage, options, chooser) -> list[dict]:
    """Small requests, evenly spaced, each on the next connection, and so far apart that one is answered before the next is
    sent: then each costs the same wake-ups whatever the number of connections. If they overlapped, several requests of one
    connection would be read at once, and those of many connections would not. On one core, where an answer takes a
    fraction of that distance; `overlapped` says how many were not alone."""
    found = {}
    for name in ("setu", "haproxy-default"):
        if not contenders.missing(name):
            found[name] = _rounds(stage, name, options, chooser)
            _tell(name, found[name][0])
    own = {name: _figures(rounds) for name, (rounds, _) in found.items()}
    made = []
    for name, (rounds, dropped) in found.items():
        one, *others = rounds[0]
        worst = max(others, key=lambda n: statistics.median(measure.ratios(rounds, n, one, "us_each")))
        made.append(lines.goal_line(
            12 if name == "setu" else None,
            f"{name}, {RATE:,} requests/s over {worst} connections ÷ over 1, plain→mTLS: CPU of a request",
            measure.ratios(rounds, worst, one, "us_each"), GOAL if name == "setu" else None,
            contenders=own if name == "setu" else {name: own[name]}, dropped=dropped))
    return made


class Crowd:
    """A proxy of its own for a number of connections, so that all numbers can be interleaved."""

    def __init__(self, stage, name: str, count: int, seconds: float):
        self.name, self.stage = str(count), stage
        self.proxy = contenders.start(stage, PLAIN_MTLS, name, self._own_audit)
        self.gen = generator.Kept(stage, self.proxy, "--on-request", "--conns", count, "--inflight", 8,
                                  "--batch-bytes", RECORD_BYTES, "--rate", RATE, "--duration", seconds,
                                  "--warmup", 0.3)
        self.gen.line()
        generator.pin(self.proxy.process, LOAD_CPU)

    def _own_audit(self, config: dict) -> None:
        config["audit"]["file"] = self.stage.directory / f"audit-{self.name}"

    def measure(self) -> dict:
        result = self.gen.ask()
        result["us_each"] = result["watched_cpu_s"] / result["batches"] * 1e6
        return result

    def stop(self) -> None:
        self.gen.stop()
        contenders.stop(self.stage, self.proxy)


def _rounds(stage, name, options, chooser) -> tuple[list[dict], int]:
    crowds, seconds = [], 1 if options.quick else 2.5  # every connection is used once in that
    most = connections(1000 if options.quick else COUNTS[-1])
    print(f"{name} ", end="", file=sys.stderr, flush=True)
    stage.start_sink(RECORD_BYTES)  # what the one before had is gone
    try:
        for count in sorted({min(c, most) for c in COUNTS}):
            crowds.append(Crowd(stage, name, count, seconds))
        rounds, dropped = measure.interleave(crowds, options.rounds, Crowd.measure, chooser)
    finally:
        for crowd in crowds:
            crowd.stop()
        print(file=sys.stderr)
    ordered = [{c.name: one[c.name] for c in crowds} for one in rounds]
    return ordered, dropped


def _tell(name: str, rounds: list[dict]) -> None:
    """At once: the next contender takes as long again, and a run that is cut short has then said something."""
    one, *others = rounds[0]
    for count in others:
        ratios = measure.ratios(rounds, count, one, "us_each")
        print(f"  {name}: CPU of a request over {count} connections ÷ over {one}: {statistics.median(ratios):.3f}",
              file=sys.stderr, flush=True)


def _figures(rounds: list[dict]) -> dict:
    """By number of connections."""
    return {count: {key: figures[key] for key in ("us_each", "p50_us", "p99_us", "overlapped", "batches")}
            for count, figures in measure.medians(rounds).items()}
