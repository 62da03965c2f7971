# SPDX-License-Identifier: Apache-2.0
"""Two services at once, thousands of short connections, logins of every mechanism, renewals, connections cut off, Setu killed:
each is whom the broker takes it for.

    python3 -m tests.integration.test_identity --connections 20000 --kills 5
"""

import argparse
import collections
import copy
import os
import pathlib
import re
import sys
import time
import unittest

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import KERBEROS, RigTest, close_clusters
from tests.integration.identity_crowd import MECHANISMS, NODES, SERVICES, Crowd
from tests.rig import evidence, kdc, ports, tokens
from tests.rig.process import exit_on_signals, wait_until
from tests.rig.setu import NODE_PORTS

CONNECTIONS, KILLS = 1200, 1
TOPIC_AUTHORIZATION_FAILED = 29
LISTENERS = ("CLIENT", "RENEW")


class Seen:
    """What brokers logged of requests on the listeners that Setu comes to, read on as it grows. `wrong`: requests as somebody
    else than the client.id tells, or at another node."""

    def __init__(self, cluster, jobs):
        self.cluster = cluster
        self.jobs = {job.id: job for job in jobs}
        self.logs = [evidence.RequestLog(broker) for broker in cluster.nodes.values()]
        self.wrote: set[str] = set()
        self.by_place = collections.defaultdict(set)  # node, service → client.ids
        self.wrong: list[evidence.Request] = []
        self.greetings: list[evidence.Request] = []
        self.requests = self.own_looks = 0

    def more(self) -> set[str]:
        """The client.ids whose Produce requests were logged so far."""
        for log in self.logs:
            for row in log.more():
                if row.listener in LISTENERS:
                    self._take(row)
        return self.wrote

    def _take(self, row: evidence.Request) -> None:
        if not row.client_id and row.api in ("API_VERSIONS", "METADATA") and row.principal != "User:setu":
            self.greetings.append(row)  # Setu's, before a client whose certificate is its login has said anything
            return
        job = self.jobs.get((row.client_id or "").partition(".")[0])
        if job is None:
            self.own_looks += 1
            expected = ("User:setu", row.node_id)
        else:
            self.requests += 1
            expected = (f"User:{job.service}", job.node_id)
            self.by_place[job.node_id, job.service].add(row.client_id)
            if row.api == "PRODUCE":
                self.wrote.add(row.client_id)
        if (row.principal, row.node_id) != expected:
            self.wrong.append(row)


class Identity(RigTest):
    plans = KERBEROS

    def start_setu(self):
        """Three doors: `clients`; `certificates`, where a certificate is the login; and `renewing`, to the brokers' listener
        where a login lasts 8 s. A client's own lasts an hour: it may renew it."""
        setu = self.setu(start=False)
        cluster, listener = setu.config["clusters"][0], setu.config["listeners"][0]
        renewing = copy.deepcopy(cluster) | {
            "name": "renewing", "bootstrap": [broker.address("RENEW") for broker in self.cluster.nodes.values()],
            "generations": [copy.deepcopy(row) for row in cluster["generations"] if row["name"] == "legacy"]}
        del renewing["generations"][0]["match"]
        setu.config["clusters"].append(renewing)
        setu.config["oauth"] = {"jwks_file": self.cluster.issuer.jwks, "issuer": self.cluster.issuer.name,
                                "audience": tokens.AUDIENCE}
        setu.config["limits"] = {"login_failure_delay_ms": 20}
        listener["mechanisms"] += ["OAUTHBEARER"]
        listener |= {"advertised_host": kdc.HOST, "session_lifetime_ms": 3600_000}
        for name, cluster_name in (("renewing", "renewing"), ("certificates", "main")):
            first = ports.free_block(NODE_PORTS)
            setu.config["listeners"].append(copy.deepcopy(listener) | {
                "name": name, "cluster": cluster_name, "port": first, "node_base_port": first + 1})
        setu.config["listeners"][2] |= {"mechanisms": [], "tls": self.tls(setu)}
        del setu.config["listeners"][2]["session_lifetime_ms"]
        listener["mechanisms"] += ["GSSAPI"]
        listener["gssapi"] = {"keytab": self.cluster.kdc.keytab(f"{kdc.SETU_SERVICE}/{kdc.HOST}")}
        setu.write()
        return own_setu.start(self, setu)

    def tls(self, setu) -> dict:
        authority = self.cluster.authority
        own = authority.issue(f"{setu.directory.name}-door", "setu listener", server=True)
        return {"chain": own.chain, "key": own.key, "client_auth": "required", "client_ca": authority.certificate,
                "principal_mapping_rules": "RULE:^CN=([^,]+),.*$/$1/"}

    def test_t62_every_connection_reaches_the_broker_as_its_own_service(self):
        """T62: two principals, thousands of interleaved connections, kills and renewals: the identity at brokers is right."""
        began, seed = time.monotonic(), int.from_bytes(os.urandom(4), "big")
        count = int(os.environ.get("SETU_IDENTITY_CONNECTIONS") or CONNECTIONS)
        setu = self.start_setu()
        # kafka_client's records are of 2020: without this the broker deletes them after half a minute.
        topics = {service: self.topic(service, leaders=list(NODES), retention_ms=-1) for service in SERVICES}
        doors = {row["name"]: row["node_base_port"] for row in setu.config["listeners"]}
        crowd = Crowd(setu, doors, topics, count, seed)
        seen = Seen(self.cluster, crowd.jobs)
        self.cluster.log_requests(True)
        self.addCleanup(self.cluster.log_requests, False)
        self.addCleanup(crowd.release)
        crowd.run(int(os.environ.get("SETU_IDENTITY_KILLS") or KILLS))
        acknowledged = set().union(*crowd.acknowledged.values())
        wait_until(lambda: acknowledged <= seen.more(), 120, "all that was written in the brokers' logs", 0.5)
        self.cluster.log_requests(False)
        seen.more()
        self.assertEqual(seen.wrong[:10], [], f"seed {seed}: {len(seen.wrong)} as somebody else")
        self.assertLessEqual({row.principal for row in seen.greetings}, {f"User:{service}" for service in SERVICES})
        self.assertLessEqual(len(seen.greetings), 2 * (crowd.counts["mTLS"] + crowd.counts["repeated after a kill"]))
        self.check_contents(setu, topics, crowd.acknowledged)
        self.check_nothing_left(setu, crowd)
        self.report(crowd, seen, time.monotonic() - began)

    def report(self, crowd: Crowd, seen: Seen, took_s: float) -> None:
        mechanisms = {name: crowd.counts.pop(name, 0) for name in MECHANISMS}
        print(f"    {len(crowd.jobs)} connections in {took_s:.0f} s: {dict(crowd.counts)}; logins {mechanisms}")
        log = crowd.setu.log.read_text(errors="replace")  # of all lives
        shown, resumed = len(re.findall(r"event=broker_login_ok .*generation=ajna", log)), log.count("resumed=true")
        renewed = log.count("event=broker_reauth_ok")
        print(f"    {shown} certificates shown to brokers, {resumed} of them in resumed TLS sessions; {renewed} logins at "
              "brokers renewed")
        for node_id in NODES:
            as_whom = ", ".join(f"{len(seen.by_place[node_id, service])} of {service} as User:{service}"
                                for service in SERVICES)
            print(f"    node {node_id} ({self.cluster.nodes[node_id].version}) saw {as_whom}, none as somebody else")
        print(f"    {seen.requests} requests of theirs, {len(seen.greetings)} of Setu's as they, "
              f"{seen.own_looks} of its own as User:setu", flush=True)
        self.assertGreater(min(resumed, renewed, crowd.counts["came back"], *mechanisms.values()), 0)

    def check_contents(self, setu, topics: dict[str, str], acknowledged: dict[str, set[str]]) -> None:
        """A service's topic holds its own records only, once each, all those that were acknowledged among them."""
        for service, topic in topics.items():
            found = self.kcat_read(setu.login(service), topic)
            self.assertEqual([name for name, n in collections.Counter(found).items() if n > 1], [], "written twice")
            self.assertEqual(sorted(acknowledged[service] - set(found))[:20], [], "acknowledged, but not there")
            self.assertEqual({name.partition("-")[0] for name in found}, {service})

    def check_nothing_left(self, setu, crowd: Crowd) -> None:
        """Setu keeps the connections that hang, and no other; and no broker connection without a client."""
        crowd.release()

        def empty():
            now = own_setu.stats(setu)
            return now["client_connections"] == now["broker_connections"] == now["client_logins_in_progress"] == 0

        wait_until(empty, 30, "Setu without connections", 0.2)
        own_setu.assert_ends(self, setu, "client_closed", "client_reset", "login_timeout", "reauth_denied")

    def test_writes_to_the_topic_of_another_service_are_refused_by_the_broker(self):
        setu = own_setu.start(self, self.setu(start=False))
        topic = self.topic("orders", leaders=list(NODES))
        for node_id in NODES:
            with kafka.Client(setu.node_base_port + node_id, "payments", self.cluster.passwords["payments"]) as client:
                for version in (3, 7):
                    error, _ = client.produce(topic, node_id - 1, kafka.batch([b"x"]), version)
                    self.assertEqual(error, TOPIC_AUTHORIZATION_FAILED)
            with kafka.Client(setu.node_base_port + node_id, "orders", self.cluster.passwords["orders"]) as client:
                error, _ = client.produce(topic, node_id - 1, kafka.batch([b"x"]))
                self.assertEqual(error, 0)
        wait_until(lambda: self.cluster.end_offsets(topic) == [1, 1, 1], 20, "one record in each partition")
        denied = {row.node_id for row in self.cluster.seen("User:payments", topic)
                  if not row.allowed and row.operation == "write"}
        self.assertEqual(denied, set(NODES))
        for line in setu.said().splitlines():
            if "session_id=" in line:
                self.assertIn("level=info", line)
        counted = own_setu.fresh_stats(setu)
        self.assertEqual(counted['mapping_decisions_total{result="mapped"}'], 2 * len(NODES))
        self.assertEqual(counted['auth_attempts_total{result="denied"}'], 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.integration.test_identity", description="Who is whom at brokers.")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of both services (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=KILLS, help="how often Setu is killed meanwhile (default: %(default)s)")
    options = parser.parse_args()
    os.environ |= {"SETU_IDENTITY_CONNECTIONS": str(options.connections), "SETU_IDENTITY_KILLS": str(options.kills)}
    exit_on_signals()
    done = None
    try:
        done = unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromTestCase(Identity))
    finally:
        close_clusters(None if done and done.wasSuccessful() else pathlib.Path("build/logs/identity"))
    return 0 if done.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
