# SPDX-License-Identifier: Apache-2.0
"""Clients of every kind write to and read from both generations through Setu, with one login."""

from tests.integration.helpers import KRAFT, RigTest, paths

VALUES = [f"value-{i:03}" for i in range(60)]


class Kcat(RigTest):
    def test_writes_and_reads_both_generations(self):
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu()
        login = setu.login("orders")
        for partition in range(3):
            self.kcat_write(login, topic, VALUES[partition * 20:partition * 20 + 20], "-p", partition)
        self.assertEqual(self.kcat_read(login, topic), VALUES)
        self.assertEqual(self.cluster.end_offsets(topic), [20, 20, 20])
        self.assert_seen_as("User:orders", topic)
        self.assert_seen_as("User:orders", topic, "read")

    def test_every_mechanism(self):
        topic, setu = self.topic(leaders=[1, 3]), self.setu()
        for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"):
            for partition in (0, 1):
                self.kcat_write(setu.login("orders", mechanism), topic, [mechanism], "-p", partition)
        self.assertEqual(self.cluster.end_offsets(topic), [3, 3])
        self.assert_seen_as("User:orders", topic)

    def test_reads_in_a_group(self):
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu()
        login = setu.login("orders")
        self.kcat_write(login, topic, VALUES)
        done = self.kcat(login, "-G", self.unique("orders"), "-c", len(VALUES), topic, auto_offset_reset="earliest")
        self.assertEqual(sorted(done.stdout.split()), VALUES, done.stderr)

    def test_addresses_are_setus(self):
        setu = self.setu()
        done = self.kcat(setu.login("orders"), "-L")
        self.assertEqual(done.returncode, 0, done.stderr)
        for node_id, broker in self.cluster.nodes.items():
            self.assertIn(f"broker {node_id} at 127.0.0.1:{setu.node_base_port + node_id}", done.stdout)
            self.assertNotIn(str(broker.ports["CLIENT"]), done.stdout)

    def test_passthrough_to_legacy(self):
        topic, setu = self.topic(leaders=[1, 2]), self.setu(legacy_login="passthrough")
        self.kcat_write(setu.login("orders"), topic, ["through"], "-p", "0")
        self.assert_seen_as("User:orders", topic, nodes=[1])

    def test_over_tls(self):
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu(tls=True)
        login = setu.login("orders")
        self.kcat_write(login, topic, VALUES)
        self.assertEqual(self.kcat_read(login, topic), VALUES)
        self.assert_seen_as("User:orders", topic, "read")

    def test_with_a_certificate_as_login(self):
        topic, setu = self.topic(leaders=[1, 3]), self.setu(tls=True, client_auth="required")
        login = setu.login(None, certificate=self.cluster.certificates["orders"])
        for partition in (0, 1):
            self.kcat_write(login, topic, ["certified"], "-p", partition)
        self.assert_seen_as("User:orders", topic)


class Refusals(RigTest):
    def refused(self, login, topic: str) -> str:
        done = self.kcat(login, "-P", "-t", topic, "-p", "0", stdin="x\n", message_timeout_ms=4000)
        self.assertNotEqual(done.returncode, 0, "was let in")
        self.assertEqual(sum(self.cluster.end_offsets(topic)), 0)
        return done.stderr

    def test_wrong_password(self):
        topic, setu = self.topic(), self.setu()
        self.assertIn("uthentication failed", self.refused(setu.login("orders", password="wrong"), topic))

    def test_unknown_user(self):
        topic, setu = self.topic(), self.setu()
        login = type(setu.login())(f"127.0.0.1:{setu.port}", "nobody", "nothing")
        self.assertIn("uthentication failed", self.refused(login, topic))

    def test_user_without_a_certificate(self):
        """T58: denied by the words that everybody gets."""
        topic, setu = self.topic(), self.setu()
        self.refused(setu.login("stranger"), topic)
        self.assertEqual(self.cluster.seen("User:stranger"), [])

    def test_a_service_stays_out_of_anothers_topic(self):
        topic, setu = self.topic("payments", leaders=[1, 3]), self.setu()
        for partition in (0, 1):
            done = self.kcat(setu.login("orders"), "-P", "-t", topic, "-p", partition, stdin="x\n")
            self.assertIn("authorization failed", done.stderr)
        self.assertEqual(self.cluster.end_offsets(topic), [0, 0])

    def test_no_login_at_all(self):
        setu = self.setu()
        login = type(setu.login())(f"127.0.0.1:{setu.port}")
        self.assertNotEqual(self.kcat(login, "-L", "-m", "4").returncode, 0)


class Java(RigTest):
    def roundtrip(self, version: str, **options):
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu()
        done = self.java(version, setu.login("orders"), topic, produce=60, consume=60, group=self.unique("orders"),
                         **options)
        self.assertEqual(self.java_lines("read", done), self.java_lines("wrote", done))
        self.assertEqual(len(self.java_lines("read", done)), 60)
        self.assert_seen_as("User:orders", topic)
        self.assert_seen_as("User:orders", topic, "read")

    def test_client_2_8(self):
        self.roundtrip(paths.LEGACY)

    def test_client_3_9(self):
        self.roundtrip(paths.AJNA)

    def test_client_4_4(self):
        self.roundtrip(paths.KRAFT)

    def test_transaction(self):
        self.roundtrip(paths.AJNA, transactional=self.unique("orders"))


class JavaOnKraft(RigTest):
    plans = KRAFT

    def test_client_4_4(self):
        topic, setu = self.topic(), self.setu()
        done = self.java(paths.KRAFT, setu.login("orders"), topic, produce=60, consume=60, group=self.unique("orders"))
        self.assertEqual(self.java_lines("read", done), self.java_lines("wrote", done))
        self.assert_seen_as("User:orders", topic)

    def test_client_2_8(self):
        topic, setu = self.topic(), self.setu()
        done = self.java(paths.LEGACY, setu.login("orders"), topic, produce=60, consume=60, group=self.unique("orders"))
        self.assertEqual(self.java_lines("read", done), self.java_lines("wrote", done))


class Others(RigTest):
    def test_kafkajs(self):
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu()
        result = self.node(setu.login("orders"), topic=topic, produce=VALUES, consume=len(VALUES),
                           group=self.unique("orders"))
        self.assertEqual(sorted(result["read"]), VALUES)
        self.assert_seen_as("User:orders", topic)

    def test_confluent_kafka(self):
        from confluent_kafka import Consumer, Producer
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu()
        settings = setu.login("orders").librdkafka()
        producer, errors = Producer(settings), []
        for value in VALUES:
            producer.produce(topic, key=value, value=value, on_delivery=lambda error, _: error and errors.append(error))
        self.assertEqual(producer.flush(30), 0)
        self.assertEqual(errors, [])
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
        self.assert_seen_as("User:orders", topic)
