# SPDX-License-Identifier: Apache-2.0
"""Large frames and slow peers: what passes through Setu does not stay in it. In the release build."""

import itertools
import ssl
import time

from tests.integration import kafka_client as kafka
from tests.integration.stage import NODES, StageTest
from tests.rig.process import wait_until

MIB = 1024 * 1024
LARGE = 90 * 1000 * 1000


def over(tls: bool) -> str:
    return " over TLS" if tls else ""


class Large(StageTest):
    measures_memory = True
    stage_options = {"broker_options": {0: ["--source", f"flood:{LARGE}"]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        one = kafka.batch([b"x" * 1000] * 64)
        cls.one, cls.records = len(one), one * (LARGE // len(one))

    def warm_up(self, node: int, tls: bool) -> None:
        """What is kept for good, such as the allocator's first pages, is there before we look."""
        with self.stage.client(node, tls=tls, timeout_s=60) as client:
            client.metadata(["large"])
            for _ in range(4):
                _, base = client.produce("large", node - 1, self.records[:self.one * 20])
                client.fetch("large", node - 1, base)

    def test_90_mb_produced_in_one_request(self):
        """T73: the request passes through; memory does not grow with it."""
        for node, tls in itertools.product(NODES, (False, True)):
            self.warm_up(node, tls)
            with self.stage.client(node, tls=tls, timeout_s=120) as client:
                client.metadata(["large"])
                before = self.stage.rss()
                error, _ = client.produce("large", node - 1, self.records)
                self.assertEqual(error, 0)
                grown = self.stage.rss_peak() - before
                print(f"\n    90 MB produced to node {node}{over(tls)}: {grown // 1024} KiB more", flush=True)
                self.assertLess(grown, 2 * MIB)

    def test_90_mb_fetched_in_one_answer(self):
        """T73: so does the answer."""
        for node, tls in itertools.product(NODES, (False, True)):
            self.warm_up(node, tls)
            with self.stage.client(node, tls=tls, timeout_s=120) as client:
                client.metadata(["large"])
                before = self.stage.rss()
                error, records = client.fetch("flood", node - 1, 0)
                self.assertEqual((error, len(records)), (0, LARGE))
                grown = self.stage.rss_peak() - before
                print(f"\n    90 MB fetched from node {node}{over(tls)}: {grown // 1024} KiB more", flush=True)
                self.assertLess(grown, 2 * MIB)
                self.assertEqual(len(kafka.batches(records[:MIB])), MIB // self.one)

    def at_rest(self, metric: str, **labels) -> None:
        last = [-1]

        def same():
            last.append(self.stage.number(metric, **labels))
            return last[-1] == last[-2]
        wait_until(same, 60, f"{metric} at rest")

    def test_a_client_that_does_not_read(self):
        """T73: Twenty answers of 90 MB each are asked for and not read: the broker must wait, not Setu swell."""
        for node, tls in itertools.product(NODES, (False, True)):
            self.warm_up(node, tls)
            with self.stage.client(node, tls=tls, timeout_s=120) as client:
                client.metadata(["large"])
                before = self.stage.rss()
                ids = [client.ask(1, 11, kafka.fetch_body(11, "flood", {node - 1: 0})) for _ in range(20)]
                self.at_rest("bytes_total", side="broker", direction="in")
                grown = self.stage.rss_peak() - before
                print(f"\n    a client of node {node}{over(tls)} that does not read: {grown // 1024} KiB more", flush=True)
                self.assertLess(grown, 2 * MIB)
                self.assertGreater(self.stage.number("backpressure_total", side="broker"), 0)
                found = kafka.fetched(client.answer(1, 11, ids[0]), 11)[0]
                self.assertEqual((found[node - 1][0], len(found[node - 1][1])), (0, LARGE), "and nothing is lost")

    def test_a_broker_that_does_not_read(self):
        """T73: the client is made to wait."""
        for node, tls in itertools.product(NODES, (False, True)):
            self.warm_up(node, tls)
            with self.stage.client(node, tls=tls, timeout_s=20) as client:
                client.metadata(["large"])
                self.stage.brokers[node].fault("api=Produce,do=stall")
                client.ask(0, 7, kafka.produce_body(7, "large", {node - 1: kafka.batch([b"x"])}))
                before = self.stage.rss()
                data = kafka.request(0, 7, kafka.produce_body(7, "large", {node - 1: self.records}), 99)
                sent = self._send_until_stuck(client, data)
                self.assertLess(sent, len(data), "the client is made to wait")
                grown = self.stage.rss_peak() - before
                print(f"\n    a broker {node} that does not read{over(tls)}: {grown // 1024} KiB more", flush=True)
                self.assertLess(grown, 2 * MIB)
                self.assertGreater(self.stage.number("backpressure_total", side="client"), 0)
            self.stage.brokers[node].clear()

    @staticmethod
    def _send_until_stuck(client: kafka.Client, data: bytes) -> int:
        """Bytes that went until none did for two seconds."""
        sent, last = 0, time.monotonic()
        client.socket.setblocking(False)
        while sent < len(data) and time.monotonic() - last < 2:
            try:
                sent += client.socket.send(data[sent:sent + MIB])
                last = time.monotonic()
            except (BlockingIOError, ssl.SSLWantWriteError):
                time.sleep(0.01)
        return sent


class Slow(StageTest):
    """A broker that sends 400 kB a second, so that every frame comes in many pieces."""

    stage_options = {"broker_options": {0: ["--slow", "400000", "--source", "flood:400000"]}}

    def test_a_slow_answer_comes_whole(self):
        for node in NODES:
            with self.stage.client(node, timeout_s=60) as client:
                client.metadata(["large"])
                error, records = client.fetch("flood", node - 1, 0)
                self.assertEqual((error, len(records)), (0, 400000))
                self.assertTrue(all(row[2] for row in kafka.batches(records)))
