# SPDX-License-Identifier: Apache-2.0
"""setu-gen for scenarios that are not about throughput: run once, or kept and asked again and again."""

import json
import os
import resource
import select
import subprocess

from tests.bench import measure
from tests.bench.processes import LOAD_CPU, BenchFailed

ANSWER_S = 600


def descriptors_max() -> int:
    """How many one process may have: a proxy needs two for each connection."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def pin(process: subprocess.Popen, cpu: int) -> None:
    """Moves all its threads."""
    for task in os.listdir(f"/proc/{process.pid}/task"):
        os.sched_setaffinity(int(task), {cpu % (os.cpu_count() or 1)})


def command(stage, contender, *arguments) -> list:
    watch = ["--watch", contender.process.pid] if contender.process else []
    return [stage.gen, "--json", "--target", f"127.0.0.1:{contender.port}", *watch, *contender.gen, *arguments]


def once(stage, contender, *arguments, timeout_s: float = 180) -> dict:
    """What it reports, and `steal`."""
    return _with_steal(contender, lambda: json.loads(
        stage.processes.output(LOAD_CPU, timeout_s, *command(stage, contender, *arguments))))


class Kept:
    """One whose connections stay, for `ask`; it says `ready` when they are all up."""

    def __init__(self, stage, contender, *arguments):
        self.stage, self.contender, self.name = stage, contender, f"gen-{contender.name}"
        self.process = stage.processes.talk(self.name, LOAD_CPU, *command(stage, contender, *arguments))

    def line(self, timeout_s: float = ANSWER_S) -> str:
        ready, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        told = self.process.stdout.readline() if ready else ""
        if not told:
            raise BenchFailed(f"{self.name} says nothing: {self.stage.processes.log(self.name)}")
        return told.strip()

    def ask(self) -> dict:
        def measured():
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            return json.loads(self.line())
        return _with_steal(self.contender, measured)

    def stop(self) -> None:
        self.stage.processes.stop(self.process)


def _with_steal(contender, run) -> dict:
    """Of the CPU on which the proxy is now."""
    cpu = min(os.sched_getaffinity(contender.process.pid)) if contender.process else LOAD_CPU
    before = measure.cpu_ticks(cpu)
    result = run()
    total, steal, *_ = (b - a for a, b in zip(before, measure.cpu_ticks(cpu)))
    return result | {"steal": steal / max(1, total)}
