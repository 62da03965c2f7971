# SPDX-License-Identifier: Apache-2.0
"""Logins that end (KIP-368): T34 to T36 against scripted brokers, and renewal under load on both legs at real ones."""

import json
import re
import time

from tests.integration import kafka_client as kafka
from tests.integration import own_setu, steady
from tests.integration.helpers import RigTest, paths
from tests.integration.stage import PASSWORDS, StageTest
from tests.rig.node import RENEW_MS
from tests.rig.process import wait_until

LIFETIME_MS = 3000  # at the scripted stage: of clients at the TLS listener, and of Setu at node 1
DENIED, WRONG_MECHANISM, WRONG_STATE = 58, 33, 34


class Lifetime(StageTest):
    """Clients of the TLS listener log in for 3 s; so does Setu at node 1, where the steady client notices nothing."""

    stage_options = {"broker_options": {1: ["--session", LIFETIME_MS]},
                     "limits": {"login_failure_delay_ms": 20, "connect_timeout_ms": 2000}}

    @classmethod
    def arrange(cls, stage):
        stage.config["listeners"][1]["session_lifetime_ms"] = LIFETIME_MS

    def audited(self, code: str) -> int:
        return (self.stage.directory / "audit.log").read_bytes().count(code.encode())

    def denied_for(self) -> list[str]:
        return [row["reason"] for row in self.stage.told(self.mark, "reauth_denied")]

    def test_a_client_that_renews_stays_and_setu_renews_behind_it(self):
        broker = self.stage.brokers[1]
        mark = broker.mark()
        with self.stage.client(1, tls=True) as client:
            self.assertEqual(client.lifetime_ms, LIFETIME_MS)
            for _ in range(3):
                until = time.monotonic() + LIFETIME_MS / 1000 * 0.75
                while time.monotonic() < until:
                    self.assertEqual(len(client.metadata(["good"])[0]), 2)
                    time.sleep(0.02)
                client.log_in("orders", PASSWORDS["orders"])
                self.assertEqual(client.lifetime_ms, LIFETIME_MS)
            self.assertEqual(len(client.metadata(["good"])[0]), 2)
        said = broker.text(mark)
        self.assertGreaterEqual(said.count("renewed principal=orders "), 2, said)
        self.assertNotIn("expired node=1 principal=orders", said)
        self.assertNotIn("refused node=1 principal=orders", said)
        self.only_closed("client_closed")

    def test_an_idle_client_renews_when_it_comes_back_and_so_does_setu(self):
        broker = self.stage.brokers[1]
        with self.stage.client(1, tls=True) as client:
            mark = broker.mark()
            time.sleep(LIFETIME_MS / 1000 + 0.5)
            client.log_in("orders", PASSWORDS["orders"])
            self.assertEqual(client.produce("good", 0, kafka.batch([b"late"]))[0], 0)
            self.assertIn("renewed principal=orders ", broker.text(mark))

    def test_t34_another_principal(self):
        before = self.stage.audit_bytes().count(b"SETU2004W")
        for node in (1, 2):
            with self.stage.client(node, tls=True) as client:
                with self.assertRaises(PermissionError) as refused:
                    client.log_in("payments", PASSWORDS["payments"])
                self.assertEqual(refused.exception.args[0], DENIED)
                self.assertEqual(client.ended(), b"")
        self.assertEqual(self.denied_for(), ["other_principal"] * 2)
        wait_until(lambda: self.audited("SETU2004W") == before + 2, 10, "two audit warnings")
        self.closed(reauth_denied=2)

    def test_t34_another_mechanism(self):
        with self.stage.client(2, tls=True) as client:
            with self.assertRaises(PermissionError) as refused:
                client.log_in("orders", PASSWORDS["orders"], "SCRAM-SHA-256")
            self.assertEqual(refused.exception.args[0], WRONG_MECHANISM)
            self.assertEqual(client.ended(), b"")
        self.assertEqual(self.denied_for(), ["other_mechanism"])
        self.closed(reauth_denied=1)

    def test_t34_a_wrong_password_and_too_often(self):
        with self.stage.client(2, tls=True) as client:
            with self.assertRaises(PermissionError) as refused:
                client.log_in("orders", "wrong")
            self.assertEqual(refused.exception.args[0], DENIED)
            self.assertEqual(client.ended(), b"")
        with self.stage.client(2, tls=True) as client:
            client.log_in("orders", PASSWORDS["orders"])
            with self.assertRaises(PermissionError) as refused:
                client.log_in("orders", PASSWORDS["orders"])
            self.assertEqual(refused.exception.args[0], WRONG_STATE)
            self.assertEqual(client.ended(), b"")
        self.assertEqual(self.denied_for(), ["bad_password", "too_soon"])
        self.closed(reauth_denied=2)

    def test_t35_the_lifetime_passes_with_produce_in_flight(self):
        before = self.stage.audit_bytes().count(b"SETU2006W")
        for node, partition in ((1, 0), (2, 1)):
            broker = self.stage.brokers[node]
            broker.fault(f"api=Produce,principal=orders,do=delay:{LIFETIME_MS + 700}")
            with self.stage.client(node, tls=True) as client:
                body = kafka.produce_body(7, "good", {partition: kafka.batch([b"in flight"])}, 1)
                asked = client.ask(kafka.PRODUCE, 7, body)
                time.sleep(LIFETIME_MS / 1000 + 0.2)
                mark = broker.mark()
                client.ask(kafka.METADATA, 9, kafka.metadata_body(9, ["good"]))
                self.assertEqual(kafka.produced(client.answer(kafka.PRODUCE, 7, asked), 7)[partition][0], 0)
                self.assertEqual(client.ended(), b"")
                self.assertNotIn(("Metadata", 9), broker.requests(mark, "orders"))
            broker.clear()
        wait_until(lambda: self.audited("SETU2006W") == before + 2, 10, "two audit warnings")
        self.closed(session_expired=2)

    def test_t35_who_cannot_be_told_of_an_end_meets_it(self):
        def old(version):
            client = kafka.Client(self.stage.tls_port, tls=self.stage.tls())
            self.addCleanup(client.close)
            client.handshake("PLAIN", version)
            token = b"\0orders\0" + PASSWORDS["orders"].encode()
            if version == 0:
                client.send(kafka.frame(token)).frame()
            else:
                client.authenticate(token, 0)
            return client

        clients = [old(0), old(1)]
        for client in clients:
            self.assertEqual(len(client.metadata()[0]), 2)
        self.assertEqual(self.stage.number("auth_no_reauth_total"), 2)
        time.sleep(LIFETIME_MS / 1000)
        for client in clients:
            client.ask(kafka.METADATA, 9, kafka.metadata_body(9))
            self.assertEqual(client.ended(), b"")
        self.closed(session_expired=2)

    def test_t36_out_of_order(self):
        scram = kafka.request(17, 1, kafka.handshake_body("SCRAM-SHA-512"))
        raw = kafka.request(17, 0, kafka.handshake_body("SCRAM-SHA-512"))
        token = kafka.request(36, 1, kafka.authenticate_body(b"n,,n=orders,r=abcdefgh"))
        other = kafka.request(3, 9, kafka.metadata_body(9))
        for frames in ((token,), (raw,), (scram, scram), (scram, other), (scram, token, scram), (scram, token, other)):
            with self.stage.client(2, tls=True) as client:
                for data in frames[:-1]:
                    client.send(data).frame()
                self.assertEqual(client.send(frames[-1]).ended(), b"", frames)
        with self.stage.client(2, tls=True) as client:
            client.send(scram).frame()
            self.assertEqual(client.send(token + token).ended()[:0], b"")
        self.only_closed("login_order", "reauth_denied")
        self.assertGreaterEqual(self.stage.told_closes(self.mark)["login_order"], 6)

    def test_a_broker_that_does_not_renew(self):
        """The session ends at rest: what was asked before is answered."""
        broker = self.stage.brokers[1]
        for action in ("close", "stall", "wrong-id"):
            with self.stage.client(1, user="orders") as client:  # the listener without an end of its own
                time.sleep(LIFETIME_MS / 1000)
                broker.fault(f"api=SaslHandshake,principal=orders,do={action}")
                client.ask(kafka.METADATA, 9, kafka.metadata_body(9))
                self.assertEqual(client.ended(30), b"")
                broker.clear()
        self.only_closed("broker_closed", "broker_reauth_failed", "response_unexpected")


class Renewal(RigTest):
    """Every broker's listener RENEW, 2.8.2's and 3.9.2's, ends logins after 8 s."""

    def start_setu(self, lifetime_ms: int = 0, legacy_login: str = "sasl"):
        setu = self.setu(start=False, legacy_login=legacy_login)
        cluster, listener = setu.config["clusters"][0], setu.config["listeners"][0]
        cluster["bootstrap"] = [broker.address("RENEW") for broker in self.cluster.nodes.values()]
        cluster["generations"] = [row for row in cluster["generations"] if row["name"] == "legacy"]
        del cluster["generations"][0]["match"]
        listener["session_lifetime_ms"] = lifetime_ms
        setu.write()
        return own_setu.start(self, setu)

    def watch_brokers(self) -> None:
        """Kafka tells of renewals at DEBUG only."""
        def level(name: str) -> None:
            for node_id in self.cluster.nodes:
                self.cluster.admin("configure", type="BROKER_LOGGER", name=str(node_id),
                                   set={"org.apache.kafka.common.network.Selector": name})

        self.addCleanup(level, "INFO")
        level("DEBUG")
        self.marks = {n: self._log(n).stat().st_size for n in self.cluster.nodes}

    def _log(self, node_id: int):
        return self.cluster.nodes[node_id].logs / "server.log"

    def said(self, node_id: int) -> str:
        with open(self._log(node_id), errors="replace") as log:
            log.seek(self.marks[node_id])
            return log.read()

    def assert_brokers_renewed(self) -> str:
        counts = {}
        for node_id, broker in self.cluster.nodes.items():
            text = self.said(node_id)
            counts[f"{node_id} ({broker.version})"] = text.count("Successfully re-authenticated")
            self.assertNotIn("Failed re-authentication", text)
        self.assertTrue(all(counts.values()), counts)
        return json.dumps(counts)

    def test_both_legs_under_load(self):
        topic, setu = self.topic(leaders=[1, 2, 3]), self.start_setu(lifetime_ms=5000)
        self.watch_brokers()
        load = steady.Load(self, setu, 3, topic, paths.AJNA)
        time.sleep(13)
        load.wait_further("after renewals")
        told = load.check()
        counted = own_setu.fresh_stats(setu)
        clients = counted['reauth_attempts_total{result="ok"}']
        brokers = counted['broker_reauth_attempts_total{result="ok"}']
        self.assertGreaterEqual(clients, 6)
        self.assertGreaterEqual(brokers, 3)
        self.assertEqual(counted['reauth_attempts_total{result="denied"}'], 0)
        self.assertEqual(counted['broker_reauth_attempts_total{result="failed"}'], 0)
        # a client has a quarter of a second for its renewal here: on a full machine one may come late
        ends = own_setu.assert_ends(self, setu, "client_closed", "client_reset", "session_expired")
        self.assertLessEqual(ends["session_expired"], 2)
        self.assert_seen_as("User:orders", topic)
        print(f"    {told}; renewals: {clients:g} by clients, {brokers:g} by Setu, at brokers "
              f"{self.assert_brokers_renewed()}; ends {dict(ends)}", flush=True)

    def test_passthrough_under_load(self):
        """The clients' own renewals pass, and the brokers judge them."""
        topic, setu = self.topic(leaders=[1, 2, 3]), self.start_setu(legacy_login="passthrough")
        self.watch_brokers()
        load = steady.Load(self, setu, 3, topic, paths.LEGACY)
        time.sleep(9)
        load.wait_further("after renewals")
        told = load.check()
        counted = own_setu.fresh_stats(setu)
        self.assertGreaterEqual(counted['reauth_attempts_total{result="ok"}'], 4)
        self.assertEqual(counted['reauth_attempts_total{result="denied"}'], 0)
        # A broker may read a request behind the end that was sent before it, behind others: as without Setu.
        own_setu.assert_ends(self, setu, "client_closed", "client_reset", "broker_closed")
        print(f"    {told}; at brokers {self.assert_brokers_renewed()}", flush=True)

    def test_the_clients_own_key_renews_the_broker_leg(self):
        """scram-relay: nothing is stored, and the broker's lifetime is the client's."""
        setu = self.start_setu(legacy_login="scram-relay")
        self.watch_brokers()
        with kafka.Client(setu.node_base_port + 1, "orders", self.cluster.passwords["orders"]) as client:
            began = time.monotonic()
            self.assertEqual(client.lifetime_ms, RENEW_MS, "as Setu's own look at the broker has found it")
            client.metadata([])
            time.sleep(2)
            client.log_in("orders", self.cluster.passwords["orders"])
            wait_until(lambda: "Successfully re-authenticated" in self.said(1), 10, "without any request of the client's")
            while time.monotonic() < began + RENEW_MS / 1000 + 1:
                client.metadata([])
                time.sleep(0.2)
        self.assertEqual(own_setu.fresh_stats(setu)['broker_reauth_attempts_total{result="ok"}'], 1)
        own_setu.assert_ends(self, setu, "client_closed")

    def test_kafkajs(self):
        """It renews ten seconds before the end, whatever the lifetime."""
        topic, setu = self.topic(leaders=[1, 2, 3]), self.start_setu(lifetime_ms=13000)
        values = [f"value-{i:03}" for i in range(32)]
        result = self.node(setu.login("orders"), topic=topic, produce=values, pace_ms=250, consume=len(values),
                           group=self.unique("orders"), timeout_s=90)
        self.assertEqual(result["written"], len(values))
        self.assertEqual(sorted(result["read"]), values)
        counted = own_setu.fresh_stats(setu)
        self.assertGreaterEqual(counted['reauth_attempts_total{result="ok"}'], 2)
        self.assertEqual(counted['reauth_attempts_total{result="denied"}'], 0)
        ends = own_setu.assert_ends(self, setu, "client_closed", "client_reset")
        self.assertFalse(re.search(r"event=session_expired", setu.said()), ends)
