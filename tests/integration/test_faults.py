# SPDX-License-Identifier: Apache-2.0
"""The fault list, under load: whatever breaks, what was acknowledged is there, once, in its order.

Short by default; SETU_LONG_FAULTS=1 lets each fault last as long as it may in life (about a quarter of an hour in all).
"""

import datetime
import os
import pathlib
import random
import subprocess
import time
import unittest

from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.integration.numbered import Load
from tests.integration.private_network import HERE, THERE, LossyNetwork, PrivateNetwork
from tests.integration.stage import NODES, Stage, broker_program, setu_program
from tests.integration.steady import Load as RigLoad
from tests.rig.process import wait_until

LONG = os.environ.get("SETU_LONG_FAULTS") == "1"
SEED = int(os.environ.get("SETU_FAULT_SEED", "1"))


def either(short, long):
    return long if LONG else short


class Faults(unittest.TestCase):
    """Each test has brokers and a Setu of its own; when they end, nothing is left, and no sanitizer spoke."""

    longMessage = True

    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")

    def stage(self, prepare=None, **options) -> Stage:
        made = Stage(**options)

        def close():
            wrong = made.close()
            self.assertEqual(wrong, [], "\n".join(wrong))

        self.addCleanup(close)
        if prepare:
            prepare(made)
        return made.start()

    def tell(self, text: str) -> None:
        print(f"    {self._testMethodName}: {text}", flush=True)


# --- processes ---

class Processes(Faults):
    def test_setu_and_brokers_are_stopped_for_a_while(self):
        """SIGSTOP, SIGCONT: nobody is cut, all goes on."""
        stage, pause = self.stage(), random.Random(SEED)
        load = Load(self, stage)
        stopped = [stage.process, *(broker.process for broker in stage.brokers.values())]
        for process in stopped * either(1, 4):
            process.pause()
            time.sleep(either(0.7, pause.uniform(1, 30)))
            process.resume()
            load.further(f"after {process.name} was stopped")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.tell(text)

    def test_setu_is_killed_again_and_again(self):
        stage = self.stage()
        load, lives = Load(self, stage), either(3, 30)
        for life in range(lives):
            stage.kill_and_restart()
            load.further(f"with life {life + 2}", records=5)
        self.tell(f"{lives} times; {load.check()}")


# --- the network ---

class Resets(Faults):
    def test_connections_are_reset_again_and_again(self):
        network = PrivateNetwork().open()
        self.addCleanup(network.close)
        stage, cut = self.stage(), 0
        load, rounds = Load(self, stage), either(6, 100)
        for i in range(rounds):
            ports = ([broker.port for broker in stage.brokers.values()] if i % 2 == 0
                     else [stage.node_port(node, tls) for node in NODES for tls in (False, True)])
            cut += sum(network.reset("dport", "=", f":{port}") for port in ports)
            load.further(f"after reset {i + 1}", records=5)
        self.assertGreater(cut, rounds)
        self.tell(f"{cut} sockets; {load.check()}")


class Cable(Faults):
    """Both legs of Setu, and its own looks at the brokers, go through a cable that is bad."""

    def setUp(self):
        super().setUp()
        self.network = LossyNetwork(SEED).open()
        self.addCleanup(self.network.close)
        self.own = self.stage(self.by_address, broker_host=HERE, host=THERE, wrap=self.network.wrap)

    @staticmethod
    def by_address(stage: Stage) -> None:
        """Certificates are for localhost; here brokers have an address of the cable's."""
        for generation in stage.config["clusters"][0]["generations"]:
            if "tls" in generation:
                generation["tls"]["verify_hostname"] = False

    def load(self) -> Load:
        return Load(self, self.own)

    def test_packets_are_lost_doubled_and_overtake_each_other(self):
        load = self.load()
        self.network.order(loss=either(0.01, 0.03), twice=0.02, reorder=0.2, delay_ms=1)
        load.further("over a bad cable", records=either(40, 3000), timeout_s=either(60, 600))
        self.network.heal()
        load.further("over a good cable again")
        text = load.check()
        self.assertEqual(load.ends(), [], "TCP hides all of that")
        self.tell(text)

    def test_a_black_hole_for_a_while(self):
        load = self.load()
        for seconds in either([1.5], [1, 5, 15, 30]):
            self.network.order(loss=1)
            time.sleep(seconds)
            self.network.heal()
            load.further(f"after {seconds} s of silence", timeout_s=90)
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.tell(text)


# --- the machine ---

class Disk(Faults):
    """The audit log is on a file system that is full for a while."""

    def small(self, stage: Stage) -> pathlib.Path:
        where = stage.directory / "small"
        where.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", where], capture_output=True,
                              text=True)
        if done.returncode != 0:
            self.skipTest(f"NO MOUNT, a full disk is not tested: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", where], capture_output=True)
        return where

    @staticmethod
    def fill(file: pathlib.Path) -> None:
        with open(file, "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(512))
            except OSError:
                pass

    def enters(self, stage: Stage) -> bool:
        try:
            stage.client(user="payments", timeout_s=5).close()
            return True
        except OSError:
            return False

    def test_the_audit_log_finds_no_room(self):
        made = {}
        stage = self.stage(lambda s: made.update(where=self.small(s)) or
                           s.config["audit"].update(file=made["where"] / "audit.log"))
        load = Load(self, stage)
        for _ in range(either(1, 20)):
            filler = made["where"] / "filler"
            self.fill(filler)
            wait_until(lambda: not self.enters(stage), 20, "nobody comes in unseen")
            load.further("while nobody may come in")
            filler.unlink()
            wait_until(lambda: self.enters(stage), 20, "who comes is let in again")
        text = load.check()
        self.assertEqual(load.ends(), [], "who was in stayed in")
        self.assertIn("audit_unavailable", stage.closes())
        self.tell(text)


class Names(Faults):
    """Brokers are named by a name; the name service goes away and comes back."""

    NAME = "broker.setu-faults.test"

    def named(self, stage: Stage) -> None:
        self.hosts = stage.directory / "hosts"
        self.known(True)
        resolver = stage.directory / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        cluster = stage.config["clusters"][0]
        cluster["bootstrap"] = [f"{self.NAME}:{broker.port}" for broker in stage.brokers.values()]
        cluster["refresh_ms"] = 500
        stage.wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                      'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"', "sh",
                      self.hosts, resolver]

    def known(self, known: bool) -> None:
        """In place: what is bound to another name stays the same file."""
        self.hosts.write_text(f"127.0.0.1 localhost\n{f'127.0.0.1 {self.NAME}' if known else ''}\n")

    def test_names_do_not_resolve_for_a_while(self):
        network = PrivateNetwork().open()  # where no name server answers, whatever this machine has
        self.addCleanup(network.close)
        stage = self.stage(self.named)
        load = Load(self, stage)
        self.known(False)
        time.sleep(either(1.5, 60))
        load.further("without names")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        stage.kill_and_restart(wait=False)
        time.sleep(either(1, 20))
        self.assertFalse(stage.serves(), "Setu has found no broker and lets nobody in")
        self.known(True)
        wait_until(stage.serves, 40, "Setu finds the brokers by itself")
        self.tell(text)


class Certificates(Faults):
    LIFE_S = 9

    def short(self, stage: Stage) -> None:
        self.ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.LIFE_S)
        stage.authority.issue("orders", ends=self.ends)

    def test_a_certificate_expires_under_load(self):
        """Who is connected stays; nobody comes in on it any more; others are not concerned."""
        stage = self.stage(self.short)
        load = Load(self, stage, pause_s=0.03)
        others = Load(self, stage, user="payments", pause_s=0.03)
        left_s = (self.ends - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        self.assertGreater(left_s, 0, "the load was too slow to start before the end")
        time.sleep(left_s + 1.5)
        load.further("on connections that were made before")
        others.further("as others")
        for node in NODES:
            with self.assertRaises(PermissionError):
                stage.client(node, "orders")
            stage.client(node, "payments").close()
        reasons = {row.get("reason") for row in stage.events(name="mapping_denied")}
        self.assertEqual(reasons, {"certificate_expired"})
        self.assertEqual(load.ends() + others.ends(), [])
        self.tell(f"{load.check()}; others: {others.check()}")


class Crowd(Faults):
    NODES = 1000

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

    def test_setu_and_brokers_are_stopped_for_a_while(self):
        setu, pause = own_setu.start(self, self.setu(start=False)), random.Random(SEED)
        load = RigLoad(self, setu, len(self.LEADERS), self.topic(leaders=self.LEADERS), paths.AJNA)
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


if __name__ == "__main__":
    unittest.main()
