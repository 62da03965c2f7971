# SPDX-License-Identifier: Apache-2.0
"""Clients of every kind in a place from which only Setu can be reached: who dialled a broker's address would fail."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import threading
import unittest

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.integration.namespace import Namespace
from tests.rig import java_tools
from tests.rig.process import wait_until

NODES = (1, 2, 3)
RECORDS = 30


def answers(host: str, port: int) -> bool:
    try:
        with kafka.Raw(port, 5, host=host) as raw:
            return bool(raw.send(kafka.request(kafka.API_VERSIONS, 0)).frame())
    except OSError:
        return False


class Peers:
    """Who is connected to the brokers' CLIENT listeners, asked of the kernel again and again."""

    def __init__(self, brokers, interval_s: float = 0.1):
        ports = " or ".join(f"dport = :{broker.ports['CLIENT']}" for broker in brokers)
        self.command = ["ss", "-Htnp", "state", "established", f"( {ports} )"]
        self.interval_s = interval_s
        self.owners: dict[tuple[str, str], int] = {}
        self.unowned: set[tuple[str, str]] = set()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _look(self) -> None:
        for line in subprocess.run(self.command, capture_output=True, text=True, check=True).stdout.splitlines():
            ends = tuple(re.findall(r"\S+:\d+", line)[:2])
            owner = re.search(r"pid=(\d+)", line)
            if owner:
                self.owners[ends] = int(owner[1])
            else:
                self.unowned.add(ends)

    def _watch(self) -> None:
        while not self.stop.wait(self.interval_s):
            self._look()

    def start(self) -> "Peers":
        self._look()
        self.thread.start()
        return self

    def end(self) -> None:
        self.stop.set()
        self.thread.join()

    def unknown(self) -> set[tuple[str, str]]:
        """ss lists processes before it lists connections: one made or ended in between has no owner at that moment."""
        return self.unowned - set(self.owners)


class Isolation(RigTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.namespace, cls.hindrance = Namespace(), None
        try:
            cls.namespace.open()
            cls.addClassCleanup(cls.namespace.close)
        except unittest.SkipTest as reason:
            cls.hindrance = str(reason)
            return
        cls.cluster.admin("acls", acls=[{"principal": "User:orders", "type": "TOPIC", "name": "orders",
                                         "pattern": "PREFIXED", "operations": ["DESCRIBE_CONFIGS"]}])

    def setUp(self):
        if self.hindrance:
            print(f"    {self.hindrance}", flush=True)
            self.skipTest(self.hindrance)
        super().setUp()
        host = self.namespace.outside
        self.own = self.setu(start=False)
        self.own.config["listeners"][0] |= {"bind": host, "advertised_host": host}
        self.own.write()
        self.own._ready = lambda: answers(host, self.own.port)
        own_setu.start(self, self.own)
        self.login = dataclasses.replace(self.own.login("orders"), bootstrap=f"{host}:{self.own.port}")
        self.addresses = {str(node): f"{host}:{self.own.node_base_port + node}" for node in NODES}
        self.dials, self.loopback = self.namespace.dials(), self.namespace.loopback_packets()
        self.accepted = self.count_accepted()
        self.peers = Peers(self.cluster.nodes.values()).start()
        self.addCleanup(self.peers.end)

    def count_accepted(self) -> int:
        return int(own_setu.fresh_stats(self.own)['client_connections_total{outcome="accepted"}'])

    def run_inside(self, argv: list, **options) -> str:
        """The program's output; it must go well."""
        done = self.namespace.run(argv, **options)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        return done.stdout

    def check_dials(self, what: str) -> None:
        """Every connection that was begun inside arrived at Setu; every one at a broker was begun by Setu."""
        made = self.namespace.dials() - self.dials
        wait_until(lambda: self.count_accepted() - self.accepted == made, 10, f"{made} connections at Setu")
        self.assertEqual(self.namespace.loopback_packets(), self.loopback, "somebody dialled 127.0.0.1")
        own_setu.assert_ends(self, self.own, "client_closed", "client_reset")
        self.peers.end()
        self.assertEqual(set(self.peers.owners.values()), {self.own.process.pid}, self.peers.owners)
        print(f"    {what}: {made} dials, all to Setu; {len(self.peers.owners)} connections seen at the brokers, "
              f"all of Setu, and {len(self.peers.unknown())} too short to see whose", flush=True)

    def check_tour(self, what: str, topic: str, told: dict) -> None:
        self.assertEqual(told["brokers"], self.addresses)
        self.assertIn(told["controller"], NODES)
        self.assertEqual(told["min.insync.replicas"], "2")
        self.assertEqual((told["written"], told["read"], told["read_again"], told["aborted_read"]),
                         (RECORDS, RECORDS, RECORDS + 3, 0), told)
        self.assertIn(told["committed"], range(RECORDS + 3, RECORDS + 7), "of each transaction a marker may count")
        self.check_dials(what)
        self.assert_seen_as("User:orders", topic)
        self.assert_seen_as("User:orders", topic, "read")

    def java_tour(self, version: str) -> None:
        topic = self.unique("orders")
        config = self.login.java_file(self._file("properties"), client_id=topic)
        out = self.run_inside(java_tools.command(version, "Tour", config, topic))
        self.check_tour(f"Java {version}", topic, json.loads(out))

    def test_a_java_2_8_client_does_everything_through_setu_alone(self):
        self.java_tour(paths.LEGACY)

    def test_a_java_3_9_client_does_everything_through_setu_alone(self):
        self.java_tour(paths.AJNA)

    def test_a_java_4_4_client_does_everything_through_setu_alone(self):
        self.java_tour(paths.KRAFT)

    def test_confluent_kafka_does_everything_through_setu_alone(self):
        topic = self.unique("orders")
        job = {"settings": self.login.librdkafka(), "topic": topic}
        program = pathlib.Path(__file__).with_name("tour_librdkafka.py")
        out = self.run_inside([sys.executable, program], input=json.dumps(job))
        self.check_tour("confluent-kafka", topic, json.loads(out))

    def test_kafkajs_does_everything_through_setu_alone(self):
        topic, modules = self.unique("orders"), paths.cache() / "node" / "node_modules"
        job = {"brokers": [self.login.bootstrap], "username": self.login.user, "password": self.login.password,
               "mechanism": self.login.mechanism.lower(), "topic": topic}
        out = self.run_inside(["env", f"NODE_PATH={modules}", "KAFKAJS_NO_PARTITIONER_WARNING=1", "node",
                               pathlib.Path(__file__).with_name("tour_kafkajs.js")], input=json.dumps(job))
        self.check_tour("kafkajs", topic, json.loads(out))

    def test_kcat_does_everything_through_setu_alone(self):
        topic = self.topic(leaders=list(NODES))
        values = [f"record-{i}" for i in range(RECORDS)]

        def kcat(*arguments, stdin: list[str] = (), **settings) -> list[str]:
            config = self.login.kcat_file(self._file("kcat"), **settings)
            return self.run_inside(["kcat", "-F", config, "-q", *arguments],
                                   input="".join(f"{line}\n" for line in stdin)).splitlines()

        listed = re.findall(r"broker (\d+) at (\S+?),?(?: \(controller\))?$", "\n".join(kcat("-L", "-t", topic)), re.M)
        self.assertEqual(dict(listed), self.addresses)
        for partition in range(3):
            kcat("-P", "-t", topic, "-p", partition, stdin=values[partition::3])
        grouped = ("-G", topic, "-c")
        read = kcat(*grouped, RECORDS, topic, auto_offset_reset="earliest")
        self.assertEqual(sorted(read), sorted(values))
        committed = ["committed-1", "committed-2", "committed-3"]
        kcat("-P", "-t", topic, stdin=committed, transactional_id=topic)
        self.assertEqual(sorted(kcat(*grouped, 3, topic, auto_offset_reset="earliest")), committed)
        self.check_dials("kcat")
        self.assert_seen_as("User:orders", topic, "read")

    def test_a_dial_to_a_broker_would_fail_and_be_noticed(self):
        ports = [broker.ports["CLIENT"] for broker in self.cluster.nodes.values()]
        tries = [(host, port) for host in ("127.0.0.1", self.namespace.outside) for port in ports]
        script = ("import json, socket, sys\n"
                  "for host, port in json.load(sys.stdin):\n"
                  "    print(socket.socket().connect_ex((host, port)))\n")
        own = [(self.namespace.outside, port) for port in (self.own.port, self.own.node_base_port + 3)]
        done = self.namespace.run([sys.executable, "-c", script], input=json.dumps(tries + own))
        self.assertEqual(done.returncode, 0, done.stderr)
        codes = [int(line) for line in done.stdout.split()]
        self.assertNotIn(0, codes[:len(tries)])
        self.assertEqual(codes[len(tries):], [0, 0])
        self.assertEqual(self.namespace.dials() - self.dials, len(tries) + len(own))
        self.assertGreaterEqual(self.namespace.loopback_packets() - self.loopback, len(ports))
        wait_until(lambda: self.count_accepted() - self.accepted == len(own), 10, "Setu's own share of the dials")
