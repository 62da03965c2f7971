# SPDX-License-Identifier: Apache-2.0
"""Kerberos on both legs, with Kafka's own brokers and clients and a real KDC: who the brokers see, and what happens when
there are no tickets to be had."""

import os
import re
import socket
import time

from tests.integration import gssapi, kafka_client
from tests.integration.helpers import KERBEROS, RigTest
from tests.rig import clients, kdc, paths
from tests.rig.process import wait_until
from tests.rig.setu import private_file, yaml

REALM = kdc.REALM


class KerberosTest(RigTest):
    plans = KERBEROS

    def kerberos_setu(self, legs: str = "both", krb5: dict | None = None, **section):
        """`legs`: "both", or "client": then the brokers are shown SCRAM. `krb5`: of Setu's own krb5.conf."""
        setu = self.setu(start=False)
        listener, main = setu.config["listeners"][0], setu.config["clusters"][0]
        listener |= {"advertised_host": kdc.HOST, "mechanisms": ["GSSAPI", "SCRAM-SHA-512", "PLAIN"],
                     "gssapi": {"keytab": self.cluster.kdc.keytab(f"{kdc.SETU_SERVICE}/{kdc.HOST}")} | section}
        if legs == "both":
            self.kerberos_broker_leg(setu, main)
        if krb5:
            own = self.cluster.kdc.write_client_configuration(setu.directory / "krb5.conf", **krb5)
            setu.process.env = setu.process.env | {"KRB5_CONFIG": str(own)}
        setu.write()
        self.addCleanup(self.finish, setu)
        return setu.start()

    def kerberos_broker_leg(self, setu, main: dict, identity: bool = True) -> None:
        rows = [{"principal": user, "username": f"{user}@{REALM}", "keytab": self.cluster.kdc.keytab(user)}
                for user in ("orders", "payments")]
        credentials = private_file(setu.directory / "keytabs.yaml", yaml({"credentials": rows}) + "\n")
        main["generations"][0]["sasl"] = {"mechanism": "GSSAPI", "credentials_file": credentials,
                                          "service_name": kdc.BROKER_SERVICE}
        if identity:
            main["identity"]["sasl"] = {"mechanism": "GSSAPI", "username": f"setu@{REALM}",
                                        "keytab": self.cluster.kdc.keytab("setu"), "service_name": kdc.BROKER_SERVICE}

    def finish(self, setu) -> None:
        status = setu.process.stop(30)
        text = setu.log.read_text(errors="replace")
        self.assertNotIn("Sanitizer", text, f"sanitizer report in {setu.log}")
        self.assertEqual(status, 0, text[-2000:])

    def login(self, setu, user: str = "orders") -> clients.KerberosLogin:
        return clients.KerberosLogin(f"{kdc.HOST}:{setu.port}", user, keytab=self.cluster.kdc.keytab(user))

    def kcat_with_ticket(self, setu, *arguments, user: str = "orders", stdin: str = "", **settings):
        os.environ.update(self.cluster.kdc.kinit(user))
        return self.kcat(self.login(setu, user), *arguments, stdin=stdin, **settings)

    def log_lines(self, setu, event: str) -> list[dict]:
        rows = []
        for line in setu.said().splitlines():
            if f"event={event}" in line:
                rows.append(dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)))
        return rows


class BothLegs(KerberosTest):
    """Client ─ Kerberos ─▶ Setu ─ Kerberos ─▶ 2.8.2 and 3.9.2, ─ certificate ─▶ 3.9.2: one principal at all three."""

    def test_java_and_librdkafka(self):
        setu = self.kerberos_setu()
        for version in (paths.LEGACY, paths.AJNA):
            topic = self.topic(leaders=[1, 2, 3])
            done = self.java(version, self.login(setu), topic, produce=9, consume=9, group=self.unique())
            wrote = self.java_lines("wrote", done)
            self.assertEqual((len(wrote), self.java_lines("read", done)), (9, wrote))
            self.assert_seen_as("User:orders", topic)
        topic = self.topic(leaders=[1, 2, 3])
        for partition in range(3):
            done = self.kcat_with_ticket(setu, "-P", "-t", topic, "-p", partition, stdin="k\n")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_seen_as("User:orders", topic)
        accepted = {(row["principal"], row["mechanism"], row["detail"]) for row in self.log_lines(setu, "login_accepted")}
        self.assertEqual(accepted, {("orders", "GSSAPI", f"orders@{REALM}")})

    def test_no_handshake_at_all(self):
        """As clients of 0.9 log in; SaslHandshake v0: test_matrix, by the Java client of 0.10."""
        setu = self.kerberos_setu(bare_first_packet=True)
        topic = self.topic(leaders=[1, 2, 3])
        done = self.kcat_with_ticket(setu, "-L", "-t", topic, api_version_request="false",
                                     broker_version_fallback="0.9.0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f'topic "{topic}" with 3 partitions', done.stdout)
        self.assertEqual({row["handshake"] for row in self.log_lines(setu, "login_accepted")}, {"none"})

    def test_a_service_of_the_realm_that_the_brokers_do_not_let_in(self):
        setu = self.kerberos_setu()
        topic = self.topic("payments", leaders=[1, 2, 3])
        done = self.kcat_with_ticket(setu, "-P", "-t", topic, "-p", 0, stdin="x\n")
        self.assertIn("authorization failed", done.stderr)

    def test_tickets_end_and_are_renewed_without_anybody(self):
        self.cluster.kdc.kadmin(f"modprinc -maxlife 6sec orders@{REALM}")
        self.addCleanup(self.cluster.kdc.kadmin, f"modprinc -maxlife 10hours orders@{REALM}")
        setu = self.kerberos_setu(krb5={"clockskew": 1})
        env = self.cluster.kdc.kinit("payments", "59m")
        for user_env in (env,):
            with gssapi.Client(setu.node_base_port + 1, user_env) as client:
                client.metadata([])
        for _ in range(4):
            with kafka_client.Client(setu.node_base_port + 1, "orders", self.cluster.passwords["orders"]) as client:
                client.metadata([])
            time.sleep(3)
        self.assertEqual(self.log_lines(setu, "broker_login_failed"), [])


class ClientLegOnly(KerberosTest):
    def test_kerberos_in_scram_and_certificate_out(self):
        setu = self.kerberos_setu(legs="client")
        topic = self.topic(leaders=[1, 2, 3])
        done = self.java(paths.AJNA, self.login(setu), topic, produce=9)
        self.assertEqual(len(self.java_lines("wrote", done)), 9)
        self.assert_seen_as("User:orders", topic)

    def test_rules_of_the_brokers_serve_here_too(self):
        self.cluster.kdc.add("svc/orders")
        setu = self.kerberos_setu(legs="client", principal_to_local_rules=["RULE:[2:$2](orders)", "DEFAULT"])
        topic = self.topic(leaders=[1, 2, 3])
        done = self.java(paths.LEGACY, self.login(setu, "svc/orders"), topic, produce=9)
        self.assertEqual(len(self.java_lines("wrote", done)), 9)
        self.assert_seen_as("User:orders", topic)


class NoTickets(KerberosTest):
    """The KDC is gone, or takes connections and says nothing: half a minute for each who asks it."""

    def test_a_kdc_that_refuses(self):
        setu = self.kerberos_setu(krb5={"clockskew": 1})
        with kafka_client.Client(setu.node_base_port + 1, "payments", self.cluster.passwords["payments"]) as client:
            client.metadata([])
        self.cluster.kdc.stop()
        try:
            with kafka_client.Client(setu.node_base_port + 1, "payments", self.cluster.passwords["payments"]) as client:
                client.metadata([])  # its ticket is kept
            with kafka_client.Client(setu.node_base_port + 1, "orders", self.cluster.passwords["orders"]) as client:
                client.ended()
        finally:
            self.cluster.kdc.start()
        row = wait_until(lambda: self.log_lines(setu, "broker_login_failed"), 10, "failure logged")[-1]
        self.assertEqual((row["principal"], row["reason"]), ("orders", "no_ticket"))
        self.assertIn("Cannot contact any KDC", row["detail"])
        with kafka_client.Client(setu.node_base_port + 1, "orders", self.cluster.passwords["orders"]) as client:
            client.metadata([])

    def test_a_kdc_that_hangs_holds_up_nobody_else(self):
        with socket.socket() as hole:
            hole.bind(("127.0.0.1", 0))
            hole.listen(100)
            setu = self.setu(start=False)
            main = setu.config["clusters"][0]
            self.kerberos_broker_leg(setu, main, identity=False)
            setu.config["listeners"][0] |= {"advertised_host": kdc.HOST}
            own = self.cluster.kdc.write_client_configuration(setu.directory / "krb5.conf", hole.getsockname()[1])
            setu.process.env = setu.process.env | {"KRB5_CONFIG": str(own)}
            setu.write()
            self.addCleanup(self.finish, setu)
            setu.start()
            stuck = [kafka_client.Client(setu.node_base_port + 1, user, self.cluster.passwords[user])
                     for user in ("orders", "payments") * 10]
            time.sleep(1)
            times = []
            for i in range(40):
                user, mechanism = ("orders", "payments")[i % 2], ("PLAIN", "SCRAM-SHA-512")[i // 2 % 2]
                began = time.monotonic()
                with kafka_client.Client(setu.node_base_port + 3, user, self.cluster.passwords[user], mechanism) as client:
                    client.metadata([])
                times.append(time.monotonic() - began)
            self.assertTrue(all(client.quiet(0) for client in stuck[:2]), "they still wait")
            for client in stuck:
                client.close()
        times.sort()
        print(f"    40 logins beside 20 that wait for a KDC: median {times[20] * 1000:.0f} ms, longest "
              f"{times[-1] * 1000:.0f} ms", flush=True)
        self.assertLess(times[-1], 3)
