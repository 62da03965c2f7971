# SPDX-License-Identifier: Apache-2.0
"""The fault list, under load: processes and the network. Whatever breaks, what was acknowledged is there and is read, once,
in its order. (The machine: test_faults_machine; brokers: test_faults_brokers; README.md has the whole list.)"""

import random
import time
import unittest

from tests.integration import kafka_client
from tests.integration.faults import SEED, Faults, either
from tests.integration.numbered import Load
from tests.integration.private_network import HERE, THERE, LossyNetwork, PrivateNetwork
from tests.integration.stage import NODES


# --- processes ---

class Processes(Faults):
    def test_setu_and_brokers_are_stopped_for_a_while(self):
        """T74: SIGSTOP, SIGCONT: nobody is cut, all goes on."""
        stage, pause = self.stage(), random.Random(SEED)
        load = Load(self, stage)
        stopped = [stage.process, *(broker.process for broker in stage.brokers.values())]
        for process in stopped * either(1, 4):
            process.pause()
            time.sleep(either(1.0, pause.uniform(1, 30)))
            process.resume()
            load.further(f"after {process.name} was stopped")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.tell(text)

    def test_setu_is_killed_again_and_again(self):
        """T74: kill -9."""
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
        self.own = self.stage(broker_host=HERE, host=THERE, wrap=self.network.wrap)

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


class Bytewise(kafka_client.Client):
    """Sends a byte at a time, none together with the next."""

    def send(self, data: bytes):
        for i in range(len(data)):
            self.socket.sendall(data[i:i + 1])
            if i % 8 == 0:
                time.sleep(0.0002)
        return self


class Bytes(Faults):
    def test_bytes_come_one_at_a_time_from_both_sides(self):
        stage = self.stage(broker_options={0: ["--slow", "1000"]})
        load = Load(self, stage, client_class=Bytewise, first=5)
        load.further("byte by byte", records=either(5, 300), timeout_s=either(60, 600))
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.tell(text)


if __name__ == "__main__":
    unittest.main()
