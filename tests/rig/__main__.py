# SPDX-License-Identifier: Apache-2.0
"""python3 -m tests.rig up|down|status|env|archive — a cluster to use by hand."""

import argparse
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from tests.rig import java_tools, paths, process
from tests.rig.cluster import KRAFT, MIXED, Cluster
from tests.rig.setu import Setu

STATE = pathlib.Path(os.environ.get("SETU_RIG_DIR") or paths.ROOT / "build" / "rig")


def say(text: str) -> None:
    print(f"rig: {text}", file=sys.stderr, flush=True)


def keeper() -> int | None:
    """The process id of the keeper in the background; None when there is none."""
    try:
        pid = int((STATE / "keeper.pid").read_text())
        os.kill(pid, 0)
        return pid
    except (OSError, ValueError):
        return None


def describe(cluster: Cluster, setu: Setu | None) -> dict:
    """Everything a person needs to use the cluster; `env` prints its strings as shell variables."""
    files = {}
    logins = {"direct": cluster.login_direct(), "admin": cluster.login_admin()}
    for user in ("orders", "payments"):
        if not cluster.kraft:
            logins[f"{user}_sasl"] = cluster.login_sasl(user)
        logins[f"{user}_certificate"] = cluster.login_certificate(user)
        if setu:
            logins[f"{user}_setu"] = setu.login(user)
    for name, login in logins.items():
        files[f"{name}_properties"] = login.java_file(cluster.directory / f"{name}.properties")
        files[f"{name}_kcat"] = login.kcat_file(cluster.directory / f"{name}.kcat")
    return {
        "directory": str(cluster.directory),
        "nodes": [{"node_id": b.node_id, "version": b.version, "generation": b.generation, "pid": b.process.pid,
                   **{name.lower(): b.address(name) for name in b.ports}} for b in cluster.nodes.values()],
        "setu": {"bootstrap": f"127.0.0.1:{setu.port}", "pid": setu.process.pid,
                 "config": str(setu.config_file)} if setu else None,
        "files": {k: str(v) for k, v in files.items()},
    }


def keep(arguments) -> int:
    """Runs in the background: holds the cluster until SIGTERM."""
    process.exit_on_signals()
    (STATE / "keeper.pid").write_text(str(os.getpid()))
    cluster = Cluster(KRAFT if arguments.kraft else MIXED, directory=STATE / "cluster", say=say)
    try:
        with cluster:
            setu = Setu(cluster).start() if arguments.setu else None
            (STATE / "rig.json").write_text(json.dumps(describe(cluster, setu), indent=2))
            while True:
                signal.pause()
    finally:
        (STATE / "keeper.pid").unlink(missing_ok=True)


def up(arguments) -> int:
    if keeper():
        say(f"up already; {sys.argv[0]} down first")
        return 1
    subprocess.run(["rm", "-rf", "--", STATE], check=True)
    STATE.mkdir(parents=True)
    options = [option for option, on in (("--kraft", arguments.kraft), ("--setu", arguments.setu)) if on]
    with open(STATE / "keeper.log", "wb") as log:
        child = subprocess.Popen([sys.executable, "-m", "tests.rig", "keep", *options], cwd=paths.ROOT, stdout=log,
                                 stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    while not (STATE / "rig.json").exists():
        if child.poll() is not None:
            print(process.tail(STATE / "keeper.log"), file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(process.tail(STATE / "keeper.log"), file=sys.stderr)
    return status(arguments)


def down(_arguments) -> int:
    pid = keeper()
    if not pid:
        say("not up")
        return 0
    os.kill(pid, signal.SIGTERM)
    process.wait_until(lambda: keeper() is None, 30, "rig down")
    subprocess.run(["rm", "-rf", "--", STATE], check=True)
    say("down")
    return 0


def status(_arguments) -> int:
    if not keeper():
        say("not up")
        return 1
    print((STATE / "rig.json").read_text())
    return 0


def env(_arguments) -> int:
    """Shell variables: eval "$(python3 -m tests.rig env)"."""
    if not keeper():
        say("not up")
        return 1
    state = json.loads((STATE / "rig.json").read_text())
    variables = {"RIG_DIRECTORY": state["directory"]}
    for node in state["nodes"]:
        for listener in ("client", "direct", "admin"):
            variables[f"RIG_NODE{node['node_id']}_{listener.upper()}"] = node[listener]
    if state["setu"]:
        variables["RIG_SETU"] = state["setu"]["bootstrap"]
    variables |= {f"RIG_{name.upper()}": path for name, path in state["files"].items()}
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def archive(arguments) -> int:
    """Makes the class data archives, once a machine: brokers then start in half the time."""
    if not arguments.force and all(java_tools.archive(version).is_file() for version in paths.VERSIONS):
        return 0
    say("making class data archives, once")
    # Broker 2 would only write what broker 1 writes.
    for plans in (tuple(p for p in MIXED if p.node_id != 2), KRAFT):
        with Cluster(plans, archive_classes=True) as cluster:
            for node_id in cluster.nodes:
                cluster.nodes[node_id].process.stop(120)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.rig", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for function, text in ((up, "start a cluster in the background"), (down, "end it and remove its files"),
                           (status, "print what runs, as JSON"), (env, "print shell variables"),
                           (archive, "make class data archives"), (keep, argparse.SUPPRESS)):
        verb = verbs.add_parser(function.__name__, help=text, description=function.__doc__ or text)
        verb.set_defaults(run=function)
        if function in (up, keep):
            verb.add_argument("--kraft", action="store_true", help="one KRaft broker instead of the mixed cluster")
            verb.add_argument("--setu", action="store_true", help="with Setu in front")
        if function is archive:
            verb.add_argument("--force", action="store_true", help="make them anew")
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
