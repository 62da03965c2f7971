# SPDX-License-Identifier: Apache-2.0
"""Two clusters behind one Setu: what is known of one opens nothing before the other."""

import unittest

from tests.integration.kafka_client import Raw
from tests.integration.stage import PASSWORDS, Client, Stage, TestBroker
from tests.rig import ports

OTHER_NODE = 7


class TwoClusters(unittest.TestCase):
    def setUp(self):
        self.stage = Stage()
        self.addCleanup(lambda: self.assertEqual(self.stage.close(), []))
        self.base = ports.free_block(20)
        self.other = TestBroker(OTHER_NODE, self.stage.directory, ports.free_port(), {}, ["--topic", "good:1"])
        self.addCleanup(self.other.stop)
        self.other.start()
        config = self.stage.config
        config["clusters"].append({
            "name": "other", "bootstrap": [f"127.0.0.1:{self.other.port}"], "identity": {"certificate": "setu"},
            "generations": [{"name": "ajna", "protocol": "SSL", "login": "mapped-certificate",
                             "tls": {"ca": self.stage.authority.certificate}}]})
        config["listeners"].append(self.stage._listener("other", self.base) | {"cluster": "other"})
        self.stage.start()

    def is_open(self, port: int) -> bool:
        try:
            Raw(port, 1).close()
            return True
        except OSError:
            return False

    def test_ports_are_opened_before_their_own_cluster_only(self):
        with Client(self.base + 19, "orders", PASSWORDS["orders"]) as client:
            self.assertEqual(client.metadata()[0], {OTHER_NODE: ("localhost", self.base + OTHER_NODE)})
        self.assertTrue(self.is_open(self.base + OTHER_NODE))
        self.assertTrue(self.is_open(self.stage.base + 1))
        self.assertFalse(self.is_open(self.base + 1))
        self.assertFalse(self.is_open(self.stage.base + OTHER_NODE))
