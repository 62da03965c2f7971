# SPDX-License-Identifier: Apache-2.0
"""Rows 1–7: CPU seconds per GB at full load, 64 KiB batches on 4 connections, beside others that move the same bytes."""

import sys

from tests.bench import contenders, lines, measure
from tests.bench.stage import MTLS_FETCH_PLAIN, PLAIN_MTLS, PLAIN_PLAIN, TLS_MTLS

NAME = "throughput"
ROWS = (1, 2, 3, 4, 5, 6, 7)
SCENES = (PLAIN_PLAIN, PLAIN_MTLS, TLS_MTLS, MTLS_FETCH_PLAIN)
COST = "cpu_s_per_gb"
BEST = {PLAIN_MTLS: (1, 0.80), TLS_MTLS: (3, 0.85), MTLS_FETCH_PLAIN: (4, 0.85), PLAIN_PLAIN: (5, 1.00)}


def run(stage, options, chooser) -> list[dict]:
    found = []
    for row in SCENES:
        rounds, dropped = _rounds(stage, row, options, chooser)
        found += _judge(row, rounds, dropped)
    return found


def _rounds(stage, row, options, chooser) -> tuple[list[dict], int]:
    started = []
    print(f"{row.name} ", end="", file=sys.stderr, flush=True)
    try:
        started += [contenders.start(stage, row, name) for name in options.names if not contenders.missing(name)]
        rounds, dropped = measure.interleave(started, options.rounds, lambda c: measure.load(stage, row, c), chooser)
    finally:
        for contender in started:
            contenders.stop(stage, contender)
    print(f" {len(rounds)} rounds, {dropped} dropped for steal", file=sys.stderr)
    return rounds, dropped


def _judge(row, rounds, dropped) -> list[dict]:
    own = measure.medians(rounds)
    found = [{"scene": row.name, "contenders": own, "rounds": len(rounds), "dropped": dropped}]
    number, goal = BEST[row]
    tuned = [name for name in ("haproxy-64k", "haproxy-tuned") if name in own]
    if "setu" in own and tuned:
        best = min(tuned, key=lambda name: own[name][COST])
        found.append(lines.goal_line(number, f"{row.name}: setu ÷ best-tuned HAProxy ({best})",
                                     measure.ratios(rounds, "setu", best, COST), goal, contenders=own, dropped=dropped))
    if "setu" in own and "setu-crc-off" in own and row in (PLAIN_PLAIN, PLAIN_MTLS):
        found.append(lines.goal_line(6, f"{row.name}: CRC on ÷ off",
                                     measure.ratios(rounds, "setu", "setu-crc-off", COST), 1.05, contenders=own,
                                     dropped=dropped))
    return found
