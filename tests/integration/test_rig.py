# SPDX-License-Identifier: Apache-2.0
"""The rig itself, without Setu: what the other tests rest on must be able to fail."""

from tests.integration.helpers import KRAFT, RigTest
from tests.rig import load, paths


class MixedCluster(RigTest):
    def test_scram_reaches_legacy_and_certificates_reach_ajna(self):
        topic = self.topic(leaders=[1, 2, 3])
        for partition, login in ((0, self.cluster.login_sasl("orders")), (1, self.cluster.login_sasl("orders", "PLAIN")),
                                 (2, self.cluster.login_certificate("orders"))):
            self.kcat_write(login, topic, [f"p{partition}"], "-p", partition)
        self.assertEqual(self.cluster.end_offsets(topic), [1, 1, 1])
        self.assert_seen_as("User:orders", topic)

    def test_services_may_use_their_own_topics_only(self):
        topic = self.topic("payments", leaders=[1, 2, 3])
        for partition, login in ((0, self.cluster.login_sasl("orders")), (2, self.cluster.login_certificate("orders")),
                                 (1, self.cluster.login_direct())):
            done = self.kcat(login, "-P", "-t", topic, "-p", partition, stdin="x\n")
            self.assertIn("authorization failed", done.stderr)
        self.assertEqual(self.cluster.end_offsets(topic), [0, 0, 0])

    def test_ajna_wants_a_certificate(self):
        login = self.cluster.login_certificate("orders")
        bare = type(login)(login.bootstrap, ca=login.ca)
        self.assertNotEqual(self.kcat(bare, "-L", "-m", "5").returncode, 0)

    def test_scram_records_are_those_in_zookeeper(self):
        stored = self.cluster.stored_records("orders")
        self.assertEqual(set(stored), {"SCRAM-SHA-256", "SCRAM-SHA-512"})
        for mechanism, record in stored.items():
            self.assertEqual(record, self.cluster.scram_record("orders", mechanism))

    def test_internal_topics_span_both_generations(self):
        topic = self.topic("direct")
        login = self.cluster.login_direct()
        self.kcat_write(login, topic, ["a", "b"])
        done = self.kcat(login, "-G", self.unique("direct"), "-c", "2", topic, auto_offset_reset="earliest")
        self.assertEqual(sorted(done.stdout.split()), ["a", "b"], done.stderr)
        for row in self.cluster.partitions("__consumer_offsets"):
            self.assertEqual(sorted(row["replicas"]), [1, 2, 3])

    def test_leaders_move_between_generations(self):
        topic = self.topic("direct", leaders=[1])
        self.cluster.move_leader(topic, 0, 3)
        self.kcat_write(self.cluster.login_direct(), topic, ["at-3"])
        self.cluster.move_leader(topic, 0, 2)
        self.assertEqual(self.kcat_read(self.cluster.login_direct(), topic), ["at-3"])

    def test_the_counter_finds_lost_duplicated_and_foreign_records(self):
        topic, login, where = self.topic("direct"), self.cluster.login_direct(), self.cluster.directory
        wrote = load.write(login, topic, 1000, 100, where, self.unique("direct"))
        self.assertEqual(wrote.acknowledged, 1000)
        read = load.read_all(login, topic, 1000, 100, where, "count", self.unique("direct"))
        self.assertEqual((read["consumed"], read["lost"], read["duplicated"], read["foreign"]), (1000, 0, 0, 0))
        load.write(login, topic, 10, 100, where, self.unique("direct"))
        self.kcat_write(login, topic, ["A" * 100])
        read = load.read_all(login, topic, 1005, 100, where, "count", self.unique("direct"))
        self.assertEqual((read["consumed"], read["lost"], read["duplicated"], read["foreign"]), (1011, 5, 10, 1))


class Kraft(RigTest):
    plans = KRAFT

    def test_a_certificate_writes_to_its_own_topics_only(self):
        login = self.cluster.login_certificate("orders")
        topic, other = self.topic("orders"), self.topic("payments")
        done = self.java(paths.KRAFT, login, topic, produce=5, consume=5, group=self.unique("orders"))
        self.assertEqual(len(self.java_lines("read", done)), 5)
        done = self.java(paths.KRAFT, login, other, produce=1)
        self.assertIn("TopicAuthorizationException", done.stdout)
        self.assert_seen_as("User:orders", topic)
