# SPDX-License-Identifier: Apache-2.0
"""TLS sessions resumed at real brokers, and never as somebody else.

Kafka has an SSLContext in each of its network threads (3 by default): a ticket is good at one of them, so about every
third connection is resumed. With a server of one context all are: tests/unit/test_tls_sessions.c.
"""

import concurrent.futures
import os
import random

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import KRAFT, RigTest
from tests.rig import evidence
from tests.rig.process import wait_until

SERVICES = ("orders", "payments")
CONNECTIONS, THREADS = 600, 8


class Resumption(RigTest):
    node_id = 3

    def start_setu(self, **tls):
        setu = self.setu(start=False)
        for generation in setu.config["clusters"][0]["generations"]:
            if "tls" in generation:
                generation["tls"] |= tls
        setu.write()
        return own_setu.start(self, setu)

    def handshakes(self, setu) -> dict[str, int]:
        """Broker legs of clients: whole ("ok"), "resumed", "failed"."""
        counted = own_setu.fresh_stats(setu)
        return {result: int(counted[f'tls_handshakes_total{{side="broker",result="{result}"}}'])
                for result in ("ok", "resumed", "failed")}

    def visit(self, setu, service: str, client_id: str, topic: str) -> None:
        """What only the service's own principal may do."""
        with kafka.Client(setu.node_base_port + self.node_id, client_id=client_id, timeout_s=60) as client:
            client.log_in(service, self.cluster.passwords[service])
            error, _ = client.produce(topic, 0, kafka.batch([client_id.encode()]))
            self.assertEqual(error, 0, client_id)

    def principals(self, start: int) -> dict[str, set[str]]:
        """client.id → as whom the broker saw it."""
        found = {}
        for row in evidence.requests(self.cluster.nodes[self.node_id], start):
            if row.listener == "CLIENT":
                found.setdefault(row.client_id, set()).add(row.principal)
        return found

    def own_topics(self) -> dict[str, str]:
        return {service: self.topic(service, partitions=1, replicas=1, leaders=[self.node_id], retention_ms=-1)
                for service in SERVICES}

    def test_t44_interleaved_services_resume_as_themselves(self):
        seed = int.from_bytes(os.urandom(4), "big")
        dice = random.Random(seed)
        topics, setu = self.own_topics(), self.start_setu()
        broker = self.cluster.nodes[self.node_id]
        start = evidence.log_end(broker, "request.log")
        self.cluster.log_requests(True)
        self.addCleanup(self.cluster.log_requests, False)
        jobs = {f"{self.id().rpartition('.')[2]}-{i}": dice.choice(SERVICES) for i in range(CONNECTIONS)}
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(self.visit, setu, service, name, topics[service])
                         for name, service in jobs.items()]:
                done.result()
        wait_until(lambda: jobs.keys() <= self.principals(start).keys(), 60, "all connections in the broker's log", 0.5)
        seen = self.principals(start)
        for name, service in jobs.items():
            self.assertEqual(seen[name], {f"User:{service}"}, f"seed {seed}: {name}")
        counted = self.handshakes(setu)
        print(f"    {CONNECTIONS} connections, {THREADS} at a time, as two services: {counted}", flush=True)
        self.assertEqual((sum(counted.values()), counted["failed"]), (CONNECTIONS, 0))
        self.assertGreater(counted["resumed"], CONNECTIONS * 0.15)
        text = setu.log.read_text()
        self.assertEqual(text.count("resumed=true"), counted["resumed"])

    def test_switched_off_every_handshake_is_whole(self):
        topics, setu = self.own_topics(), self.start_setu(resumption=False)
        for i in range(6):
            service = SERVICES[i % 2]
            self.visit(setu, service, f"whole-{i}", topics[service])
        self.assertEqual(self.handshakes(setu), {"ok": 6, "resumed": 0, "failed": 0})

    def visit_until_resumed(self, setu, topics: dict[str, str], name: str) -> dict[str, int]:
        """Visits of both services in turn; how each of their handshakes ended."""
        before, counted = self.handshakes(setu), {}
        for round_number in range(8):
            for i in range(12):
                service = SERVICES[i % 2]
                self.visit(setu, service, f"{name}-{round_number}-{i}", topics[service])
            after = self.handshakes(setu)
            counted = {result: after[result] - before[result] for result in after}
            if counted["resumed"]:
                break
        self.assertEqual(counted["failed"], 0, counted)
        self.assertGreater(counted["resumed"], 0, counted)
        return counted

    def test_a_broker_that_was_restarted_is_met_anew(self):
        """It has forgotten the sessions; those who come notice nothing."""
        topics, setu = self.own_topics(), self.start_setu()
        before = self.visit_until_resumed(setu, topics, "before")
        self.assertGreaterEqual(before["ok"], len(SERVICES), "each began with a whole handshake")
        self.cluster.restart(self.node_id)
        for topic in topics.values():
            wait_until(lambda topic=topic: self.cluster.leaders(topic) == [self.node_id], 60, "the node leads again", 0.5)
        after = self.visit_until_resumed(setu, topics, "after")
        self.assertGreaterEqual(after["ok"], len(SERVICES), "each began with a whole handshake")


class ResumptionKRaft(Resumption):
    plans, node_id = KRAFT, 4


del RigTest
