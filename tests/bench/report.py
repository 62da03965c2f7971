# SPDX-License-Identifier: Apache-2.0
"""Lines as Markdown."""


def _number(value, form: str) -> str:
    return "–" if value is None else format(value, form)


def goals(lines: list[dict]) -> list[str]:
    out = ["| # | measure | median | 95 % | goal | met | rounds |", "|---|---|---|---|---|---|---|"]
    for line in (x for x in lines if "measure" in x):
        row = "" if line["row"] is None else line["row"]
        if "skipped" in line:
            out.append(f"| {row} | {line['measure']} | skipped: {line['skipped']} | | | | |")
            continue
        sign = "≥" if line.get("at_least") else "≤"
        goal = "–" if line["goal"] is None else f"{sign} {line['goal']:g}"
        ci = "–" if line["ci"] is None else f"{line['ci'][0]:.3f}–{line['ci'][1]:.3f}"
        met = {None: "–", True: "yes", False: "**no**"}[line["met"]]
        out.append(f"| {row} | {line['measure']} | {line['value']:.3f} | {ci} | {goal} | {met} | {line['rounds']} |")
    return out


def figures(lines: list[dict]) -> list[str]:
    """Each contender's own, of the lines that list them under a `scene`."""
    out = ["| | contender | CPU s/GB | busy | MB/s | records/s | p50 µs | p99 µs |", "|---|---|---|---|---|---|---|---|"]
    for line in (x for x in lines if "scene" in x and "measure" not in x):
        for name, own in line["contenders"].items():
            out.append(f"| {line['scene']} | {name} | {_number(own.get('cpu_s_per_gb'), '.3f')} "
                       f"| {_number(own.get('busy'), '.0%')} | {own['mb_per_s']:.0f} "
                       f"| {own['records_per_s'] / 1e6:.2f} M | {own['p50_us']:.0f} | {own['p99_us']:.0f} |")
    return out if len(out) > 2 else []


def markdown(lines: list[dict]) -> str:
    own = figures(lines)
    return "\n".join(own + ([""] if own else []) + goals(lines))
