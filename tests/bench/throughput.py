# SPDX-License-Identifier: Apache-2.0
"""Rows 1–7: CPU seconds per GB at full load, 64 KiB batches on 4 connections, beside others that move the same bytes."""

import dataclasses
import sys

from tests.bench import contenders, lines, measure
from tests.bench.stage import MTLS_FETCH_PLAIN, PLAIN_MTLS, PLAIN_PLAIN, TLS_MTLS

NAME = "throughput"
ROWS = (1, 2, 3, 4, 5, 6, 7)
SCENES = (PLAIN_PLAIN, PLAIN_MTLS, TLS_MTLS, MTLS_FETCH_PLAIN)
COST = "cpu_s_per_gb"
PARTS = 3
TUNED = ("haproxy-64k", "haproxy-tuned")
BEST = {PLAIN_MTLS: (1, 0.80), TLS_MTLS: (3, 0.85), MTLS_FETCH_PLAIN: (4, 0.85), PLAIN_PLAIN: (5, 1.00)}
# Where, row, ours, theirs, goal.
PAIRS = ((PLAIN_MTLS, 2, "setu-fast-aes", "haproxy-64k", 0.55),
         (PLAIN_PLAIN, 6, "setu", "setu-crc-off", 1.05),
         (PLAIN_MTLS, 6, "setu", "setu-crc-off", 1.05),
         (PLAIN_PLAIN, 6, "setu-ledger", "setu-crc-off", 1.05),
         (PLAIN_MTLS, 6, "setu-ledger", "setu-crc-off", 1.05),
         (PLAIN_MTLS, 7, "setu", "kafka-proxy", 0.33),
         (PLAIN_MTLS, 7, "setu", "kroxylicious", 0.15))
# Figures without a goal, which say where the others stand.
ASIDE = ("haproxy-default", "nginx", "envoy")


def run(stage, options, chooser) -> list[dict]:
    absent = {name: why for name in options.names if (why := contenders.missing(name, stage))}
    for name, why in absent.items():
        print(f"SKIPPED: {name}: {why}", file=sys.stderr)
    found = []
    for row in SCENES:
        rounds, dropped = _rounds(stage, row, options, [n for n in options.names if n not in absent], chooser)
        found += _judge(row, rounds, {"dropped": dropped}, absent, options.names)
    return found


def _names(row, names: list[str]) -> list[str]:
    """The Kafka proxies only where they have a goal: they take as long as all others together."""
    return [n for n in names if row is PLAIN_MTLS or n not in contenders.KAFKA_PROXIES]


def _rounds(stage, row, options, names, chooser) -> tuple[list[dict], int]:
    """In three parts, each with processes of its own: where in memory one came to lie is luck that stays with it."""
    done, dropped = [], 0
    print(f"{row.name} ", end="", file=sys.stderr, flush=True)
    for part in range(PARTS):
        more, lost = _part(stage, row, names, (options.rounds + part) // PARTS, chooser)
        done, dropped = done + more, dropped + lost
    print(file=sys.stderr)
    return done, dropped


def _part(stage, row, names, rounds: int, chooser) -> tuple[list[dict], int]:
    started = []
    try:
        for name in _names(row, names) if rounds else []:
            started.append(contenders.start(stage, row, name))
            warm(stage, row, started[-1])
        return measure.interleave(started, rounds, lambda c: measure.load(stage, row, c), chooser)
    finally:
        for contender in started:
            contenders.stop(stage, contender)


def warm(stage, row, contender) -> None:
    """Load that does not count."""
    seconds = contenders.WARM_S.get(contender.name, 0.2)
    measure.load(stage, row, contender, dataclasses.replace(measure.Shape.of(stage.options), seconds=seconds))


def best_tuned(own: dict) -> str | None:
    """Of the two HAProxys with larger buffers the one with the lower median here."""
    return min((n for n in TUNED if n in own), key=lambda name: own[name][COST], default=None)


def _judge(row, rounds, more, absent, names) -> list[dict]:
    own = measure.medians(rounds)
    found = [{"scene": row.name, "rounds": len(rounds), **more, "contenders": own}]
    number, goal = BEST[row]
    best = best_tuned(own)
    pairs = [(number, "setu", best or TUNED[0], goal, " (best-tuned)")]
    pairs += [(number, ours, theirs, goal, "") for scene, number, ours, theirs, goal in PAIRS if scene is row]
    pairs += [(None, "setu", theirs, None, "") for theirs in ASIDE]
    for number, ours, theirs, goal, note in pairs:
        measured = f"{row.name}: CPU s/GB {ours} ÷ {theirs}{note}"
        values = measure.ratios(rounds, ours, theirs, COST)
        if values:
            found.append(lines.goal_line(number, measured, values, goal, contenders=own, **more))
        elif goal is not None and {ours, theirs} <= set(names):
            why = "; ".join(absent.get(n, "not started") for n in (ours, theirs) if n not in own)
            found.append(lines.skipped_line(number, measured, goal, why))
    if "direct" in own and "setu" in own:
        found.append(lines.goal_line(None, f"{row.name}: throughput setu ÷ direct",
                                     measure.ratios(rounds, "setu", "direct", "mb_per_s"), None, contenders=own, **more))
    return found
