# SPDX-License-Identifier: Apache-2.0
"""No port takes a client before all brokers have been looked at: who came earlier could be promised more than some take."""

import time
import unittest

from tests.integration import kafka_client
from tests.integration.stage import NODES, Stage, broker_program, setu_program
from tests.rig.process import wait_until


class Listening(unittest.TestCase):
    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        self.stage = Stage()
        self.addCleanup(lambda: self.assertEqual(self.stage.close(), []))

    def start(self) -> None:
        """With node 2 standing still; back when both nodes are known and node 1 has been looked at."""
        stage = self.stage
        start, serves = stage.brokers[2].start, stage.serves

        def start_and_stop():
            start()
            stage.brokers[2].process.pause()

        stage.brokers[2].start = start_and_stop
        stage.serves = lambda: 1 in {row["node"] for row in stage.events(name="broker_up")} and \
            {row["node"] for row in stage.events(name="broker_learned")} == set(NODES)
        self.addCleanup(stage.brokers[2].process.resume)
        stage.start()
        stage.serves = serves

    def refused(self) -> bool:
        stage = self.stage
        for port in (stage.port, stage.tls_port, *(stage.node_port(node, tls) for node in NODES for tls in (0, 1))):
            try:
                stage.raw(port).close()
                return False
            except ConnectionRefusedError:
                pass
        return True

    def test_all_open_when_the_last_broker_has_been_looked_at(self):
        self.start()
        self.assertTrue(self.refused())
        began = time.monotonic()
        self.stage.brokers[2].process.resume()
        wait_until(self.stage.serves, 2, "all ports", 0.01)
        told = [row["event"] for row in self.stage.told() if row["event"] in ("cluster_ready", "port_opened")]
        self.assertEqual(told, ["cluster_ready"] + ["port_opened"] * 6)
        self.stage.check_good_client(self)
        print(f"    all ports open {time.monotonic() - began:.2f} s after the last broker answered", flush=True)

    def test_a_broker_that_does_not_answer_is_not_waited_for_for_long(self):
        began = time.monotonic()
        self.start()
        self.assertTrue(self.refused())
        wait_until(self.stage.serves, 20, "all ports", 0.05)
        self.assertGreater(time.monotonic() - began, 2)
        with self.stage.client(1) as client:
            self.assertEqual(client.produce("good", 0, kafka_client.batch([b"x"]))[0], 0)
        self.stage.brokers[2].process.resume()
