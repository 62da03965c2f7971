# SPDX-License-Identifier: Apache-2.0
"""Frames from 1 KiB to 8 MiB on 1 to 1,000 connections in five directions: where Setu is cheaper than HAProxy, and where not."""

import sys

from tests.bench import contenders, lines, measure
from tests.bench.processes import BenchFailed
from tests.bench.stage import MTLS_FETCH_PLAIN, MTLS_FETCH_TLS, PLAIN_MTLS, PLAIN_PLAIN, TLS_MTLS
from tests.bench.throughput import COST, TUNED

NAME = "grid"
ROWS = ()
LIMIT_S = 5400
KIB = 1024
FRAMES = (KIB, 16 * KIB, 64 * KIB, 512 * KIB, 8 * 1024 * KIB)
CONNS = (1, 4, 32, 1000)
SCENES = (PLAIN_PLAIN, PLAIN_MTLS, TLS_MTLS, MTLS_FETCH_PLAIN, MTLS_FETCH_TLS)
CORNERS = ((KIB, 1), (KIB, 1000), (64 * KIB, 4), (8 * 1024 * KIB, 1), (8 * 1024 * KIB, 32))
NAMES = ("direct", "setu", *TUNED)
INFLIGHT_BYTES = 64 << 20
SLOW_BYTES_PER_S = 500e6
MEMORY_BYTES = 1 << 30  # that setu-gen and setu-sink may take for one cell: each connection has its own frame


def cells(quick: bool) -> list[tuple[int, int]]:
    return list(CORNERS) if quick else [(frame, conns) for frame in FRAMES for conns in CONNS]


def run(stage, options, chooser) -> list[dict]:
    """Three rounds of each cell, two with --quick."""
    names = [n for n in NAMES if n in options.names and not contenders.missing(n)]
    rounds = min(options.rounds, 2 if options.quick else 3)
    if options.quick:
        print(f"--quick: {len(CORNERS)} of {len(FRAMES) * len(CONNS)} cells in each direction", file=sys.stderr)
    found = []
    for row in SCENES:
        print(f"{row.name} ", end="", file=sys.stderr, flush=True)
        for frame in sorted({frame for frame, _ in cells(options.quick)}):
            stage.start_sink(frame)
            found += _frame(stage, row, frame, names, options.quick, rounds, chooser)
        print(file=sys.stderr)
    return found


def shape(frame: int, conns: int) -> measure.Shape:
    """No more in flight than keeps everybody busy, and time for several frames of each connection."""
    inflight = max(1, min(5, INFLIGHT_BYTES // (frame * conns)))
    seconds = min(max(0.5, 3 * frame * conns / SLOW_BYTES_PER_S), 4)
    return measure.Shape(seconds=seconds, warmup=0.3 + seconds / 4, conns=conns, inflight=inflight, batch_bytes=frame)


def _frame(stage, row, frame: int, names, quick: bool, rounds: int, chooser) -> list[dict]:
    """All cells of one frame size, by the same processes."""
    started, found = [], []
    try:
        started += [contenders.start(stage, row, name) for name in names]
        for conns in (c for f, c in cells(quick) if f == frame):
            where = {"scene": row.name, "frame_bytes": frame, "conns": conns}
            if frame * conns > MEMORY_BYTES:
                why = f"{frame * conns >> 30} GiB of frames do not fit into the generator"
                found.append(lines.skipped_line(None, _label(row, frame, conns), None, why, grid=where))
                continue
            of = shape(frame, conns)
            try:
                done, dropped = measure.interleave(started, rounds, lambda c: measure.load(stage, row, c, of), chooser)
                found.append(_line(row, where, done, dropped))
            except BenchFailed as error:
                print(f"\n{_label(row, frame, conns)}: {error}", file=sys.stderr)
                found.append(lines.skipped_line(None, _label(row, frame, conns), None, str(error), grid=where))
    finally:
        for contender in started:
            contenders.stop(stage, contender)
    return found


def _label(row, frame: int, conns: int) -> str:
    size = f"{frame // KIB} KiB" if frame < 1024 * KIB else f"{frame // KIB // KIB} MiB"
    return f"{row.name}, {size}, {conns} connections: CPU s/GB setu ÷ best-tuned HAProxy"


def _line(row, where: dict, done: list[dict], dropped: int) -> dict:
    own = measure.medians(done)
    best = min((n for n in TUNED if n in own), key=lambda n: own[n][COST], default=None)
    values = measure.ratios(done, "setu", best, COST) if best and "setu" in own else []
    label = _label(row, where["frame_bytes"], where["conns"])
    if not values:
        return lines.skipped_line(None, label, None, "no HAProxy to compare with", grid=where)
    return lines.goal_line(None, label, values, None, contenders=own, dropped=dropped, grid=where, best=best)
