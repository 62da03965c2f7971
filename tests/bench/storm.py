# SPDX-License-Identifier: Apache-2.0
"""Row 13: connections drop and come back all at once, TLS sessions with the broker resumed or made anew."""

import json
import os
import signal
import sys
import time

from tests.bench import contenders, generator, lines, measure
from tests.bench.processes import BenchFailed
from tests.bench.stage import PLAIN_MTLS, PLAIN_PLAIN

NAME = "storm"
ROWS = (13,)
LIMIT_S = 1800
GOAL = 0.35
CONNECTIONS = 1000
RESUMED_MIN = 0.99  # of the connections that came back, or the round proves nothing


def run(stage, options, chooser) -> list[dict]:
    """Each connection: SCRAM login, Metadata, one Produce acknowledged. The cost is Setu's CPU from the first connect to
    the last acknowledgement; what it pays for the ends before that is `drop_cpu_s`. The same without TLS shows how much
    of it no session can save."""
    conns = 300 if options.quick else CONNECTIONS
    rounds, dropped = _rounds(stage, conns, max(3, options.rounds // 3), chooser)
    own = measure.medians(rounds)
    more = {"contenders": own, "dropped": dropped, "conns": conns}
    without = [(r["setu"]["watched_cpu_s"] - r["setu-plain"]["watched_cpu_s"])
               / (r["setu-full"]["watched_cpu_s"] - r["setu-plain"]["watched_cpu_s"]) for r in rounds]
    return [
        lines.goal_line(13, f"storm of {conns} connections, plain→mTLS: CPU, resumed ÷ full",
                        measure.ratios(rounds, "setu", "setu-full", "watched_cpu_s"), GOAL, **more),
        lines.goal_line(None, f"storm of {conns} connections: the same less what it costs without TLS", without, None,
                        **more),
        lines.goal_line(None, f"storm of {conns} connections: time until all are back, resumed ÷ full",
                        measure.ratios(rounds, "setu", "setu-full", "seconds"), None, **more)]


def _no_resumption(config: dict) -> None:
    for generation in config["clusters"][0]["generations"]:
        generation["tls"]["resumption"] = False


def _rounds(stage, conns: int, rounds: int, chooser) -> tuple[list[dict], int]:
    started = []
    try:
        started.append(contenders.start(stage, PLAIN_MTLS, "setu"))
        started.append(contenders.start(stage, PLAIN_MTLS, "setu-full", _no_resumption))
        started.append(contenders.start(stage, PLAIN_PLAIN, "setu-plain"))
        return measure.interleave(started, rounds, lambda c: _storm(stage, c, conns), chooser)
    finally:
        for contender in started:
            contenders.stop(stage, contender)
        print(file=sys.stderr)


def _storm(stage, contender, conns: int) -> dict:
    before = _handshakes(stage)
    result = generator.once(stage, contender, "--storm", "--conns", conns, "--batch-bytes", 100)
    after = _handshakes(stage)
    result["full"], result["resumed"] = (after[n] - before[n] for n in ("handshakes_full", "handshakes_resumed"))
    wanted = {"setu": "resumed", "setu-full": "full"}.get(contender.name)
    # Of the connections before the drop, which are not measured, the first of all have nothing to resume.
    if wanted and result[wanted] < (2 if wanted == "full" else RESUMED_MIN) * conns:
        raise BenchFailed(f"{contender.name}: of {2 * conns} handshakes only {result[wanted]} were {wanted}")
    result["cpu_us_each"] = result["watched_cpu_s"] / conns * 1e6
    return result


def _handshakes(stage) -> dict:
    """What the sink has counted so far."""
    log = stage.directory / "sink.log"
    size = log.stat().st_size
    os.kill(stage.sink.pid, signal.SIGUSR1)
    for _ in range(200):
        time.sleep(0.01)
        told = log.read_text(errors="replace")[size:]
        if told.endswith("}\n"):
            return json.loads(told.splitlines()[-1])
    raise BenchFailed("the sink does not say what it counted")
