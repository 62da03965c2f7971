# SPDX-License-Identifier: Apache-2.0
"""One run of setu-gen, rounds of such runs, and what may be concluded from them."""

import dataclasses
import json
import os
import pathlib
import random
import statistics
import sys

from tests.bench.contenders import Contender
from tests.bench.processes import LOAD_CPU, PROXY_CPU, BenchFailed
from tests.bench.stage import Row, Stage

STEAL_MAX = 0.02
FOREIGN_MAX = 0.15  # ticks are samples: less is within their noise in a run this short
RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Shape:
    """Of the load."""
    seconds: float
    warmup: float
    conns: int = 4
    inflight: int = 5
    batch_bytes: int = 65536
    rate: float = 0

    @staticmethod
    def of(options) -> "Shape":
        return Shape(options.seconds, options.warmup, options.conns, options.inflight, options.batch_bytes,
                     options.rate)


def cpu_ticks(cpu: int = PROXY_CPU) -> tuple[int, int, int]:
    """All ticks of one CPU, those that another guest of the host took, and those in which it had nothing to do."""
    name = f"cpu{cpu % (os.cpu_count() or 1)} "
    with open("/proc/stat") as file:
        line = next(line for line in file if line.startswith(name))
    ticks = [int(n) for n in line.split()[1:9]]
    return sum(ticks), ticks[7], ticks[3] + ticks[4]


def cpu_seconds(pids) -> float:
    """Of all their threads that live."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def load(stage: Stage, row: Row, contender: Contender, shape: Shape | None = None) -> dict:
    """What setu-gen reports; of the proxy's CPU `steal`, and `foreign`, what was neither it nor idle; and for a proxy
    cpu_s_per_gb and busy, the share of its CPU that it used."""
    shape = shape or Shape.of(stage.options)
    pids = [contender.process.pid] if contender.process else []
    before, used = cpu_ticks(), cpu_seconds(pids)
    arguments = [stage.gen, "--json", "--target", f"127.0.0.1:{contender.port}", "--conns", shape.conns,
                 "--inflight", shape.inflight, "--batch-bytes", shape.batch_bytes, "--duration", shape.seconds,
                 "--warmup", shape.warmup, *contender.gen]
    arguments += ["--fetch"] if row.fetch else []
    arguments += ["--rate", shape.rate] if shape.rate else []
    arguments += ["--watch", contender.process.pid] if contender.process else []
    try:
        result = json.loads(stage.processes.output(LOAD_CPU, shape.seconds + shape.warmup + 60, *arguments))
    except BenchFailed as error:
        raise BenchFailed(f"{contender.name}: {error}") from error
    after, used = cpu_ticks(), cpu_seconds(pids) - used
    total, steal, idle = (max(0, b - a) for a, b in zip(before, after))
    result["steal"] = steal / max(1, total)
    result["foreign"] = max(0.0, 1 - (steal + idle + used * os.sysconf("SC_CLK_TCK")) / max(1, total))
    result["cpu_s_per_gb"] = result["watched_cpu_s"] / (result["bytes"] / 1e9) if contender.process else None
    result["busy"] = result["watched_cpu_s"] / result["seconds"] if contender.process else None
    return result


def disturbed(result: dict) -> bool:
    """The proxy's CPU was not its own."""
    return result.get("steal", 0) > STEAL_MAX or result.get("foreign", 0) > FOREIGN_MAX


def interleave(contenders: list, rounds: int, run_one, chooser: random.Random) -> tuple[list[dict], int]:
    """Runs run_one(contender) → dict for each contender in each round, in shuffled order. A disturbed run is dropped and
    done again at once, until half as many were dropped as are wanted; after that it counts, with `disturbed` set.
    Returns one dict of results by name for each round, and how many runs were dropped."""
    done, dropped, budget = [], 0, (rounds * len(contenders) + 1) // 2
    for _ in range(rounds):
        order, found = contenders[:], {}
        chooser.shuffle(order)
        for contender in order:
            result = run_one(contender)
            while disturbed(result) and dropped < budget:
                dropped += 1
                result = run_one(contender)
            found[contender.name] = result | {"disturbed": disturbed(result)}
        done.append(found)
        print(".", end="", file=sys.stderr, flush=True)
    return done, dropped


def ratios(rounds: list[dict], ours: str, theirs: str, key: str) -> list[float]:
    return [r[ours][key] / r[theirs][key] for r in rounds if ours in r and theirs in r]


def medians(rounds: list[dict]) -> dict:
    """By contender: the median of each of its figures."""
    found = {}
    for name in {n: None for r in rounds for n in r}:
        mine = [r[name] for r in rounds if name in r]
        found[name] = {key: round(statistics.median(m[key] for m in mine), 6)
                       for key, value in mine[0].items() if isinstance(value, (int, float))}
    return found


def interval(values: list[float], chooser: random.Random | None = None) -> list[float]:
    """95 % of the medians of resampled rounds."""
    chooser = chooser or random.Random(len(values))
    middle = sorted(statistics.median(chooser.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return [round(middle[int(RESAMPLES * 0.025)], 4), round(middle[int(RESAMPLES * 0.975)], 4)]


