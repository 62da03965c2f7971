# SPDX-License-Identifier: Apache-2.0
"""Where clients find nodes: a port for each or a loopback address for each, by IPv4, by IPv6, by a name that is both."""

import socket
import subprocess
import unittest

from tests.integration import kafka_client
from tests.integration.kafka_client import Client, Closed
from tests.integration.stage import NODES, PASSWORDS, Stage, broker_program, setu_program
from tests.rig import ports
from tests.rig.process import wait_until

LOGIN = ("orders", PASSWORDS["orders"])
PARTITION = {1: 0, 2: 1}
ALIAS = {1: "127.80.0.1", 2: "127.80.0.2", 25: "127.80.0.25"}


class Addresses(unittest.TestCase):
    """Beside the stage's own listeners: `both`, whose name is localhost, and `aliases`."""

    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        self.stage = Stage()
        self.addCleanup(lambda: self.assertEqual(self.stage.close(), []))
        self.base, self.port = ports.free_block(20), ports.free_port()
        both = self.stage._listener("both", self.base) | {"bind": ["127.0.0.1", "::1"], "advertised_host": "localhost"}
        aliases = {"name": "aliases", "cluster": "main", "bind": ["127.0.0.1", "::1"], "port": self.port,
                   "node_network": "127.80.0.0/16", "mechanisms": ["SCRAM-SHA-512"]}
        self.stage.config["listeners"] += [both, aliases]

    def write(self, node: int, port: int, host: str) -> None:
        with Client(port, *LOGIN, host=host) as client:
            self.assertEqual(client.produce("good", PARTITION[node], kafka_client.batch([b"x"]))[0], 0)

    def kcat(self, bootstrap: str, partition: int, *settings: str) -> None:
        """librdkafka: looks the names up itself, as it is told or as it likes."""
        arguments = ["kcat", "-P", "-b", bootstrap, "-t", "good", "-p", partition]
        for setting in ("security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-512",
                        f"sasl.username={LOGIN[0]}", f"sasl.password={LOGIN[1]}", "message.timeout.ms=20000",
                        *settings):
            arguments += ["-X", setting]
        done = subprocess.run([str(part) for part in arguments], input="x\n", capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_localhost_is_served_whichever_way_it_resolves(self):
        self.stage.start()
        for host in ("127.0.0.1", "::1"):
            with Client(self.base + 19, *LOGIN, host=host) as client:
                self.assertEqual(client.metadata()[0], {node: ("localhost", self.base + node) for node in NODES})
            for node in NODES:
                self.write(node, self.base + node, host)
        for family, number in (("any", 0), ("v4", socket.AF_INET), ("v6", socket.AF_INET6)):
            try:
                socket.getaddrinfo("localhost", None, number)
            except socket.gaierror:
                continue  # not on this machine
            self.kcat(f"localhost:{self.base + 19}", 0, f"broker.address.family={family}")

    def test_each_node_has_a_loopback_address(self):
        self.stage.start()
        for host in ("127.0.0.1", "::1"):
            with Client(self.port, *LOGIN, host=host) as client:
                self.assertEqual(client.metadata()[0], {node: (ALIAS[node], self.port) for node in NODES})
        for node in NODES:
            self.write(node, self.port, ALIAS[node])
            self.kcat(f"127.0.0.1:{self.port}", PARTITION[node])
        opened = {(row["bind"], row["port"]): row["node_id"] for row in self.stage.told(0, "port_opened")
                  if row["listener"] == "aliases"}
        self.assertEqual(opened, {("127.0.0.1", self.port): -1, ("::1", self.port): -1,
                                  (ALIAS[1], self.port): 1, (ALIAS[2], self.port): 2})

    def test_an_address_that_is_somebody_elses_is_never_told(self):
        with socket.socket() as other:
            other.bind((ALIAS[2], self.port))
            other.listen()
            self.stage.start()
            with self.assertRaises((Closed, OSError)):
                with Client(self.port, *LOGIN) as client:
                    client.metadata()
            row = self.stage.told(0, "port_not_opened")[0]
            self.assertEqual((row["listener"], row["bind"], row["node_id"]), ("aliases", ALIAS[2], 2))
            self.assertGreaterEqual(self.stage.number("node_ports_refused_total", cause="taken"), 1)
            self.assertEqual(self.stage.told_closes()["address_refused"], 1)
        with Client(self.port, *LOGIN) as client:
            self.assertEqual(client.metadata()[0][2], (ALIAS[2], self.port))
        self.write(2, self.port, ALIAS[2])

    def test_an_id_beyond_the_ports_is_refused_where_there_are_ports(self):
        self.stage.config["clusters"][0]["generations"][1]["match"] = {"node_ids": "2,25"}
        self.stage.start()
        with self.stage.client(2) as client:
            client.metadata()
            self.stage.brokers[2].again(node_id=25)  # node_ports_max is 19
            client.ended()
        with self.assertRaises((Closed, OSError)):
            with self.stage.client(2) as client:
                client.metadata()
        wait_until(lambda: 25 in [row["node_id"] for row in self.stage.events(0, "port_opened")], 20, "node 25's alias")
        with Client(self.port, *LOGIN, host=ALIAS[25]) as client:
            self.assertEqual(client.metadata()[0][25], (ALIAS[25], self.port))
        self.assertGreaterEqual(self.stage.number("node_ports_refused_total", cause="range"), 1)
        row = self.stage.told(0, "node_port_refused")[0]
        self.assertEqual((row["node_id"], row["node_ids_below"]), (25, 19))


if __name__ == "__main__":
    unittest.main()
