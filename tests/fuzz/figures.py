# SPDX-License-Identifier: Apache-2.0
"""What fuzzing has cost and reached so far: figures.jsonl, a line for each call and target, and FIGURES.md, their sums."""

import json

from tests.fuzz import targets

LINES = targets.HERE / "figures.jsonl"
TABLE = targets.HERE / "FIGURES.md"
SUMS = ("wall_minutes", "cpu_minutes", "executions", "findings")
NEWEST = ("date", "commit", "edges", "features", "corpus_files", "corpus_bytes")
GOAL_MINUTES = 30


def lines() -> list[dict]:
    return [json.loads(text) for text in LINES.read_text().splitlines()] if LINES.is_file() else []


def append(figures: dict) -> None:
    with open(LINES, "a") as out:
        out.write(json.dumps(figures) + "\n")


def totals() -> dict[str, dict]:
    """Target → sums over all calls; edges and corpus as the last call found them."""
    found: dict[str, dict] = {}
    for line in lines():
        of = found.setdefault(line["target"], {key: 0 for key in SUMS})
        for key in SUMS:
            of[key] = round(of[key] + line[key], 2)
        of.update({key: line[key] for key in NEWEST})
    return found


def table() -> str:
    found = totals()
    rows = []
    for name in targets.SOURCES:
        of = found.get(name)
        if of is None:
            rows.append(f"| `{name}` | 0 | 0 | 0 | | | | | | never run |")
            continue
        rate = of["executions"] / max(60 * of["cpu_minutes"], 1)
        rows.append(f"| `{name}` | {of['wall_minutes']:.1f} | {of['cpu_minutes']:.1f} | {of['executions']:,} | {rate:,.0f} "
                    f"| {of['edges']} | {of['features']} | {of['corpus_files']}, {of['corpus_bytes']:,} B "
                    f"| {of['findings']} | {of['date'][:10]} {of['commit']} |")
    cpu = [found.get(name, {}).get("cpu_minutes", 0) for name in targets.SOURCES]
    wall = [found.get(name, {}).get("wall_minutes", 0) for name in targets.SOURCES]
    return "\n".join((
        "# What fuzzing has cost and reached", "",
        "Written by `tests/fuzz/run` from `figures.jsonl`; both are cumulative over calls. Minutes on the clock are not minutes of",
        "processor: a call with `--idle` takes only what nobody else wants. Executions a second are of processor time, with",
        "AddressSanitizer and UndefinedBehaviorSanitizer. Edges and features are libFuzzer's, of the whole program.", "",
        "| target | wall min | CPU min | executions | per CPU s | edges | features | corpus | findings | last run |",
        "|---|---|---|---|---|---|---|---|---|---|", *rows, "",
        f"{len(rows)} targets, {sum(wall):.0f} minutes on the clock, {sum(cpu):.0f} of processor; "
        f"{sum(m >= GOAL_MINUTES for m in cpu)} have had {GOAL_MINUTES} minutes of processor, "
        f"{sum(m >= GOAL_MINUTES for m in wall)} have run {GOAL_MINUTES} minutes on the clock.", ""))


def write_table() -> None:
    TABLE.write_text(table())
