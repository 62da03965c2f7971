# SPDX-License-Identifier: Apache-2.0
"""Rolling restart of all brokers while 200 clients run: how soon all are served again, through Setu ÷ direct."""

import collections
import json
import os
import statistics
import subprocess
import sys
import time

from tests.bench import lines
from tests.bench.measure import cpu_seconds
from tests.bench.processes import BenchFailed
from tests.integration import crowd
from tests.integration.stage import NODES, PASSWORDS, Stage
from tests.rig.paths import ROOT
from tests.rig.process import wait_until

NAME = "restart"
ROWS = ()
LIMIT_S = 530
GOAL = 1.2
CLIENTS = 100  # of each node
AWAY_S = 3.0  # a broker between its end and its beginning
PAUSE_S = 0.5  # of a client between two records
LOGINS_AT_ONCE = 16  # limits.dials_per_broker
LOOKS = 2  # of Setu's own, on top
USER = "orders"
WAYS = {"kafka": crowd.KAFKA, "eager": crowd.EAGER}


def run(stage, options, chooser) -> list[dict]:
    """In each round brokers and Setu are new, and both contenders in turn have a crowd on each node; each node is stopped and
    started once. Recovery: from the moment the broker listens again until the last of its clients has its first record
    acknowledged. Every figure is printed when it is known."""
    os.environ.setdefault("SETU_TEST_BROKER_BIN", str(options.build / "tests/broker/setu-test-broker"))
    rounds = max(3, options.rounds // 3)
    found = []
    for way in WAYS:
        done = [_round(options, way, number, chooser) for number in range(rounds)]
        found += _lines(way, done)
    return found


def _lines(way: str, done: list[dict]) -> list[dict]:
    goal = GOAL if way == "kafka" else None
    what = {"kafka": "clients whose backoff is Kafka's own, 50 ms to 1 s",
            "eager": "clients that come again every 50 ms"}[way]
    own = {name: _summary(done, name) for name in ("direct", "setu")}
    made = [lines.goal_line(None, f"rolling restart, 200 {what}: recovery through Setu ÷ direct",
                            [r["setu"]["recovery_s"] / r["direct"]["recovery_s"] for r in done], goal, contenders=own)]
    for node, kind in zip(NODES, ("SASL", "mTLS")):
        made.append(lines.goal_line(None, f"…of the {kind} node alone",
                                    [r["setu"]["last_s"][node] / r["direct"]["last_s"][node] for r in done], None))
    peak = max(r["setu"]["peak"] for r in done)
    if way == "kafka":
        made.append(lines.goal_line(None, f"…logins at a time that a broker saw through Setu, at most (of {CLIENTS}; "
                                          f"direct {max(r['direct']['peak'] for r in done)})", peak,
                                    LOGINS_AT_ONCE + LOOKS))
    return made


def _summary(done: list[dict], name: str) -> dict:
    return {key: round(statistics.median(r[name][key] for r in done), 4)
            for key in ("recovery_s", "middle_s", "peak", "logins_per_s", "vain_logins", "setu_cpu_away")}


def _round(options, way: str, number: int, chooser) -> dict:
    made = Stage(options.build / "proxy/setu", limits={"dials_per_broker": LOGINS_AT_ONCE})
    try:
        made.start()
        names = ["direct", "setu"]
        chooser.shuffle(names)
        return {name: _play(made, name, way, number) for name in names}
    finally:
        wrong = made.close()
        if wrong and sys.exc_info()[0] is None:
            raise BenchFailed("\n".join(wrong))


def _play(stage: Stage, name: str, way: str, number: int) -> dict:
    crowds = {node: _crowd(stage, name, node, WAYS[way]) for node in NODES}
    try:
        began = time.monotonic() - 60
        for one in crowds.values():
            _ask(one, began)
        nodes = {node: _restart(stage, node, crowds[node]) for node in NODES}
    finally:
        for one in crowds.values():
            one.kill()
            one.wait()
            one.stdin.close(), one.stdout.close()
    result = {"last_s": {node: nodes[node]["last_s"] for node in NODES},
              "recovery_s": statistics.mean(nodes[node]["last_s"] for node in NODES),
              "middle_s": statistics.mean(nodes[node]["middle_s"] for node in NODES),
              "peak": max(nodes[node]["peak"] for node in NODES),
              "logins_per_s": max(nodes[node]["logins_per_s"] for node in NODES),
              "vain_logins": sum(nodes[node]["vain_logins"] for node in NODES),
              "setu_cpu_away": max(nodes[node]["setu_cpu_away"] for node in NODES)}
    print(f"  {way}, round {number + 1}, {name}: all served again after "
          f"{' and '.join(format(result['last_s'][node], '.3f') for node in NODES)} s (half of them after {result['middle_s']:.3f} s); at most {result['peak']} logins at a time at a broker, "
          f"{result['logins_per_s']:.0f} a second; while one was away {result['vain_logins']} logins in vain, "
          f"Setu used {100 * result['setu_cpu_away']:.0f} % of a processor", file=sys.stderr, flush=True)
    return result


def _crowd(stage: Stage, name: str, node: int, backoff_s: tuple[float, float]) -> subprocess.Popen:
    job = {"count": CLIENTS, "topic": "good", "partition": NODES.index(node), "pause_s": PAUSE_S, "ca": None,
           "login": [USER, PASSWORDS[USER]], "port": stage.node_port(node), "backoff_s": backoff_s}
    if name == "direct":
        job["port"] = stage.brokers[node].port
        job["login"] = [USER, f"{USER}-at-the-broker"]
        if stage.brokers[node].door == "--ssl":
            own = stage.certificates[USER]
            job |= {"login": None, "ca": str(stage.authority.certificate), "chain": str(own.chain),
                    "key": str(own.key)}
    made = subprocess.Popen([sys.executable, "-m", "tests.bench.returning"], cwd=ROOT, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, bufsize=1)
    made.stdin.write(json.dumps(job) + "\n")
    return made


def _ask(one: subprocess.Popen, since: float) -> dict:
    one.stdin.write(f"{since}\n")
    told = one.stdout.readline()
    if not told:
        raise BenchFailed("the crowd has gone, or some of it did not come back")
    answer = json.loads(told)
    if answer["wrong"]:
        raise BenchFailed(f"the crowd: {answer['wrong']}")
    return answer


def _restart(stage: Stage, node: int, one: subprocess.Popen) -> dict:
    broker, setu = stage.brokers[node], [stage.process.pid]
    if broker.stop() != 0:
        raise BenchFailed(f"broker {node} ended badly")
    ended, cpu = time.monotonic(), cpu_seconds(setu)
    time.sleep(AWAY_S)
    cpu_away = (cpu_seconds(setu) - cpu) / (time.monotonic() - ended)
    broker.make()
    mark = broker.mark()
    broker.process.start()
    wait_until(lambda: f"ready node={node}" in broker.text(mark), 20, "the broker is back", 0.002)
    since = time.monotonic()
    answer = _ask(one, ended)
    took = sorted(max(0.0, at - since) for at in answer["at"])
    logins = broker.logins(mark)
    counted = collections.Counter(USER in principal for principal, _ in logins)[True]
    return {"last_s": took[-1], "middle_s": statistics.median(took), "peak": broker.peak(),
            "logins_per_s": counted / max(took[-1], 0.001), "vain_logins": answer["logins"] - CLIENTS,
            "setu_cpu_away": cpu_away}
