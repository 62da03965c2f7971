# SPDX-License-Identifier: Apache-2.0
"""Leaders move, brokers die, Setu stops or dies, while idempotent producers write: nothing is lost, nothing doubled."""

import signal
import ssl
import time

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.integration.steady import Load, wait_end

LEADERS = [1, 2, 3, 1, 2, 3]


class Recovery(RigTest):
    def setUp(self):
        super().setUp()
        self.own = own_setu.start(self, self.setu(start=False))
        self.topic_name = self.topic(leaders=LEADERS)

    def load(self) -> Load:
        return Load(self, self.own, len(LEADERS), self.topic_name, paths.AJNA)

    def led_by(self, node_id: int) -> list[int]:
        return [p for p, leader in enumerate(LEADERS) if leader == node_id]

    def check(self, load: Load, text: str, *reasons: str) -> None:
        """Accounts for every record; `reasons`: why connections may have ended, beside that clients closed them."""
        told = load.check()
        ends = own_setu.assert_ends(self, self.own, "client_closed", "client_reset", *reasons)
        print(f"    {text}; acknowledged and read: {told}; {', '.join(f'{n} {end}' for end, n in ends.items())}",
              flush=True)

    def test_leaders_move_between_the_generations_under_load(self):
        load, moves = self.load(), 0
        for partition, path in ((0, (3, 2, 1)), (2, (1, 3, 2, 3))):
            for node_id in path:
                self.cluster.move_leader(self.topic_name, partition, node_id)
                load.wait_further(f"with {partition} at node {node_id}", [partition])
                moves += 1
        self.check(load, f"{moves} moves of a leader")

    def kill_and_restart(self, node_id: int) -> None:
        load, mine, began = self.load(), self.led_by(node_id), time.monotonic()
        self.cluster.kill(node_id)
        try:
            load.wait_further(f"without node {node_id}")
            without_s = time.monotonic() - began
        finally:
            self.cluster.start_node(node_id)
        self.cluster.wait_in_sync(self.topic_name)
        for partition in mine:
            self.cluster.move_leader(self.topic_name, partition, node_id)
        load.wait_further(f"with node {node_id} again")
        self.assertEqual(self.cluster.leaders(self.topic_name), LEADERS)
        # Killed between the handshake's end and its first answer it looks like a broker that wants no such certificate.
        self.assertNotIn("tls_certificate_rejected", self.own.said(), "none said so")
        with_certificate = ("broker_tls_failed", "broker_rejected_certificate") if node_id == 3 else ()
        self.check(load, f"node {node_id} killed: writers went on after {without_s:.1f} s", "broker_closed",
                   "broker_reset", "broker_unreachable", "route_unknown", *with_certificate)

    def test_a_legacy_broker_is_killed_and_comes_back_under_load(self):
        """T74: kill -9 of a broker."""
        self.kill_and_restart(1)

    def test_the_ajna_broker_is_killed_and_comes_back_under_load(self):
        self.kill_and_restart(3)

    def test_setu_is_drained_and_a_new_process_takes_over_under_load(self):
        load, drains = self.load(), []
        for life in (2, 3):
            began = time.monotonic()
            self.assertEqual(wait_end(self.own.process, 40), 0)
            drains.append(f"{time.monotonic() - began:.2f} s")
            self.own.start()
            load.wait_further(f"with Setu's process {life}")
        self.check(load, f"drained in {' and '.join(drains)}", "drained")

    def test_setu_is_killed_and_a_new_process_takes_over_under_load(self):
        """T74: kill -9, before real brokers."""
        load = self.load()
        for life in (2, 3):
            self.own.process.kill()
            self.own.start()
            load.wait_further(f"with Setu's process {life}")
        self.check(load, "killed twice")


class Pipeline:
    """Small requests to one node, always `depth` of them without an answer, so that the connection never rests. What
    was taken must be answered: this client, unlike those above, would write it a second time."""

    def __init__(self, setu, node_id: int, topic: str, partition: int, password: str, tls=None, depth: int = 64):
        self.client = kafka.Client(setu.node_base_port + node_id, "orders", password, timeout_s=30, tls=tls)
        self.topic, self.partition, self.depth = topic, partition, depth
        self.first = self.client.correlation_id + 1
        self.sent = self.acked = 0

    def _send(self) -> None:
        body = kafka.produce_body(7, self.topic, {self.partition: kafka.batch([b"%d" % self.sent])}, acks=-1)
        self.client.ask(kafka.PRODUCE, 7, body)
        self.sent += 1

    def _take(self) -> None:
        error, _ = kafka.produced(self.client.answer(kafka.PRODUCE, 7, self.first + self.acked), 7)[self.partition]
        if error:
            raise AssertionError(f"Produce error {error}")
        self.acked += 1

    def turn(self) -> bool:
        """Fills up, then takes an answer. False when the stream has come to its end; a reset is an error."""
        while self.sent - self.acked < self.depth:
            self._send()
        try:
            self._take()
        except kafka.Closed as error:
            if str(error) != "end of stream":
                raise
            return False
        return True


class Drain(RigTest):
    def drain(self, node_id: int, tls: bool) -> None:
        setu = own_setu.start(self, self.setu(start=False, tls=tls), ends_by_itself=True)
        topic, context = self.topic(leaders=[node_id]), None
        if tls:
            context = ssl.create_default_context(cafile=str(self.cluster.authority.certificate))
        pipeline = Pipeline(setu, node_id, topic, 0, self.cluster.passwords["orders"], context)
        with pipeline.client:
            while pipeline.acked < 200:
                self.assertTrue(pipeline.turn())
            began = time.monotonic()
            setu.process.signal(signal.SIGTERM)
            while pipeline.turn():
                self.assertLess(time.monotonic() - began, 20, "the client is still served")
        self.assertEqual(setu.process.wait(40), 0)
        drained_s = time.monotonic() - began
        written, = self.cluster.end_offsets(topic)
        print(f"    node {node_id}{', TLS' if tls else ''}: {pipeline.sent} sent, {written} written, "
              f"{pipeline.acked} answered, drained in {drained_s:.2f} s", flush=True)
        self.assertEqual(pipeline.acked, written)
        own_setu.assert_ends(self, setu, "client_closed", "drained")

    def test_every_request_taken_before_the_end_is_answered(self):
        self.drain(1, tls=False)

    def test_every_request_taken_before_the_end_is_answered_over_tls(self):
        self.drain(3, tls=True)
