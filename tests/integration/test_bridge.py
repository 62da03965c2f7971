# SPDX-License-Identifier: Apache-2.0
"""Brokers of both generations in one cluster, which reach each other only through listeners of role brokers."""

import re
import ssl
import time

from tests.integration import kafka_client as kafka
from tests.integration import own_setu, steady
from tests.integration.helpers import RigTest, halt_clusters
from tests.rig import Cluster, paths
from tests.rig.cluster import MIXED
from tests.rig.process import wait_until
from tests.rig.setu import hear_out

LEGACY, AJNA = (1, 2), 3
STATE_PARTITIONS = 6  # of __transaction_state, as the rig has it
DENIED = 58
BETWEEN_BROKERS = {"LeaderAndIsr", "StopReplica", "UpdateMetadata", "ControlledShutdown", "WriteTxnMarkers",
                   "AlterPartition", "Fetch"}


def java_hash(text: str) -> int:
    """String.hashCode() with its sign bit off, as Kafka's Utils.abs does."""
    value = 0
    for letter in text:
        value = (31 * value + ord(letter)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


class Bridge(RigTest):
    plans = None

    @classmethod
    def setUpClass(cls):
        halt_clusters()
        cls.cluster = Cluster(MIXED, bridge=True, brief=True, say=lambda text: print(f"    {text}", flush=True),
                              zookeeper_session_timeout_ms=4000)
        # Before node 2 a peer may also come with SASL over TLS.
        cls.cluster.bridge.config["listeners"][1]["tls"]["client_auth"] = "requested"
        cls.addClassCleanup(cls.finish)
        cls.cluster.start()

    @classmethod
    def finish(cls):
        bridge = cls.cluster.bridge
        try:
            if bridge.process.popen is not None:
                bridge.stop()
                text = bridge.log.read_text(errors="replace")
                if "Sanitizer" in text or "runtime error:" in text:
                    raise AssertionError(f"a sanitizer spoke: {text[-4000:]}")
        finally:
            cls.cluster.close()

    def topic_in_sync(self, **options) -> str:
        name = self.topic(leaders=[1, 2, 3], min_insync_replicas=2, **options)
        self.cluster.wait_in_sync(name)
        return name

    def logged(self, event: str, **fields) -> list[str]:
        """Lines of the bridge's log."""
        hear_out(self.cluster.bridge.process)
        lines = [line for line in self.cluster.bridge.log.read_text().splitlines() if f"event={event} " in line]
        return [line for line in lines if all(f"{key}={value}" in line for key, value in fields.items())]

    # --- the four ways between two kinds ---

    def test_brokers_log_in_both_ways_and_nobody_is_anonymous(self):
        self.cluster.elect_controller(AJNA)  # it also comes to itself
        topic = self.topic_in_sync()
        self.assertEqual(self.cluster.seen("User:ANONYMOUS"), [])
        for node_id in (*LEGACY, AJNA):
            allowed = {row.principal for row in self.cluster.seen("User:replicator") if row.node_id == node_id}
            self.assertEqual(allowed, {"User:replicator"}, f"brokers at node {node_id}")
        ways = set()
        for line in self.logged("broker_login_ok"):
            fields = dict(re.findall(r"(\w+)=(\S+)", line))
            ways.add((fields["mechanism"], fields["login"]))
        self.assertEqual(ways, {("SCRAM-SHA-512", "sasl"), ("SCRAM-SHA-512", "mapped-certificate"),
                                ("SSL", "sasl"), ("SSL", "mapped-certificate")})
        self.assertTrue(self.cluster.in_sync(topic))

    def test_a_principal_that_is_not_listed_is_refused(self):
        refusals = []
        for node_id in (LEGACY[0], AJNA):
            port = self.cluster.nodes[node_id].bridge_port
            for user, password in (("stranger", self.cluster.passwords["stranger"]), ("stranger", "wrong")):
                with self.assertRaises(PermissionError) as refused:
                    kafka.Client(port, user, password)
                refusals.append(refused.exception.args)
        self.assertEqual(len(set(refusals)), 1, refusals)
        self.assertEqual(refusals[0][0], DENIED)
        self.assertEqual(len(self.logged("login_denied", reason="not_a_peer", claimed="stranger")), 2)
        context = ssl.create_default_context(cafile=str(self.cluster.authority.certificate))
        orders = self.cluster.certificates["orders"]
        context.load_cert_chain(orders.chain, orders.key)
        with kafka.Client(self.cluster.nodes[AJNA].bridge_port, tls=context) as client:
            client.send_anyway(kafka.request(kafka.METADATA, 1, kafka.metadata_body(1)))
            self.assertEqual(client.ended(), b"")
        self.assertEqual(len(self.logged("login_denied", reason="not_a_peer", claimed="orders")), 1)
        wait_until(lambda: self.cluster.bridge.audit.read_bytes().count(b"not_a_peer") >= 3, 20, "all are audited")

    def test_sasl_over_tls(self):
        context = ssl.create_default_context(cafile=str(self.cluster.authority.certificate))
        password = self.cluster.passwords["replicator"]
        with kafka.Client(self.cluster.nodes[2].bridge_port, "replicator", password, tls=context) as client:
            self.assertEqual(set(client.metadata()[0]), {1, 2, 3})
        with self.assertRaises((OSError, kafka.Closed)):
            kafka.Client(self.cluster.nodes[1].bridge_port, "replicator", password, tls=context)

    def test_versions_are_the_brokers_own(self):
        for node_id in (LEGACY[0], AJNA):
            broker = self.cluster.nodes[node_id]
            with kafka.Client(broker.ports["ADMIN"], *broker.admin_login, "PLAIN") as direct:
                own = direct.api_versions()
            with kafka.Client(broker.bridge_port) as client:
                told = client.api_versions()
                client.log_in("replicator", self.cluster.passwords["replicator"])
                self.assertEqual(client.api_versions(), own)
            sasl = {kafka.HANDSHAKE, kafka.API_VERSIONS, kafka.AUTHENTICATE}
            self.assertEqual({k: v for k, v in told.items() if k not in sasl},
                             {k: v for k, v in own.items() if k not in sasl})

    # --- months in mixed mode, in a minute ---

    def test_controllers_leaders_and_restarts_of_both_kinds_under_load(self):
        setu, topic = self.setu(), self.topic_in_sync()
        load = steady.Load(self, setu, 3, topic, paths.AJNA)
        began = time.monotonic()

        def say(what: str) -> None:
            print(f"    {time.monotonic() - began:5.1f} s {what}", flush=True)

        self.cluster.elect_controller(AJNA)
        self.topic_in_sync()
        self.cluster.restart(LEGACY[0])
        self.cluster.wait_in_sync(topic)
        say("legacy node 1 shut down and came back while the controller is Ajna")
        self.cluster.kill(AJNA)
        wait_until(lambda: self.cluster.controller() in LEGACY, 30, "a legacy controller", 0.2)
        load.wait_further("without the Ajna broker")
        self.cluster.start_node(AJNA)
        self.cluster.wait_in_sync(topic)
        say(f"the controller was killed, legacy node {self.cluster.controller()} took over, Ajna came back")
        killed = self.cluster.controller()
        self.assertIn(killed, LEGACY)
        self.cluster.stop(AJNA)
        say("Ajna node 3 shut down while the controller is legacy")
        self.cluster.kill(killed)
        self.cluster.nodes[AJNA].start()
        self.cluster.start_node(killed)
        self.cluster.nodes[AJNA].wait_ready({1, 2, 3})
        self.cluster.wait_in_sync(topic)
        say(f"the legacy controller {killed} was killed, and both came back")
        for partition, node_id in enumerate((3, 1, 2)):
            self.cluster.move_leader(topic, partition, node_id)
        load.wait_further("led from everywhere")
        told = load.check()
        self.cluster.wait_in_sync(topic)
        counted = own_setu.fresh_stats(self.cluster.bridge)
        seen = {name for name in BETWEEN_BROKERS if counted.get(f'requests_total{{api="{name}"}}', 0) > 0}
        self.assertLessEqual(BETWEEN_BROKERS - {"WriteTxnMarkers", "StopReplica"}, seen)
        self.assertEqual(counted['batch_crc_errors_total{direction="fetch"}'], 0)
        batches = int(counted['batches_total{direction="fetch"}'])
        print(f"    acknowledged {told}; {batches} batches replicated through the bridge, checksums of all hold",
              flush=True)

    def test_transactions_across_the_boundary(self):
        """Coordinator on each node, partitions on all: markers go from each kind to each kind."""
        from confluent_kafka import Consumer
        setu, topic = self.setu(), self.topic_in_sync()
        self.transact(setu, self.unique("orders"), topic, "first")
        leaders = self.cluster.leaders("__transaction_state")
        expected = ["first"] * 3
        for node_id in (1, 2, 3):
            name = next(name for name in (f"{self.unique('orders')}-{i}" for i in range(10000))
                        if leaders[java_hash(name) % STATE_PARTITIONS] == node_id)
            self.transact(setu, name, topic, f"by-{node_id}")
            expected += [f"by-{node_id}"] * 3
        consumer = Consumer(setu.login("orders").librdkafka() | {
            "group.id": topic, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
        consumer.subscribe([topic])
        read = []
        for message in iter(lambda: consumer.poll(20 if len(read) < len(expected) else 1), None):
            self.assertIsNone(message.error())
            read.append(message.value().decode())
        consumer.close()
        self.assertEqual(sorted(read), sorted(expected))
        counted = own_setu.fresh_stats(self.cluster.bridge)
        self.assertGreater(counted['requests_total{api="WriteTxnMarkers"}'], 0)

    def transact(self, setu, name: str, topic: str, value: str) -> None:
        """One record in each partition, committed; then one in each, aborted."""
        from confluent_kafka import Producer
        producer = Producer(setu.login("orders").librdkafka() | {"transactional.id": name})
        producer.init_transactions(60)
        for suffix, end in (("", producer.commit_transaction), ("-aborted", producer.abort_transaction)):
            producer.begin_transaction()
            for partition in range(3):
                producer.produce(topic, value + suffix, partition=partition)
            producer.flush(30)
            end(60)
