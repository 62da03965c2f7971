# SPDX-License-Identifier: Apache-2.0
"""The fault list, under load: brokers that are slow, throttle, become others and come back, are many or know many topics;
and real ones, which know idempotent producers."""

import random
import time
import unittest

from tests.integration import kafka_client, own_setu
from tests.integration.faults import SEED, Faults, either
from tests.integration.helpers import RigTest, paths
from tests.integration.numbered import DEPTH, Load
from tests.integration.private_network import PrivateNetwork
from tests.integration.stage import NODES, Stage
from tests.integration.steady import Load as RigLoad
from tests.rig.process import wait_until


class Slow(Faults):
    def test_a_broker_is_slow(self):
        """Answers come late, and more slowly than requests: what waits is bounded, and the other node is not held up."""
        stage = self.stage()
        load = Load(self, stage)
        slow, other = ([w for w in load.writers if w.node == node] for node in NODES)
        for late_ms in either([300], [100, 1000, 5000, 30000]):
            stage.brokers[1].fault(f"api=Produce,do=delay:{late_ms}")
            before = [len(writer.acked) for writer in other]
            load.further(f"{late_ms} ms late", records=DEPTH + 5, timeout_s=late_ms / 20 + 60, writers=slow)
            self.assertGreater(min(len(w.acked) - n for w, n in zip(other, before)), 3 * (DEPTH + 5),
                               "the other node is not held up")
            stage.brokers[1].clear()
            load.further("in time again")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.tell(text)


class Elsewhere(Faults):
    def test_a_certificate_for_another_host(self):
        """T50: of the right authority, and for 127.0.0.1, shown at 127.0.0.2: no client gets there, nor does Setu itself."""
        def for_another(stage: Stage) -> None:
            stage.certificates["broker"] = stage.authority.issue("broker", server=True)

        stage = self.stage(for_another, broker_host="127.0.0.2")
        with stage.client(2, "orders") as client:
            client.ended(10)
        wait_until(lambda: stage.closes()["broker_not_trusted"] == 1, 60, "the reason is told")
        refused = stage.told(name="probe_failed") + stage.told(name="broker_login_failed")
        texts = {(row["event"], row.get("text", row.get("detail"))) for row in refused}
        why = "peer certificate: IP address mismatch"
        self.assertEqual(texts, {("probe_failed", why), ("broker_login_failed", why)})
        stage.client(1, "orders").close()  # by SASL, without TLS


class Flips(Faults):
    """Generations are recognised by looking. Unlike a node that is made anew, these keep what they have stored."""

    WAYS = ("--ssl", "--sasl")

    @staticmethod
    def by_look(stage: Stage) -> None:
        stage.config["clusters"][0]["refresh_ms"] = 60000
        for generation in stage.config["clusters"][0]["generations"]:
            generation["match"] = {"probe": True}

    def test_a_node_becomes_of_another_generation_and_back(self):
        stage = self.stage(self.by_look)
        load = Load(self, stage)
        for turn in range(either(4, 60)):
            stage.brokers[1].become(self.WAYS[turn % 2])
            load.further(f"after flip {turn + 1}")
        flips = [(row["generation_before"], row["generation"]) for row in stage.told(name="generation_flipped")
                 if row["node"] == 1]
        there, back = ("legacy", "ajna"), ("ajna", "legacy")
        self.assertEqual(flips, [there, back] * either(2, 30))
        denied = sum(writer.denied for writer in load.writers)
        self.assertEqual(denied, 0, "no failed login reaches a client")
        self.tell(f"{len(flips)} flips; {load.check()}")


class Many(Faults):
    TOPICS, NODES = 10000, 1000

    def test_metadata_of_ten_thousand_topics(self):
        """Asked for again and again beside the load, in the versions that differ most."""
        stage = self.stage(broker_options={0: ["--many-topics", str(self.TOPICS)]})
        load, asked = Load(self, stage), 0
        for node, version in [(node, version) for node in NODES for version in (1, 12)] * either(1, 20):
            tls = asked % 2 == 1
            with stage.client(node, "payments", tls=tls, timeout_s=60) as client:
                brokers, leaders = client.metadata(None, version)
                self.assertEqual(brokers, {n: ("localhost", stage.node_port(n, tls)) for n in NODES})
                self.assertGreater(len(leaders), self.TOPICS)
                asked += 1
        load.further("beside all that")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.tell(f"asked for {asked} times; {text}")

    def crowd(self, stage: Stage) -> None:
        """All of them live at the address of node 1, which tells of them."""
        broker = stage.brokers[1]
        for node in range(3, self.NODES + 1):
            broker.process.argv += ["--node", f"{node}={stage.broker_host}:{broker.port}"]
        cluster = stage.config["clusters"][0]
        cluster["generations"][0]["match"] = {"node_ids": f"1,3-{self.NODES}"}
        # Below all ports that rig/ports.py hands out, of which the brokers have some.
        stage.port, stage.tls_port, stage.base, stage.tls_base = 10000, 10001, 10002, 10003 + self.NODES
        for listener, port, base in zip(stage.config["listeners"], (stage.port, stage.tls_port),
                                        (stage.base, stage.tls_base)):
            listener.update(port=port, node_base_port=base, node_ports_max=self.NODES + 1)

    def test_a_thousand_brokers(self):
        network = PrivateNetwork().open()  # two thousand ports, all free
        self.addCleanup(network.close)
        began = time.monotonic()
        stage = self.stage(self.crowd)
        load = Load(self, stage)
        with stage.client(user="payments") as client:
            brokers, _ = client.metadata(["good"])
        self.assertEqual(brokers, {node: ("localhost", stage.node_port(node)) for node in range(1, self.NODES + 1)})
        for node in (1, 3, 500, self.NODES):
            with stage.client(node, "payments") as client:
                self.assertEqual(len(client.metadata(["good"])[0]), self.NODES)
        wait_until(lambda: stage.number("nodes_live") == self.NODES, 120, "each was looked at")
        self.tell(f"all seen after {time.monotonic() - began:.1f} s; {load.check()}")


# --- real brokers ---

class RealBrokers(RigTest):
    """What needs brokers that know idempotent producers: nothing is there twice although it was sent twice."""

    LEADERS = [1, 2, 3]
    QUOTA = "producer_byte_rate"

    def load(self) -> tuple:
        setu = own_setu.start(self, self.setu(start=False))
        return setu, RigLoad(self, setu, len(self.LEADERS), self.topic(leaders=self.LEADERS), paths.AJNA)

    def test_setu_and_brokers_are_stopped_for_a_while(self):
        pause = random.Random(SEED)
        setu, load = self.load()
        stopped = [setu.process, self.cluster.nodes[1].process, self.cluster.nodes[3].process]
        for process in stopped * either(1, 3):
            process.pause()
            time.sleep(either(1.0, pause.uniform(1, 30)))
            process.resume()
            load.wait_further(f"after {process.name} was stopped")
        zookeeper = self.cluster.zookeeper
        zookeeper.process.pause()
        time.sleep(either(1.0, 10))
        zookeeper.process.resume()
        load.wait_further("after ZooKeeper was stopped")
        zookeeper.process.kill()
        load.wait_further("without ZooKeeper")
        zookeeper.start()
        zookeeper.wait_ready()
        load.wait_further("with ZooKeeper again")
        print(f"    stopped, ZooKeeper killed too: {load.check()}", flush=True)

    def quota(self, bytes_per_s: float | None) -> None:
        """Of every user who has none of his own; None: no such quota. AlterClientQuotas v0."""
        body = kafka_client.Body()
        body.array(1).array(1).text("user").text(None)
        body.array(1).text(self.QUOTA).pack("d?", bytes_per_s or 0.0, bytes_per_s is None).pack("?", False)
        with kafka_client.Client(self.cluster.nodes[1].ports["ADMIN"], "admin", self.cluster.admin_password,
                                 "PLAIN") as client:
            answer = client.call(49, 0, bytes(body.data))
        answer.take("i"), answer.array()
        self.assertEqual((answer.take("h"), answer.text()), (0, None))

    def throttled_ms(self, setu, node: int, topic: str) -> int | None:
        """What the node says to somebody who writes through Setu: for so long it will not listen to him. None: not worth
        mentioning."""
        with kafka_client.Client(setu.node_base_port + node, "orders", self.cluster.passwords["orders"],
                                 timeout_s=60) as client:
            body = kafka_client.produce_body(7, topic, {0: kafka_client.batch([bytes(3000)])}, acks=1)
            answer = client.call(kafka_client.PRODUCE, 7, body)
            self.assertEqual(answer.array(), 1)
            answer.text()
            self.assertEqual(answer.array(), 1)
            self.assertEqual(answer.take("ihqqq")[1], 0)
            told_ms = answer.take("i")
            return told_ms if told_ms >= 100 else None

    def test_brokers_throttle(self):
        """A real quota: the broker mutes a client's connection, and with it Setu's; nobody takes that for an end."""
        setu, load = self.load()
        one, three = (self.topic(partitions=1, leaders=[node]) for node in (1, 3))
        time.sleep(13)  # brokers measure over eleven seconds, and the test before this one may have written much
        self.quota(either(15000.0, 2000.0))
        self.addCleanup(self.quota, None)
        told = {}
        for node, topic in ((1, one), (3, three)):
            told[node] = wait_until(lambda: self.throttled_ms(setu, node, topic), 60, f"node {node} throttles", 0.01)
        load.wait_further("while they are throttled", timeout_s=240, records=either(10, 200))
        self.quota(None)
        load.wait_further("without a quota", timeout_s=240)
        text = load.check()
        ends = own_setu.assert_ends(self, setu, "client_closed")
        print(f"    throttled, {told[1]} ms by node 1, {told[3]} ms by node 3: {text}; {dict(ends)}", flush=True)


if __name__ == "__main__":
    unittest.main()
