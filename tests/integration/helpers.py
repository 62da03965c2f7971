# SPDX-License-Identifier: Apache-2.0
"""What integration tests share: the clusters, one of each kind for a whole run; Setu; clients of every kind."""

import itertools
import json
import os
import pathlib
import subprocess
import unittest

from tests.rig import Cluster, Setu, java_tools, paths
from tests.rig.cluster import KERBEROS, KRAFT, MIXED
from tests.rig.clients import Login

ORDER = (KERBEROS, KRAFT, MIXED, None)  # of the tests, so that each cluster is started once
_clusters: dict[tuple, Cluster] = {}
_halted: list[Cluster] = []
_numbers = itertools.count(1)


def shared_cluster(plans=MIXED) -> Cluster:
    """The cluster of this kind, started at first use. Tests share it: use topics of your own, heal what you break.

    One of another kind is halted: no process has two at a time."""
    if plans not in _clusters:
        halt_clusters()
        cluster = Cluster(plans, kerberos=plans == KERBEROS, brief=True,
                          say=lambda text: print(f"    {text}", flush=True))
        _clusters[plans] = cluster
        cluster.start()
    return _clusters[plans]


def halt_clusters() -> None:
    """Whoever needs another cluster than the shared ones, needs them no more."""
    for cluster in _clusters.values():
        cluster.halt()
        _halted.append(cluster)
    _clusters.clear()


def close_clusters(keep_logs: pathlib.Path | None) -> None:
    """Ends them all; with `keep_logs` their logs and configurations are copied there (no data, no keys)."""
    halt_clusters()
    for number, cluster in enumerate(_halted):
        if keep_logs:
            nodes = "-".join(str(plan.node_id) for plan in cluster.plans)
            target = keep_logs / f"{number}-{'kerberos-' if cluster.kdc else ''}{nodes}"
            subprocess.run(["rm", "-rf", target], check=False)
            for file in cluster.directory.rglob("*"):
                if file.is_file() and file.suffix in (".log", ".yaml", ".properties", ".prom"):
                    copy = target / file.relative_to(cluster.directory)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(file.read_bytes())
        cluster.close()
    _halted.clear()


class RigTest(unittest.TestCase):
    """A test with a cluster. `plans` may be KRAFT, or KERBEROS; None: the class has one of its own."""

    plans: tuple | None = MIXED
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.cluster = shared_cluster(cls.plans)

    def setUp(self):
        self.cluster.settle()

    def unique(self, prefix: str = "orders") -> str:
        """A name nobody used yet, that begins as the ACLs of `prefix` want it."""
        return f"{prefix}-{self.id().rpartition('.')[2].lower().replace('_', '-')}-{next(_numbers)}"

    def topic(self, prefix: str = "orders", **options) -> str:
        name = self.unique(prefix)
        self.cluster.create_topic(name, **options)
        return name

    def setu(self, start: bool = True, **options) -> Setu:
        """A Setu before the cluster, stopped after the test; it must neither end by itself nor with a bad status."""
        made = Setu(self.cluster, name=self.unique("setu"), **options)

        def finish():
            if made.process.popen is None:
                return
            by_itself = made.process.popen.poll()
            status = made.process.stop(30)
            text = made.log.read_text(errors="replace")
            self.assertNotIn("Sanitizer", text, f"sanitizer report in {made.log}")
            self.assertNotIn("runtime error:", text, f"undefined behaviour in {made.log}")
            self.assertIsNone(by_itself, f"setu ended by itself with {by_itself}: {text[-2000:]}")
            self.assertEqual(status, 0, f"setu's exit status after SIGTERM: {text[-2000:]}")

        if start:
            self.addCleanup(finish)
            made.start()
        return made

    # --- clients: each writes or reads text records and raises AssertionError with the client's own words ---

    def _file(self, suffix: str) -> pathlib.Path:
        return self.cluster.directory / f"client-{next(_numbers)}.{suffix}"

    def kcat(self, login: Login, *arguments, stdin: str = "", timeout_s: float = 60, **settings):
        """Runs kcat; the caller looks at returncode, stdout and stderr."""
        config = login.kcat_file(self._file("kcat"), **settings)
        return subprocess.run(["kcat", "-F", config, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                              timeout=timeout_s)

    def kcat_write(self, login: Login, topic: str, values: list[str], *arguments) -> None:
        done = self.kcat(login, "-P", "-t", topic, *arguments, stdin="\n".join(values) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)

    def kcat_read(self, login: Login, topic: str, *arguments) -> list[str]:
        """Everything in the topic, sorted."""
        done = self.kcat(login, "-C", "-t", topic, "-o", "beginning", "-e", "-q", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return sorted(done.stdout.split())

    def java(self, version: str, login: Login, topic: str, timeout_s: float = 90, settings: dict | None = None,
             **options) -> subprocess.CompletedProcess:
        """Runs java/JavaClient.java on the jars of `version`, for example java("4.4.0", login, topic, produce=10)."""
        config = login.java_file(self._file("properties"), **(settings or {}))
        arguments = ["--config", config, "--topic", topic]
        for name, value in options.items():
            arguments += [f"--{name}", value]
        jvm = self.cluster.kdc.java_options() if self.cluster.kdc else []
        return java_tools.run(version, "JavaClient", *arguments, timeout_s=timeout_s, check=False, options=jvm)

    def java_lines(self, verb: str, done: subprocess.CompletedProcess) -> list[str]:
        """The values that JavaClient wrote or read, sorted."""
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        return sorted(line.split()[3] for line in done.stdout.splitlines() if line.startswith(verb + " "))

    def node(self, login: Login, timeout_s: float = 60, **job) -> dict:
        """Runs kafkajs.js (produce, consume) and returns what it printed."""
        job |= {"brokers": login.bootstrap.split(","), "username": login.user, "password": login.password,
                "mechanism": login.mechanism.lower(), "ca": str(login.ca) if login.ca else None}
        done = subprocess.run(["node", pathlib.Path(__file__).with_name("kafkajs.js")], input=json.dumps(job),
                              capture_output=True, text=True, timeout=timeout_s,
                              env=os.environ | {"NODE_PATH": str(paths.cache() / "node" / "node_modules"),
                                                "KAFKAJS_NO_PARTITIONER_WARNING": "1"})
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        return json.loads(done.stdout)

    # --- evidence ---

    def assert_seen_as(self, principal: str, topic: str, operation: str = "write", nodes=None) -> None:
        """The authorizer of each of `nodes` (default: all leaders of the topic) let `principal`, and nobody else but
        the rig's administrator, do `operation`."""
        for node_id in sorted(set(nodes or self.cluster.leaders(topic))):
            seen = {row.principal for row in self.cluster.seen(resource=topic)
                    if row.node_id == node_id and row.operation == operation and row.allowed}
            self.assertEqual(seen - {"User:admin"}, {principal}, f"who did {operation} on {topic} at node {node_id}")


__all__ = ["KERBEROS", "KRAFT", "MIXED", "Login", "RigTest", "close_clusters", "halt_clusters", "paths", "shared_cluster"]
