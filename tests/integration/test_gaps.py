# SPDX-License-Identifier: Apache-2.0
"""Generations whose listeners have different names: each real broker tells of its own generation alone, and clients see
one cluster all the same (`metadata: merged`)."""

import time

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.rig.process import wait_until

LEADERS = [1, 3, 2, 3]
VALUES = [f"value-{i:03}" for i in range(60)]
LEADER_NOT_AVAILABLE, COORDINATOR_NOT_AVAILABLE, LISTENER_NOT_FOUND = 5, 15, 72


def errors(answer: kafka.Answer, version: int) -> dict[int, tuple[int, int]]:
    """partition → (error, leader) of a Metadata answer (v5 to v8) for one topic."""
    answer.take("i")
    for _ in range(answer.array()):
        answer.take("i"), answer.text(), answer.take("i"), answer.text()
    answer.text(), answer.take("i")
    found = {}
    for _ in range(answer.array()):
        answer.take("h"), answer.text(), answer.take("b")
        for _ in range(answer.array()):
            error, partition, leader = answer.take("h"), answer.take("i"), answer.take("i")
            if version >= 7:
                answer.take("i")
            for _ in range(3):
                for _ in range(answer.array()):
                    answer.take("i")
            found[partition] = (error, leader)
        if version >= 8:
            answer.take("i")
    return found


class Gaps(RigTest):
    def merged(self, metadata: str | None = "merged", **options):
        made = self.setu(start=False, **options)
        cluster = made.config["clusters"][0]
        cluster["bootstrap"] = [broker.address("APART") for broker in self.cluster.nodes.values()]
        if metadata:
            cluster["metadata"] = metadata
        made.write()
        return own_setu.start(self, made)

    def client(self, setu, node_id: int) -> kafka.Client:
        return kafka.Client(setu.node_base_port + node_id, "orders", self.cluster.passwords["orders"], timeout_s=30)

    def leaders(self, setu, node_id: int, topic: str, version: int) -> dict[int, tuple[int, int]]:
        with self.client(setu, node_id) as client:
            return errors(client.call(kafka.METADATA, version, kafka.metadata_body(version, [topic])), version)

    def may_describe(self) -> None:
        self.cluster.admin("acls", acls=[{"principal": "User:setu", "type": "TOPIC", "name": "*", "pattern": "LITERAL",
                                          "operations": ["DESCRIBE"]}])

    def coordinator(self, client: kafka.Client, group: str) -> tuple[int, int]:
        """Error and node of FindCoordinator v0."""
        answer = client.call(kafka.FIND_COORDINATOR, 0, bytes(kafka.Body().text(group).data))
        return answer.take("h"), answer.take("i")

    def test_1_as_is_each_generation_tells_of_itself_alone(self):
        topic, setu = self.topic(leaders=LEADERS), self.merged(None)
        for node_id, own in ((1, {1, 2}), (3, {3})):
            with self.client(setu, node_id) as client:
                self.assertEqual(set(client.metadata([topic])[0]), own)
            for version, error in ((5, LEADER_NOT_AVAILABLE), (8, LISTENER_NOT_FOUND)):
                told = self.leaders(setu, node_id, topic, version)
                self.assertEqual(told, {p: (0, leader) if leader in own else (error, -1)
                                        for p, leader in enumerate(LEADERS)}, f"node {node_id}, v{version}")
        wait_until(lambda: "event=listeners_differ" in setu.log.read_text(), 20, "the log says so")

    def test_2_leaders_are_known_once_setu_may_describe_topics(self):
        topic, setu = self.topic(leaders=LEADERS), self.merged()
        whole = {p: (0, leader) for p, leader in enumerate(LEADERS)}
        with self.client(setu, 1) as client:
            self.assertEqual(client.metadata([topic])[0],
                             {n: ("127.0.0.1", setu.node_base_port + n) for n in (1, 2, 3)})
        if not self.leaders(setu, 1, topic, 8) == whole:
            wait_until(lambda: "event=leaders_not_told" in setu.log.read_text(), 10, "the log says why")
            self.assertEqual(self.leaders(setu, 1, topic, 8)[1], (LISTENER_NOT_FOUND, -1))
        self.may_describe()
        for node_id in (1, 2, 3):
            for version in (8, 5):
                wait_until(lambda: self.leaders(setu, node_id, topic, version) == whole, 20,
                           f"all leaders, from node {node_id} in v{version}", 0.1)
        began = time.monotonic()
        self.cluster.move_leader(topic, 0, 3)
        wait_until(lambda: self.leaders(setu, 2, topic, 8)[0] == (0, 3), 20, "the leader that has moved", 0.02)
        print(f"    a move of a leader to the other generation is told by a broker of this one after "
              f"{time.monotonic() - began:.2f} s (the move itself included)", flush=True)

    def test_3_groups_of_both_generations_find_their_coordinators(self):
        self.may_describe()
        setu = self.merged()
        groups = [f"orders-{n}" for n in range(12)]
        found = {}
        for node_id in (1, 3):
            with self.client(setu, node_id) as client:
                for group in groups:
                    def whole():
                        error, coordinator = self.coordinator(client, group)
                        self.assertIn(error, (0, COORDINATOR_NOT_AVAILABLE))
                        found.setdefault(group, set()).add(coordinator)
                        return error == 0
                    wait_until(whole, 30, f"the coordinator of {group}, from node {node_id}", 0.1)
        for group in groups:
            self.assertEqual(len(found[group] - {-1}), 1, f"{group}: both say the same")
        self.assertEqual(set.union(*found.values()) & {1, 2, 3}, {1, 2, 3}, "on both sides")

    def written_and_read(self, topic: str) -> None:
        self.assertTrue(all(self.cluster.end_offsets(topic)), "every partition was written to")
        self.assert_seen_as("User:orders", topic)
        self.assert_seen_as("User:orders", topic, "read")

    def java_roundtrip(self, version: str, **options) -> None:
        self.may_describe()
        topic, setu = self.topic(leaders=LEADERS), self.merged()
        done = self.java(version, setu.login("orders"), topic, produce=60, consume=60, group=self.unique("orders"),
                         **options)
        self.assertEqual(self.java_lines("read", done), self.java_lines("wrote", done))
        self.written_and_read(topic)

    def test_java_2_8(self):
        self.java_roundtrip(paths.LEGACY)

    def test_java_3_9_with_transactions(self):
        self.java_roundtrip(paths.AJNA, transactional=self.unique("orders"))

    def test_kafkajs(self):
        self.may_describe()
        topic, setu = self.topic(leaders=LEADERS), self.merged()
        result = self.node(setu.login("orders"), topic=topic, produce=VALUES, consume=len(VALUES),
                           group=self.unique("orders"))
        self.assertEqual(sorted(result["read"]), VALUES)
        self.written_and_read(topic)

    def test_librdkafka(self):
        from confluent_kafka import Consumer, Producer
        self.may_describe()
        topic, setu = self.topic(leaders=LEADERS), self.merged()
        settings = setu.login("orders").librdkafka()
        producer, failed = Producer(settings), []
        for number, value in enumerate(VALUES):
            producer.produce(topic, value=value, partition=number % len(LEADERS),
                             on_delivery=lambda error, _: error and failed.append(error))
        self.assertEqual(producer.flush(30), 0)
        self.assertEqual(failed, [])
        consumer = Consumer(settings | {"group.id": self.unique("orders"), "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        read = []
        for message in iter(lambda: consumer.poll(20), None):
            self.assertIsNone(message.error())
            read.append(message.value().decode())
            if len(read) == len(VALUES):
                break
        consumer.close()
        self.assertEqual(sorted(read), VALUES)
        self.written_and_read(topic)
