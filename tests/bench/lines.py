# SPDX-License-Identifier: Apache-2.0
"""The lines of a report. One with a goal has the keys row, measure, value, goal, met, ci, rounds, contenders; `row` is its
number in the table of goals, None for a figure that has no place there."""

import statistics
import sys

from tests.bench.measure import interval


def goal_line(row: int | None, measure: str, values, goal: float | None, at_least: bool = False,
              contenders: dict | None = None, rounds: int | None = None, **more) -> dict:
    """`values`: one a round, of which the median is judged, or a single number without an interval."""
    single = isinstance(values, (int, float))
    value = float(values) if single else statistics.median(values)
    met = None if goal is None else value >= goal if at_least else value <= goal
    within = None if single else interval(values)
    # A long run that is cut short has not been for nothing: what is known is told at once.
    print(f"\n  {measure}: {value:.4g}{f' {within}' if within else ''}", file=sys.stderr, flush=True)
    return {"row": row, "measure": measure, "value": round(value, 4), "goal": goal, "met": met,
            "ci": within, "at_least": at_least,
            "rounds": rounds if rounds is not None else 1 if single else len(values),
            "contenders": contenders or {}, **more}


def skipped_line(row: int | None, measure: str, goal: float | None, why: str, **more) -> dict:
    return {"row": row, "measure": measure, "value": None, "goal": goal, "met": None, "ci": None, "rounds": 0,
            "contenders": {}, "skipped": why, **more}
