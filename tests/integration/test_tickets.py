# SPDX-License-Identifier: Apache-2.0
"""Kerberos towards clients, token by token, against a real KDC: which tickets let in, and that nothing else does."""

import pathlib
import signal
import statistics
import tempfile
import time

from tests.integration import gssapi, kafka_client
from tests.integration.stage import StageTest
from tests.rig.kdc import REALM, Kdc
from tests.rig.process import wait_until
from tests.rig.setu import private_file, yaml

DENIED = (58, "Authentication failed")
ELSEWHERE = "CLIENTS.TEST"


class TicketTest(StageTest):
    """A stage whose client listener takes tickets, and a KDC."""

    section: dict = {}
    krb5: dict = {}  # of Setu's own krb5.conf

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="setu-kdc-")
        cls.addClassCleanup(directory.cleanup)
        cls.kdc = Kdc(pathlib.Path(directory.name) / "kdc", ("orders", "stranger", "batch/payments", "kafka/elsewhere"))
        cls.addClassCleanup(cls.kdc.stop)
        cls.kdc.start()
        own = cls.kdc.write_client_configuration(cls.kdc.directory / "setu.conf", **cls.krb5)
        env = cls.kdc.env | {"KRB5_CONFIG": str(own)}
        cls.stage_options = {"wrap": ["env", *(f"{name}={value}" for name, value in env.items())],
                             "limits": {"login_failure_delay_ms": 1}}
        super().setUpClass()

    @classmethod
    def arrange(cls, stage):
        listener = stage.config["listeners"][0]
        listener["mechanisms"].insert(0, "GSSAPI")
        listener["gssapi"] = {"keytab": cls.kdc.keytab("kafka/localhost")} | cls.section

    def login(self, principal: str = "orders", lifetime: str = "1h", **options) -> gssapi.Client:
        return gssapi.Client(self.stage.port, self.kdc.kinit(principal, lifetime), **options)

    def accepted(self) -> list[tuple[str, str]]:
        """Who got in by a ticket since the test began, and which Kerberos principal that was."""
        return [(row["principal"], row["detail"]) for row in self.stage.told(self.mark, "login_accepted")
                if row["mechanism"] == "GSSAPI"]

    def refused(self, detail: str, reason: str = "kerberos_ticket") -> None:
        """Setu logged exactly this denial since the test began, and said nothing of it to the client."""
        rows = self.stage.told(self.mark, "login_denied")
        self.assertEqual([row["reason"] for row in rows], [reason])
        self.assertIn(detail, rows[0].get("detail", ""))
        self.remark()


class Tickets(TicketTest):
    section = {"principal_to_local_rules": ["RULE:[2:$2](payments)", "DEFAULT"]}

    def test_a_ticket_lets_in_under_every_framing(self):
        for framing in ("v1", "v0"):
            with self.login(framing=framing) as client:
                self.assertEqual(client.layers, b"\1\0\0\0", "no security layer is offered")
                self.assertEqual(set(client.metadata(["good"])[0]), {1, 2})
        self.assertEqual(self.accepted(), [("orders", f"orders@{REALM}")] * 2)

    def test_rules_name_the_principal(self):
        with self.login("batch/payments") as client:
            client.metadata(["good"])
        self.assertEqual(self.accepted(), [("payments", f"batch/payments@{REALM}")])

    def test_authzid_as_java_sends_it_and_no_other(self):
        env = self.kdc.kinit("orders")
        for authzid in ("", "orders", f"orders@{REALM}"):
            with gssapi.Client(self.stage.port) as client:
                client.prove(env, authzid=authzid)
                client.metadata(["good"])
        self.remark()
        for authzid in ("payments", "orders@ELSEWHERE", f"payments@{REALM}", "orders/x", "x" * 2000, "  ", " orders",
                        "orders\0x"):
            with gssapi.Client(self.stage.port) as client:
                with self.assertRaises(PermissionError) as refusal:
                    client.prove(env, authzid=authzid)
                self.assertEqual(refusal.exception.args, DENIED)
            row = self.stage.told(self.mark, "login_denied")[0]
            self.assertEqual(row["reason"], "authzid_mismatch", authzid)
            self.remark()

    def test_t58_a_principal_without_a_mapping_is_denied_as_anybody_else(self):
        with self.assertRaises(PermissionError) as refusal:
            self.login("stranger")
        self.assertEqual(refusal.exception.args, DENIED)

    def test_a_principal_without_a_rule_is_denied_as_anybody_else(self):
        self.kdc.kadmin("addprinc -randkey orders@OTHER.TEST")
        with self.assertRaises(PermissionError) as refusal:
            self.login("kafka/elsewhere")  # DEFAULT: "kafka", which no mapping knows
        self.assertEqual(refusal.exception.args, DENIED)

    def test_a_ticket_for_another_service_opens_nothing(self):
        self.kdc.keytab("kafka/localhost")
        with gssapi.Client(self.stage.port) as client:
            client.begin()
            token = gssapi.Context(self.kdc.kinit("orders"), "broker").step(b"")
            with self.assertRaises(PermissionError) as refusal:
                client.exchange(token)
        self.assertEqual(refusal.exception.args, DENIED)
        self.refused("broker/localhost")

    def test_a_token_that_was_used_is_refused(self):
        token = gssapi.Context(self.kdc.kinit("orders"), flags=0).step(b"")
        with gssapi.Client(self.stage.port) as client:
            client.begin()
            self.assertTrue(client.exchange(token), "the first time it holds")
            with gssapi.Client(self.stage.port) as thief:
                thief.begin()
                with self.assertRaises(PermissionError) as refusal:
                    thief.exchange(token)
        self.assertEqual(refusal.exception.args, DENIED)
        self.refused("replay")

    def test_every_changed_byte_of_a_token_is_refused(self):
        env = self.kdc.kinit("orders")
        whole = gssapi.Context(env).step(b"")
        for at in range(0, len(whole), max(1, len(whole) // 24)):
            token = bytearray(gssapi.Context(env).step(b""))
            token[min(at, len(token) - 1)] ^= 0x40
            with gssapi.Client(self.stage.port) as client:
                client.begin()
                with self.assertRaises(PermissionError) as refusal:
                    client.exchange(bytes(token))
                self.assertEqual(refusal.exception.args, DENIED)

    def test_a_context_is_no_login_before_its_last_token(self):
        env = self.kdc.kinit("orders")
        for spoil in (b"", b"x", b"\1\0\0\0orders"):  # nothing, noise, and what would be right if it were wrapped
            with gssapi.Client(self.stage.port) as client:
                client.begin()
                context = gssapi.Context(env)
                client.exchange(context.step(client.exchange(context.step(b""))))
                with self.assertRaises(PermissionError):
                    client.exchange(spoil)
        for layer in (2, 4, 6):  # integrity, confidentiality: never offered
            with gssapi.Client(self.stage.port) as client, self.assertRaises(PermissionError):
                client.prove(env, layer=layer)
        self.assertEqual(self.accepted(), [])

    def test_without_mutual_authentication_it_works_as_with_kafka(self):
        with gssapi.Client(self.stage.port) as client:
            client.prove(self.kdc.kinit("orders"), flags=0)
            client.metadata(["good"])

    def test_t37_a_bare_token_is_closed_where_nobody_asked_for_it(self):
        with gssapi.Client(self.stage.port, framing="bare") as client, self.assertRaises(PermissionError):
            client.prove(self.kdc.kinit("orders"))
        self.closed(client_not_kafka=1)

    def test_a_rotated_key_needs_a_reload_and_no_more(self):
        keytab = pathlib.Path(self.stage.config["listeners"][0]["gssapi"]["keytab"])
        self.kdc.kadmin("cpw -randkey -keepold kafka/localhost")
        env = self.kdc.kinit("orders", "50m")  # another cache: the old ticket would still do
        with gssapi.Client(self.stage.port) as client, self.assertRaises(PermissionError):
            client.prove(env)
        self.refused("key")
        keytab.unlink()
        self.kdc.keytab("kafka/localhost")
        private_file(self.stage.config_file, yaml(self.stage.config) + "\n")
        mark = self.stage.mark()
        self.stage.process.signal(1)
        wait_until(lambda: self.stage.events(mark, "reloaded"), 20, "reloaded")
        for ticket in (env, self.kdc.kinit("orders")):
            with gssapi.Client(self.stage.port, ticket) as client:
                client.metadata(["good"])


class CrossRealm(TicketTest):
    """Tickets of a realm that ours trusts: who that is, the rules decide, as in Kafka."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.elsewhere = Kdc(cls.kdc.directory.parent / "elsewhere", ("orders", "payments"), realm=ELSEWHERE,
                            home=cls.kdc)
        cls.addClassCleanup(cls.elsewhere.stop)
        cls.elsewhere.start()

    def rules(self, *rules: str) -> None:
        self.stage.config["listeners"][0]["gssapi"]["principal_to_local_rules"] = rules = list(rules)
        private_file(self.stage.config_file, yaml(self.stage.config) + "\n")
        mark = self.stage.mark()
        self.stage.process.signal(signal.SIGHUP)
        wait_until(lambda: self.stage.events(mark, "reloaded"), 60, f"reloaded with {rules}")
        self.remark()

    def come(self, kdc: Kdc, name: str) -> None:
        with gssapi.Client(self.stage.port, kdc.kinit(name)) as client:
            client.metadata(["good"])

    def test_without_a_rule_for_their_realm_they_are_nobody(self):
        for rules in (["DEFAULT"], [r"RULE:[1:$1@$0](.*@OTHER\.TEST)s/@.*//", "DEFAULT"], ["RULE:[2:$1]", "DEFAULT"]):
            self.rules(*rules)
            with self.assertRaises(PermissionError) as refusal:
                self.come(self.elsewhere, "orders")
            self.assertEqual(refusal.exception.args, DENIED)
            row = self.stage.told(self.mark, "login_denied")[0]
            self.assertEqual((row["reason"], row["claimed"]), ("kerberos_name", f"orders@{ELSEWHERE}"))
            self.come(self.kdc, "orders")
            self.assertEqual(self.accepted(), [("orders", f"orders@{REALM}")], rules)

    def test_a_rule_for_their_realm_names_them(self):
        self.rules(rf"RULE:[1:$1@$0](orders@{ELSEWHERE})s/.*/payments/", "DEFAULT")
        self.come(self.elsewhere, "orders")
        self.come(self.kdc, "orders")
        self.assertEqual(self.accepted(), [("payments", f"orders@{ELSEWHERE}"), ("orders", f"orders@{REALM}")])
        with self.assertRaises(PermissionError):
            self.come(self.elsewhere, "payments")
        self.rules(r"RULE:[1:$1@$0](.*@CLIENTS\.TEST)s/@.*//")
        self.come(self.elsewhere, "payments")
        self.assertEqual(self.accepted(), [("payments", f"payments@{ELSEWHERE}")])
        with self.assertRaises(PermissionError):
            self.come(self.kdc, "orders")
        self.rules("RULE:[1:$1]")  # as in Kafka: whoever does not ask for the realm takes all of them
        self.come(self.elsewhere, "payments")
        self.assertEqual(self.accepted(), [("payments", f"payments@{ELSEWHERE}")])


class OldTickets(TicketTest):
    """Clocks: Setu allows one second here, so that a token held back is late."""

    krb5 = {"clockskew": 1}

    def test_late_tokens_and_late_tickets(self):
        """T71: a ticket that has ended."""
        late, short = self.kdc.kinit("orders"), self.kdc.kinit("orders", "3s")
        tokens = [("Clock skew", gssapi.Context(late).step(b"")), ("expired", gssapi.Context(short).step(b""))]
        time.sleep(5.5)
        for detail, token in tokens:
            with gssapi.Client(self.stage.port) as client:
                client.begin()
                with self.assertRaises(PermissionError) as refusal:
                    client.exchange(token)
                self.assertEqual(refusal.exception.args, DENIED)
            self.refused(detail)
        with gssapi.Client(self.stage.port, late) as client:
            client.metadata(["good"])


class OldClients(TicketTest):
    section = {"bare_first_packet": True}

    def test_clients_of_kafka_0_9_begin_with_their_ticket(self):
        with self.login(framing="bare") as client:
            self.assertEqual(set(client.metadata(["good"], version=0, create=False)[0]), {1, 2})
        self.assertEqual(self.accepted(), [("orders", f"orders@{REALM}")])

    def test_only_as_the_first_packet(self):
        token = gssapi.Context(self.kdc.kinit("orders")).step(b"")
        with self.stage.raw() as raw:
            raw.send(kafka_client.request(kafka_client.API_VERSIONS, 0)).frame()
            raw.send(kafka_client.frame(token)).ended()
        with self.stage.raw() as raw:
            raw.send(kafka_client.frame(b"\x60" + bytes(200))).ended()
        self.assertEqual(self.accepted(), [])


class Latency(TicketTest):
    def test_what_a_login_takes(self):
        env, times = self.kdc.kinit("orders"), []
        for _ in range(60):
            context = gssapi.Context(env)
            began = time.monotonic()
            with gssapi.Client(self.stage.port) as client:
                client.begin()
                client.exchange(context.step(client.exchange(context.step(b""))))
            times.append(time.monotonic() - began)
        print(f"    ticket accepted: median {statistics.median(times) * 1000:.1f} ms, "
              f"longest {max(times) * 1000:.1f} ms", flush=True)
        self.assertLess(statistics.median(times), 0.5)
