# SPDX-License-Identifier: Apache-2.0
"""The lines of a run as Markdown, and as pictures."""

import json
import pathlib
import subprocess
import tempfile

from tests.rig import paths


def _number(value, form: str) -> str:
    return "–" if value is None else format(value, form)


def goals(lines: list[dict]) -> list[str]:
    """All measures but those of the grid, numbered rows first."""
    chosen = sorted((x for x in lines if "measure" in x and "grid" not in x), key=lambda x: x["row"] or 99)
    out = ["| # | measure | median | 95 % | goal | met | rounds |", "|---|---|---|---|---|---|---|"]
    for line in chosen:
        row = "" if line["row"] is None else line["row"]
        sign = "≥" if line.get("at_least") else "≤"
        goal = "–" if line["goal"] is None else f"{sign} {line['goal']:,g}"
        if "skipped" in line:
            out.append(f"| {row} | {line['measure']} | skipped: {line['skipped']} | – | {goal} | – | 0 |")
            continue
        ci = "–" if line["ci"] is None else f"{line['ci'][0]:,.4g}–{line['ci'][1]:,.4g}"
        met = {None: "–", True: "yes", False: "**no**"}[line["met"]]
        out.append(f"| {row} | {line['measure']} | {line['value']:,.4g} | {ci} | {goal} | {met} | {line['rounds']} |")
    return out if len(out) > 2 else []


def figures(lines: list[dict]) -> list[str]:
    """Each contender's own, of the lines that list them under a `scene`."""
    out = ["| | contender | CPU s/GB | busy | MB/s | records/s | p50 µs | p99 µs | p99.9 µs |",
           "|---|---|---|---|---|---|---|---|---|"]
    for line in (x for x in lines if "scene" in x and "measure" not in x):
        for name, own in line["contenders"].items():
            out.append(f"| {line['scene']} | {name} | {_number(own.get('cpu_s_per_gb'), '.3f')} "
                       f"| {_number(own.get('busy'), '.0%')} | {own['mb_per_s']:.0f} "
                       f"| {own['records_per_s'] / 1e6:.2f} M | {own['p50_us']:.0f} | {own['p99_us']:.0f} "
                       f"| {own['p999_us']:.0f} |")
    return out if len(out) > 2 else []


def grid(lines: list[dict]) -> list[str]:
    """One table for each direction: frames down, connections across, in each cell the ratio of CPU per GB."""
    cells = {(x["grid"]["scene"], x["grid"]["frame_bytes"], x["grid"]["conns"]): x["value"]
             for x in lines if "grid" in x}
    conns = sorted({c for _, _, c in cells})
    out = []
    for scene in dict.fromkeys(s for s, _, _ in cells):
        out += [f"{scene}: CPU s/GB, Setu ÷ best-tuned HAProxy, by frame and connections", "",
                "| KiB | " + " | ".join(f"{c:,}" for c in conns) + " |", "|---" * (len(conns) + 1) + "|"]
        for frame in sorted({f for s, f, _ in cells if s == scene}):
            row = (_number(cells.get((scene, frame, c)), ".2f") for c in conns)
            out.append(f"| {frame // 1024:,} | " + " | ".join(row) + " |")
        out.append("")
    return out


def disturbed(lines: list[dict]) -> list[str]:
    """What a reader must know before believing a figure."""
    found = [x for x in lines if any(f.get("disturbed") for f in x.get("contenders", {}).values())]
    return [f"THE MACHINE WAS NOT QUIET: {len(found)} lines rest on runs in which others used the proxy's CPU."] \
        if found else []


def markdown(lines: list[dict]) -> str:
    parts = (figures(lines), grid(lines), goals(lines), disturbed(lines))
    return "\n\n".join("\n".join(part).rstrip() for part in parts if part)


def plots(lines: list[dict], directory: pathlib.Path) -> list[str]:
    """The files drawn. By the Python that tests/bench/install has put there, which has matplotlib."""
    python = paths.cache() / "bench" / "venv" / "bin" / "python"
    if not python.exists():
        raise RuntimeError("no plots: matplotlib is not installed (tests/bench/install python)")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
        file.flush()
        done = subprocess.run([python, "-m", "tests.bench.plots", file.name, directory], cwd=paths.ROOT,
                              capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"no plots: {done.stderr.strip()[-600:]}")
    return done.stdout.split()
