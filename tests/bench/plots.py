# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run: python -m tests.bench.plots FILE DIRECTORY draws what a --json FILE holds. Needs matplotlib."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import TwoSlopeNorm  # noqa: E402
from matplotlib.ticker import LogLocator  # noqa: E402

SETU, HAPROXY, OTHER, INK, MISSED = "#0b6e4f", "#5b7ba5", "#b4b4b4", "#222222", "#b3261e"
ORDER = ("setu-fast-aes", "setu", "setu-crc-off", "setu-ledger", "haproxy-tuned", "haproxy-64k", "haproxy-default",
         "nginx", "nginx-default", "envoy", "kafka-proxy", "kroxylicious")
LABELS = {"setu": "Setu", "setu-fast-aes": "Setu, fast AES", "setu-crc-off": "Setu without CRC",
          "setu-ledger": "Setu with ledger",
          "haproxy-tuned": "HAProxy 256 KiB", "haproxy-64k": "HAProxy 64 KiB", "haproxy-default": "HAProxy 16 KiB",
          "nginx": "nginx 256 KiB", "nginx-default": "nginx 16 KiB", "envoy": "Envoy", "kroxylicious": "Kroxylicious",
          "direct": "direct"}
CUT = 3.2  # bars longer than this many times Setu's are cut, and say so


def colour(name: str) -> str:
    return SETU if name.startswith("setu") else HAPROXY if name.startswith("haproxy") else OTHER


def label(name: str) -> str:
    return LABELS.get(name, name)


def bare(axes, *kept: str) -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side in kept)
    axes.tick_params(length=0, colors=INK)


# --- CPU per GB ---

def _bars(axes, scene: dict, names: list[str]) -> None:
    own = {n: f["cpu_s_per_gb"] for n, f in scene["contenders"].items() if f.get("cpu_s_per_gb")}
    limit = CUT * own.get("setu", min(own.values()))
    for at, name in enumerate(names):
        if name not in own:
            axes.text(0.01 * limit, at, "not run", va="center", fontsize=8, color=OTHER)
            continue
        width = min(own[name], limit)
        axes.barh(at, width, height=0.72, color=colour(name), alpha=1 if name == "setu" or "setu" not in name else 0.55)
        cut = own[name] > limit
        text = f"{own[name]:.2f}" + (" »" if cut else "")
        axes.text(width - 0.02 * limit if cut else width + 0.015 * limit, at, text, va="center",
                  ha="right" if cut else "left", fontsize=8.5, color=INK, fontweight="bold" if name == "setu" else None)
    axes.set_xlim(0, limit * 1.02)
    axes.set_xticks([])
    axes.set_title(scene["scene"], fontsize=10.5, loc="left", color=INK)
    axes.invert_yaxis()
    bare(axes)


def cost(lines: list[dict], file: pathlib.Path) -> bool:
    scenes = [x for x in lines if "scene" in x and "measure" not in x and not x.get("paced")
              and any(f.get("cpu_s_per_gb") for f in x["contenders"].values())]
    names = [n for n in ORDER if any(n in s["contenders"] for s in scenes)]
    if not scenes:
        return False
    columns = min(2, len(scenes))
    down = (len(scenes) + columns - 1) // columns
    figure, axes = plt.subplots(down, columns, figsize=(4.6 * columns + 1.2, down * (0.27 * len(names) + 0.75)),
                                squeeze=False)
    for at, panel in enumerate(axes.flat):
        if at >= len(scenes):
            panel.set_visible(False)
            continue
        mine = [n for n in names if n in scenes[at]["contenders"]]
        _bars(panel, scenes[at], mine)
        panel.set_yticks(range(len(mine)), [label(n) for n in mine], fontsize=8.5)
    figure.suptitle("CPU seconds to move one GB, 64 KiB batches, 4 connections (shorter is better)", x=0.01, ha="left",
                    fontsize=11.5, color=INK)
    return save(figure, file)


# --- grid ---

def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


def grid(lines: list[dict], file: pathlib.Path) -> bool:
    cells = [x for x in lines if "grid" in x]
    if not cells:
        return False
    scenes = list(dict.fromkeys(x["grid"]["scene"] for x in cells))
    frames = sorted({x["grid"]["frame_bytes"] for x in cells})
    conns = sorted({x["grid"]["conns"] for x in cells})
    norm = TwoSlopeNorm(1, 0.5, 1.5)
    figure, axes = plt.subplots(1, len(scenes), figsize=(1.2 + 2.75 * len(scenes), 0.5 * len(frames) + 1.2), sharey=True,
                                squeeze=False)
    for panel, scene in zip(axes[0], scenes):
        for x in (c for c in cells if c["grid"]["scene"] == scene):
            at = (conns.index(x["grid"]["conns"]), frames.index(x["grid"]["frame_bytes"]))
            value = x["value"]
            face = "#eeeeee" if value is None else plt.get_cmap("BrBG_r")(norm(min(max(value, 0.5), 1.5)))
            panel.add_patch(plt.Rectangle((at[0] - 0.48, at[1] - 0.46), 0.96, 0.92, color=face, lw=0))
            dark = value is not None and not 0.7 < value < 1.32
            panel.text(*at, "–" if value is None else f"{value:.2f}", ha="center", va="center", fontsize=9,
                       color="white" if dark else INK)
        panel.set_xlim(-0.5, len(conns) - 0.5)
        panel.set_ylim(-0.5, len(frames) - 0.5)
        panel.set_xticks(range(len(conns)), [f"{c:,}" for c in conns], fontsize=8.5)
        panel.set_yticks(range(len(frames)), [_size(f) for f in frames], fontsize=8.5)
        panel.set_xlabel("connections", fontsize=8.5, color=INK)
        panel.set_title(scene, fontsize=10, color=INK)
        bare(panel)
    figure.suptitle("CPU per GB, Setu ÷ best-tuned HAProxy: green where Setu is cheaper; – where a cell was not run",
                    x=0.01, ha="left", fontsize=11.5, color=INK)
    return save(figure, file)


# --- a million messages a second ---

def paced(lines: list[dict], file: pathlib.Path) -> bool:
    scenes = [x for x in lines if x.get("paced")]
    if not scenes:
        return False
    names = [n for n in ("direct", *ORDER) if any(n in s["contenders"] for s in scenes)]
    figure, axes = plt.subplots(len(scenes), 2, figsize=(9.2, len(scenes) * (0.26 * len(names) + 0.62) + 0.5),
                                squeeze=False, gridspec_kw={"width_ratios": (1, 1.7)}, sharex="col")
    for (left, right), scene in zip(axes, scenes):
        for at, name in enumerate(names):
            own = scene["contenders"].get(name)
            if not own:
                continue
            if own.get("busy"):
                left.barh(at, own["busy"] * 100, height=0.7, color=colour(name))
                left.text(own["busy"] * 100, at, f" {own['busy']:.0%}", va="center", fontsize=8.5, color=INK)
            points = [own[k] for k in ("p50_us", "p99_us", "p999_us")]
            right.plot(points, [at] * 3, color=colour(name), lw=1.5, zorder=1)
            for value, marker in zip(points, "o|s"):
                right.scatter(value, at, marker=marker, s=34 if marker != "|" else 80, color=colour(name), zorder=2)
        left.set_yticks(range(len(names)), [label(n) for n in names], fontsize=8.5)
        right.set_yticks([])
        right.set_xscale("log")
        right.grid(axis="x", color="#e6e6e6", lw=0.8)
        left.set_xticks([])
        left.margins(x=0.25)
        left.set_title(scene["scene"].replace("1 M msg/s, ", ""), fontsize=10, loc="left", color=INK)
        right.minorticks_off()
        right.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        right.xaxis.set_major_formatter("{x:,.0f}")
        right.tick_params(labelsize=8.5)
        for panel in (left, right):
            panel.set_ylim(len(names) - 0.4, -0.6)
            bare(panel)
    axes[0][1].set_title("latency in µs:  ● p50   | p99   ■ p99.9", fontsize=9, loc="left", color=INK)
    figure.suptitle("One million messages a second: share of one core (left), time to the acknowledgement (right)", x=0.01,
                    ha="left", fontsize=11.5, color=INK)
    return save(figure, file)


# --- goals ---

def goals(lines: list[dict], file: pathlib.Path) -> bool:
    judged = [x for x in lines if x.get("met") is not None and x["goal"] and x["value"] and x["value"] > 0]
    judged.sort(key=lambda x: x["row"] or 99)
    if not judged:
        return False
    figure, axes = plt.subplots(figsize=(10, 0.34 * len(judged) + 0.95))
    for at, x in enumerate(judged):
        def scaled(value: float, x=x) -> float:
            return x["goal"] / value if x.get("at_least") else value / x["goal"]
        tint = SETU if x["met"] else MISSED
        if x["ci"]:
            axes.plot([scaled(v) for v in x["ci"] if v > 0], [at] * sum(v > 0 for v in x["ci"]), color=tint, lw=2.2,
                      alpha=0.45, solid_capstyle="butt")
        axes.scatter(scaled(x["value"]), at, color=tint, s=34, zorder=3)
        sign = "≥" if x.get("at_least") else "≤"
        axes.text(1.01, at, f"{x['value']:,.4g}   (goal {sign} {x['goal']:,.4g})", fontsize=8.5, va="center",
                  color=tint, transform=axes.get_yaxis_transform())
    axes.axvline(1, color=INK, lw=1)
    axes.set_xscale("log")
    axes.set_xticks([0.25, 0.5, 1, 2], ["¼ of goal", "½", "goal", "2×"], fontsize=8.5)
    axes.minorticks_off()
    low, high = axes.get_xlim()
    axes.set_xlim(max(min(low, 0.5), 0.1), min(max(high, 2), 6))
    axes.set_yticks(range(len(judged)), [f"{x['row']}  {x['measure']}" for x in judged], fontsize=8.5)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#e6e6e6", lw=0.8)
    bare(axes)
    axes.set_title("Medians and 95 % intervals, each over its goal: left of the line is met", loc="left", fontsize=11.5,
                   color=INK)
    return save(figure, file)


def save(figure, file: pathlib.Path) -> bool:
    figure.tight_layout()
    figure.savefig(file, dpi=150, bbox_inches="tight")
    plt.close(figure)
    return True


def main() -> None:
    lines = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in (("goals", goals), ("cost", cost), ("grid", grid), ("paced", paced)):
        if draw(lines, directory / f"{name}.png"):
            print(directory / f"{name}.png")


if __name__ == "__main__":
    main()
