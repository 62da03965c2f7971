# SPDX-License-Identifier: Apache-2.0
"""Nodes that become others under their own address: of another generation, of another id, of another release."""

import concurrent.futures
import time
import unittest

from tests.integration import kafka_client
from tests.integration.crowd import Crowd
from tests.integration.kafka_client import Client, Closed
from tests.integration.stage import PASSWORDS, Stage, broker_program, setu_program
from tests.rig.process import wait_until

SASL, TLS = "--sasl", "--ssl"
LOGIN = ("orders", PASSWORDS["orders"])


class MovesTest(unittest.TestCase):
    """A stage of its own, whose generations are recognised by looking, and looks of its own accord are rare."""

    stage_options: dict = {}
    refresh_ms = 60000

    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        self.stage = Stage(**self.stage_options)
        self.addCleanup(lambda: self.assertEqual(self.stage.close(), []))
        cluster = self.stage.config["clusters"][0]
        cluster["refresh_ms"] = self.refresh_ms
        self.prepare(cluster)
        for generation in cluster["generations"]:
            generation["match"] = {"probe": True}
        self.stage.start()

    def prepare(self, cluster: dict) -> None:
        """The cluster's configuration, before it is used."""

    def flips(self, mark: int = 0) -> list[tuple[int, str, str]]:
        return [(row["node"], row["generation_before"], row["generation"])
                for row in self.stage.told(mark, "generation_flipped") if row["node"] >= 0]

    def connect(self, node: int, count: int) -> None:
        """So many clients at once, each served on its first connection."""
        partition = {1: 0, 2: 1}[node]

        def one(_):
            with self.stage.client(node) as client:
                return client.produce("good", partition, kafka_client.batch([b"x"]))[0]

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            self.assertEqual(set(pool.map(one, range(count))), {0})


class Flips(MovesTest):
    def test_a_flip_that_nobody_noticed_costs_no_client_its_connection(self):
        broker = self.stage.brokers[1]
        for flips, door, way in ((1, TLS, (1, "legacy", "ajna")), (2, SASL, (1, "ajna", "legacy"))):
            broker.again(door)
            mark, broker_mark = self.stage.mark(), broker.mark()
            began = time.monotonic()
            self.connect(1, 100)
            took_s = time.monotonic() - began
            self.assertEqual(self.flips(mark), [way])
            self.assertEqual(set(self.stage.told_closes(mark)) - {"client_closed"}, set())
            repeated = len(self.stage.told(mark, "dial_repeated"))
            self.assertGreater(repeated, 0, "nobody noticed before")
            looks = sum("principal=CN=setu" in line or "principal=setu" in line
                        for line in broker.lines(broker_mark) if line.startswith("login "))
            self.assertLessEqual(looks, 4, "one look for all, which is two logins; as many for the bootstrap address")
            self.assertEqual(self.stage.number("generation_flips_total"), flips)
            self.assertEqual(self.stage.audit_bytes().count(b"SETU4001W"), flips)
            print(f"    {' to '.join(way[1:])}: 100 clients served in {took_s:.2f} s, {repeated} of them dialled twice, "
                  f"{looks} logins of Setu's own", flush=True)
        self.assertEqual(self.stage.number("broker_dials_waiting"), 0)
        self.assertEqual(self.stage.number("broker_dials_in_progress"), 0)

    def test_a_node_flips_there_and_back_under_load(self):
        broker = self.stage.brokers[1]
        crowd = Crowd(self.stage.node_port(1), 40, LOGIN, "good", 0)
        self.addCleanup(crowd.end)
        crowd.wait_served(time.monotonic())
        took = []
        for door in (TLS, SASL, TLS, SASL):
            broker.again(door)
            since, mark = time.monotonic(), self.stage.mark()
            took.append(crowd.wait_served(since, 10))
            ended = self.stage.told_closes(mark)
            self.assertLessEqual(set(ended), {"client_closed", "broker_unreachable", "broker_closed"},
                                 "no failed login reaches a client")
        crowd.end()
        self.assertEqual(crowd.wrong, [])
        self.assertEqual([way[1:] for way in self.flips()],
                         [("legacy", "ajna"), ("ajna", "legacy"), ("legacy", "ajna"), ("ajna", "legacy")])
        print(f"    40 clients, four flips: all served again after {', '.join(f'{s:.2f}' for s in took)} s", flush=True)


class Ids(MovesTest):
    def test_a_session_for_a_node_never_meets_another(self):
        broker = self.stage.brokers[2]
        with self.stage.client(2) as client:
            self.assertEqual(client.produce("good", 1, kafka_client.batch([b"x"]))[0], 0)
            broker.again(node_id=3)
            self.assertEqual(client.ended(), b"")
        mark = broker.mark()
        for _ in range(5):
            with self.assertRaises((Closed, OSError)):
                with self.stage.client(2) as client:
                    client.produce("good", 1, kafka_client.batch([b"must not arrive"]))
        asked = {api for api, _ in broker.requests(mark)}
        self.assertLessEqual(asked, {"ApiVersions", "Metadata"})
        self.assertGreaterEqual(self.stage.number("nodes_mistaken_total"), 1)
        mistaken = self.stage.told(0, "broker_is_another")
        self.assertEqual({(row["node"], row["other_node"]) for row in mistaken}, {(2, 3)})
        # Under its own id it is reached, at its own port.
        wait_until(lambda: self.stage.events(0, "port_opened")[-1]["node_id"] == 3, 10, "the port of node 3")
        with self.stage.client(3) as client:
            self.assertIn(3, client.metadata()[0])
        # And when the node is back, so is the way to it.
        broker.again(node_id=2)

        def back():
            try:
                with self.stage.client(2) as client:
                    return client.produce("good", 1, kafka_client.batch([b"x"]))[0] == 0
            except OSError:
                return False

        wait_until(back, 20, "node 2 is back", 0.2)


class PassedThrough(MovesTest):
    stage_options = {"legacy_login": "passthrough"}

    def test_a_login_that_is_passed_through_does_not_relay_to_another_node(self):
        broker = self.stage.brokers[1]
        with self.stage.client(1) as client:
            self.assertEqual(client.produce("good", 0, kafka_client.batch([b"x"]))[0], 0)
            broker.again(node_id=3)
            self.assertEqual(client.ended(), b"")
        mark, broker_mark = self.stage.mark(), broker.mark()
        for _ in range(3):
            with self.assertRaises((Closed, OSError)):
                with self.stage.client(1) as client:
                    client.produce("good", 0, kafka_client.batch([b"must not arrive"]))
        asked = {api for api, _ in broker.requests(broker_mark)}
        self.assertLessEqual(asked, {"ApiVersions", "SaslHandshake", "SaslAuthenticate", "Metadata"})
        self.assertLessEqual(set(self.stage.closes(mark)),
                             {"broker_is_another", "route_unknown", "client_closed", "broker_unreachable"})
        ended = ("broker_is_another", "route_unknown", "broker_unreachable")  # by Setu, each of the three
        wait_until(lambda: sum(self.stage.closes(mark)[reason] for reason in ended) >= 3, 10, "Setu ended all three")
        self.assertGreaterEqual(self.stage.closes(mark)["broker_is_another"] +
                                self.stage.closes(mark)["route_unknown"], 2)
        self.assertGreaterEqual(self.stage.number("nodes_mistaken_total"), 1)


class SameTransport(MovesTest):
    """ApiVersions is answered before any login, so that a broker that wants SASL now looks like one that wants none."""

    stage_options = {"legacy_login": "sasl"}

    def prepare(self, cluster: dict) -> None:
        legacy, ajna = cluster["generations"]
        secure = legacy | {"name": "secure", "protocol": "SASL_SSL", "tls": ajna["tls"]}
        cluster["generations"] = [legacy, ajna, secure]

    def produce(self) -> bool:
        """Whether a new connection to node 2 is served."""
        try:
            with self.stage.client(2) as client:
                return client.produce("good", 1, kafka_client.batch([b"x"]))[0] == 0
        except OSError:
            return False

    def flip_unnoticed(self) -> int:
        """Node 2 wants SASL, and the first request is what it shows by: a look of Setu's own may be quicker. Where the
        log was before."""
        for _ in range(5):
            mark = self.stage.mark()
            self.stage.brokers[2].again("--sasl-ssl")
            if not self.produce():
                return mark
            self.assertEqual(self.flips(mark), [(2, "ajna", "secure")])
            self.stage.brokers[2].again("--ssl")
            wait_until(self.produce, 20, "it wants none again", 0.05)
        self.fail("always noticed before")

    def test_a_flip_to_sasl_is_noticed_by_the_first_request(self):
        self.assertTrue(self.produce())
        mark, began = self.flip_unnoticed(), time.monotonic()
        wait_until(self.produce, 20, "the next connection is served", 0.05)
        self.assertEqual(self.flips(mark), [(2, "ajna", "secure")])
        print(f"    served again {time.monotonic() - began:.2f} s after the first request was refused", flush=True)


class Versions(MovesTest):
    """Node 2 is of a newer release than it will be. Node 1 is as new, so that clients are told the newer versions."""

    stage_options = {"broker_options": {0: ["--profile", "3.9"]}}

    def older(self):
        broker = self.stage.brokers[2]
        broker.again(options=[part if part != "3.9" else "2.8" for part in broker.options])
        return broker

    def test_who_was_promised_too_much_is_told_anew_before_anything_was_sent(self):
        def promised():
            with Client(self.stage.node_port(2)) as client:
                found = client.api_versions()
                client.log_in(*LOGIN)
                client.produce("good", 1, kafka_client.batch([b"x"]), version=found[kafka_client.PRODUCE][1])
                return found[kafka_client.PRODUCE][1]

        self.assertEqual(promised(), 11)
        broker = self.older()
        mark, broker_mark = self.stage.mark(), broker.mark()
        with self.assertRaises(OSError):
            promised()
        self.assertNotIn("Produce", {api for api, _ in broker.requests(broker_mark)})
        wait_until(lambda: self.stage.closes(mark)["versions_outdated"] == 1, 10, "the close")
        self.assertEqual(promised(), 9, "the next connection learns it")
        self.assertEqual(self.stage.number("client_disconnects_total", cause="versions_outdated"), 1)

    def test_who_asked_somewhere_else_is_closed_with_a_name(self):
        self.older()
        mark = self.stage.mark()
        with self.stage.client(2) as client:
            client.ask(kafka_client.PRODUCE, 11, kafka_client.produce_body(
                11, "good", {1: kafka_client.batch([b"x"])}))
            self.assertEqual(client.ended(), b"")
        wait_until(lambda: self.stage.closes(mark)["versions_outdated"] == 1, 10, "the close")
        row, = self.stage.told(mark, "version_not_served")
        self.assertEqual((row["api"], row["version"]), ("Produce", 11))
        with self.stage.client(2) as client:
            self.assertEqual(client.produce("good", 1, kafka_client.batch([b"x"]), version=9)[0], 0)

    def test_clients_that_stay_are_not_stranded(self):
        with self.stage.client(1) as stays:
            self.older()
            with self.stage.client(2) as client:
                client.produce("good", 1, kafka_client.batch([b"x"]), version=9)
            # Its own broker is as new as it was: what was promised there holds.
            self.assertEqual(stays.produce("good", 0, kafka_client.batch([b"x"]), version=11)[0], 0)
            self.assertLessEqual(stays.api_versions()[kafka_client.PRODUCE][1], 11)


class Restarts(MovesTest):
    """Every broker is restarted while 200 clients run."""

    turns = 16
    stage_options = {"limits": {"dials_per_broker": turns}}

    def test_a_rolling_restart_meets_no_herd(self):
        crowds = {node: Crowd(self.stage.node_port(node), 100, LOGIN, "good", node - 1, pause_s=0.2) for node in (1, 2)}
        for crowd in crowds.values():
            self.addCleanup(crowd.end)
        for crowd in crowds.values():
            crowd.wait_served(time.monotonic())
        for node, crowd in crowds.items():
            broker = self.stage.brokers[node]
            began = time.monotonic()
            broker.again()
            since = time.monotonic()
            took_s = crowd.wait_served(since, 20)
            peak = broker.peak()
            # A look of Setu's own may come on top.
            self.assertLessEqual(peak, self.turns + 2)
            print(f"    node {node}: {len(crowd.served)} clients served {took_s:.2f} s after the broker was back "
                  f"(away for {since - began:.2f} s), at most {peak} logins at a time", flush=True)
        for crowd in crowds.values():
            crowd.end()
            self.assertEqual(crowd.wrong, [])
        delayed = self.stage.number("broker_dials_delayed_total")
        self.assertGreater(delayed, 0)
        self.assertEqual(self.stage.number("broker_dials_waiting"), 0)
        self.assertEqual(self.stage.number("broker_dials_in_progress"), 0)


if __name__ == "__main__":
    unittest.main()
