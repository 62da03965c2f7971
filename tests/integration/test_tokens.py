# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens, and keys that are passed on: clients of every kind towards Setu, and Setu towards brokers."""

import hashlib
import hmac
import json
import re
import subprocess
import time

from confluent_kafka import Producer

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.rig import cluster as rig_cluster
from tests.rig import scram, tokens
from tests.rig.clients import Login
from tests.rig.config_file import private_file, yaml
from tests.rig.process import wait_until

MODULE = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
UNSECURED = {"sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": f'{MODULE} unsecuredLoginStringClaim_sub="orders";'}


def first_message(token: str, gs2: str = "n,,", more: str = "") -> bytes:
    return f"{gs2}\x01auth=Bearer {token}\x01{more}\x01".encode()


class TokenTest(RigTest):
    def bearer_setu(self, delay_ms: int = 200, **oauth):
        """A Setu whose clients may also log in with tokens of the rig's issuer."""
        setu = self.setu(start=False)
        setu.config["listeners"][0]["mechanisms"] += ["OAUTHBEARER"]
        setu.config["oauth"] = {"jwks_file": self.cluster.issuer.jwks, "issuer": self.cluster.issuer.name,
                                "audience": tokens.AUDIENCE, "scopes": ["kafka.use"]} | oauth
        setu.config["limits"] = {"login_failure_delay_ms": delay_ms}
        setu.write()
        return own_setu.start(self, setu)

    def bootstrap(self, setu) -> Login:
        return Login(f"127.0.0.1:{setu.port}", "orders", "unused", "OAUTHBEARER")

    def produce(self, setu, token: str, topic: str, value: str = "librdkafka") -> list:
        """Writes to every partition by librdkafka; what was acknowledged."""
        written, wrong = [], []
        producer = Producer({"bootstrap.servers": f"127.0.0.1:{setu.port}", "security.protocol": "SASL_PLAINTEXT",
                             "sasl.mechanisms": "OAUTHBEARER", "message.timeout.ms": 20000,
                             "oauth_cb": lambda _: (token, time.time() + 600, "orders", {"traceId": "rig"}),
                             "error_cb": lambda error: wrong.append(str(error))})
        for partition in range(3):
            producer.produce(topic, value.encode(), partition=partition,
                             on_delivery=lambda error, message: written.append((error, message.partition())))
        producer.flush(25)
        self.assertEqual(sorted(written, key=str), [(None, n) for n in range(3)], wrong)
        return written


def places(pid: int, needle: bytes) -> list[str]:
    """The mappings of a process in which these bytes stand."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            first, last = (int(n, 16) for n in span.split("-"))
            if not rights.startswith("rw") or last - first > 1 << 30:  # a sanitizer's shadow
                continue
            try:
                memory.seek(first)
                if needle in memory.read(last - first):
                    found.append(line.strip())
            except (OSError, ValueError, OverflowError):
                continue
    return found


class ClientLeg(TokenTest):
    def test_every_client_with_a_signed_token(self):
        """One Setu, one token: Java, librdkafka and kafkajs write to both generations, each as the token's subject."""
        topic, setu = self.topic(leaders=[1, 2, 3]), self.bearer_setu()
        token = self.cluster.issuer.token("orders")
        file = self.cluster.issuer.token_file("orders", token)
        self.produce(setu, token, topic)
        secured = {"sasl.mechanism": "OAUTHBEARER", "sasl.jaas.config": f"{MODULE};",
                   "sasl.login.callback.handler.class":
                       "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
                   "sasl.oauthbearer.token.endpoint.url": file.as_uri()}
        done = self.java(paths.AJNA, self.bootstrap(setu), topic, settings=secured, produce=30)
        self.assertEqual(len(self.java_lines("wrote", done)), 30)
        result = self.node(self.bootstrap(setu), topic=topic, produce=["kafkajs"], token=token)
        self.assertEqual(result["written"], 1)
        self.assertEqual(sum(self.cluster.end_offsets(topic)), 34)
        self.assert_seen_as("User:orders", topic)
        accepted = re.findall(r"event=login_accepted .*mechanism=(\S+)", setu.said())
        self.assertEqual(set(accepted), {"OAUTHBEARER"})

    def test_unsecured_tokens_where_an_operator_wants_them(self):
        """Java of 2.8 and librdkafka as Debian has it know no other kind."""
        topic = self.topic(leaders=[1, 3])
        setu = self.bearer_setu(allow_unsecured_jws=True, issuer="", audience=[], scopes=[])
        self.assertIn("ANYBODY CAN LOG IN AS ANYBODY", setu.said())
        done = self.java(paths.LEGACY, self.bootstrap(setu), topic, settings=UNSECURED, produce=10)
        self.assertEqual(len(self.java_lines("wrote", done)), 10)
        config = private_file(self._file("kcat"), "\n".join((
            f"bootstrap.servers=127.0.0.1:{setu.port}", "security.protocol=SASL_PLAINTEXT",
            "sasl.mechanisms=OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt=true",
            "sasl.oauthbearer.config=principal=orders")) + "\n")
        done = subprocess.run(["kcat", "-F", config, "-P", "-t", topic, "-p", "1"], input="kcat\n", text=True,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sum(self.cluster.end_offsets(topic)), 11)
        self.assert_seen_as("User:orders", topic)

    def bearer(self, setu, message: bytes, answer: bytes | None = b"\x01") -> tuple[list, float]:
        """Every (error, text, token) that the server says to the message and the answer, and how long it took."""
        said, began = [], time.monotonic()
        with kafka.Client(setu.port, timeout_s=20) as client:
            client.handshake("OAUTHBEARER")
            for token in (message, answer):
                found = client.call(kafka.AUTHENTICATE, 1, kafka.authenticate_body(token))
                said.append((found.take("h"), found.text() or "", found.bytes()))
                if not said[-1][2] or answer is None:
                    break
        return said, time.monotonic() - began

    def test_t21_t30_what_is_not_believed_looks_all_the_same(self):
        setu, issuer = self.bearer_setu(delay_ms=20), self.cluster.issuer
        users = (setu.directory / "users.yaml").read_text()
        good = issuer.token("orders")
        head, body, signature = good.split(".")
        forged = tokens.url64(b'{"alg":"HS256","kid":"rig-1"}')
        cases = {
            "token_unsecured": tokens.unsecured("orders", iss=issuer.name, aud=tokens.AUDIENCE, scope="kafka.use"),
            "token_expired": issuer.token("orders", -60),
            "token_not_yet": issuer.token("orders", nbf=int(time.time()) + 300),
            "token_issuer": issuer.token("orders", iss="https://evil.example"),
            "token_audience": issuer.token("orders", aud="billing"),
            "token_scope": issuer.token("orders", scope="mail.read"),
            "token_principal": issuer.token("orders", sub=None),
            "token_algorithm": f"{forged}.{body}.{signature}",
            "token_signature": f"{head}.{tokens.url64(b'{}')}.{signature}",
            "token_malformed": "x.y.z",
        }
        seen = {reason: self.bearer(setu, first_message(token)) for reason, token in cases.items()}
        # Nonsense, unmapped, held to another mechanism, acting for another: no other word.
        limited = users.replace('- name: "orders"', '- mechanisms: ["SCRAM-SHA-512"]\n    name: "orders"')
        private_file(setu.directory / "users.yaml", limited)
        self.reload(setu)
        ends = {
            "malformed": self.bearer(setu, b"n,,\x01auth=Basic x\x01\x01"),
            "unmapped": self.bearer(setu, first_message(issuer.token("stranger"))),
            "mechanism_not_allowed": self.bearer(setu, first_message(good)),
            "authzid_mismatch": self.bearer(setu, first_message(issuer.token("payments"), "n,a=orders,")),
        }
        both = [*seen.values(), *ends.values()]
        self.assertEqual({repr(said) for said, _ in both},
                         {repr([(0, "", b'{"status":"invalid_token"}'), (58, "Authentication failed", b"")])}, both)
        self.assertGreaterEqual(min(seconds for _, seconds in both), 0.02, "a denial is late, from its first word on")
        log = setu.said()
        for reason in (*cases, *ends):
            self.assertIn(f"reason={reason}", log)
        said, _ = self.bearer(setu, first_message(issuer.token("payments")))
        self.assertEqual(said, [(0, "", b"")], "who does nothing wrong is let in")
        self.check_audit(setu, {*cases, *ends})

    def reload(self, setu) -> None:
        done = subprocess.run([setu.binary, "reload", "-c", setu.config_file], capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def check_audit(self, setu, reasons: set[str]) -> None:
        """Each refusal is on record, once, and under no name that was not proved."""
        counts = own_setu.fresh_stats(setu)
        lines = re.findall(r"event=login_denied .*", setu.said())
        found = {re.search(r" reason=(\w+)", line)[1]: line for line in lines}
        self.assertEqual(set(found), reasons)
        self.assertEqual(counts['auth_attempts_total{result="denied"}'], len(lines))
        for reason in ("token_unsecured", "token_algorithm", "token_signature", "token_malformed"):
            self.assertNotIn("orders", found[reason])
        self.assertIn("claimed=orders", found["token_expired"])

    def check_sessions(self, setu, other) -> None:
        """A session stays while its token's key does, under whatever name, and ends with it."""
        keys = json.loads(other.jwks.read_text())["keys"]
        both = setu.directory / "both.json"
        both.write_text(json.dumps({"keys": [{**key, "kid": f"new-{i}"} for i, key in enumerate(
            [*json.loads(self.cluster.issuer.jwks.read_text())["keys"], *keys])]}))
        with kafka.Client(setu.port, timeout_s=20) as client:
            client.handshake("OAUTHBEARER")
            self.assertEqual(client.authenticate(first_message(other.token("orders"))), b"")
            client.metadata([])
            for file in (both, other.jwks):
                setu.config["oauth"]["jwks_file"] = file
                setu.write()
                self.reload(setu)
                client.metadata([])
            setu.config["oauth"]["jwks_file"] = self.cluster.issuer.jwks
            setu.write()
            self.reload(setu)
            client.ended()
        wait_until(lambda: "reason=identity_changed" in setu.log.read_text(), 10, "the reason in the log")
        setu.config["oauth"]["jwks_file"] = other.jwks
        setu.write()
        self.reload(setu)

    def test_raw_tokens_after_handshake_v0(self):
        setu = self.bearer_setu()
        for token, answer in ((self.cluster.issuer.token("orders"), b""),
                              (self.cluster.issuer.token("orders", -60), b'{"status":"invalid_token"}')):
            with kafka.Client(setu.port, timeout_s=20) as client:
                client.handshake("OAUTHBEARER", 0)
                client.send(kafka.frame(first_message(token)))
                self.assertEqual(client.frame(), answer)
                if answer:
                    client.send(kafka.frame(b"\x01"))
                    self.assertEqual(client.ended(), b"", "raw tokens have no other refusal than the end")
                else:
                    self.assertEqual(set(client.metadata([])[0]), set(self.cluster.nodes))

    def test_the_token_is_gone_after_the_login(self):
        setu, token = self.bearer_setu(), self.cluster.issuer.token("orders")
        with kafka.Client(setu.node_base_port + 3, timeout_s=20) as client:
            client.handshake("OAUTHBEARER")
            self.assertEqual(client.authenticate(first_message(token)), b"")
            client.metadata([])
            signature = token.rpartition(".")[2].encode()
            self.assertEqual([places(setu.process.pid, signature[at:at + 48]) for at in (0, 100, len(signature) - 48)],
                             [[], [], []])

    def test_a_renewal_that_is_refused_is_explained_late_too(self):
        setu, issuer = self.bearer_setu(delay_ms=300), self.cluster.issuer
        with kafka.Client(setu.node_base_port + 3, timeout_s=20) as client:
            client.handshake("OAUTHBEARER")
            client.authenticate(first_message(issuer.token("orders")))
            client.metadata([])
            client.handshake("OAUTHBEARER")
            began = time.monotonic()
            self.assertEqual(client.authenticate(first_message(issuer.token("orders", -60))),
                             b'{"status":"invalid_token"}')
            self.assertGreaterEqual(time.monotonic() - began, 0.3)
            with self.assertRaises(PermissionError) as refused:
                client.authenticate(b"\x01")
            self.assertEqual(refused.exception.args, (58, "Authentication failed"))
            self.assertEqual(client.ended(), b"")
        self.assertEqual(len(re.findall(r"event=reauth_denied .*reason=token_expired", setu.said())), 1)

    def test_who_hangs_up_at_the_error_object_is_on_record(self):
        setu = self.bearer_setu()
        self.bearer(setu, first_message(self.cluster.issuer.token("orders", -60)), None)
        wait_until(lambda: "reason=token_expired" in setu.log.read_text(), 10, "the denial in the log")
        self.assertEqual(own_setu.fresh_stats(setu)['auth_attempts_total{result="denied"}'], 1)

    def test_keys_are_read_again_at_a_reload(self):
        setu, other = self.bearer_setu(), tokens.Issuer(self._file("issuer"), self.cluster.issuer.name)
        token = other.token("orders")
        self.assertEqual(self.bearer(setu, first_message(token))[0][0][2], b'{"status":"invalid_token"}')
        setu.config["oauth"]["jwks_file"] = other.jwks
        setu.write()
        self.reload(setu)
        self.assertEqual(self.bearer(setu, first_message(token))[0], [(0, "", b"")])
        self.check_sessions(setu, other)
        other.jwks.write_text("{}")
        done = subprocess.run([setu.binary, "reload", "-c", setu.config_file], capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.bearer(setu, first_message(token))[0], [(0, "", b"")], "the old keys stay")


class BrokerLeg(TokenTest):
    def token_credentials(self, setu, name: str, token) -> dict:
        rows = [{"principal": user, "token_file": private_file(setu.directory / f"{user}.{name}.jwt", token(user))}
                for user in rig_cluster.SERVICES]
        file = private_file(setu.directory / f"{name}.yaml", yaml({"credentials": rows}) + "\n")
        return {"mechanism": "OAUTHBEARER", "credentials_file": file}

    def test_tokens_open_brokers_of_both_generations(self):
        """The rig's SASL listeners: 2.8 with its unsecured validator, 3.9 with keys and expectations."""
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu(start=False)
        unsecured = self.token_credentials(setu, "unsecured", tokens.unsecured)
        signed = self.token_credentials(setu, "signed", self.cluster.issuer.token)
        password = private_file(setu.directory / "admin.password", self.cluster.admin_password)
        cluster = setu.config["clusters"][0]
        cluster["bootstrap"] = [broker.address("ADMIN") for broker in self.cluster.nodes.values()]
        cluster["identity"] = {"sasl": {"mechanism": "PLAIN", "username": "admin", "password_file": password}}
        cluster["generations"] = [
            {"name": name, "match": match, "protocol": "SASL_PLAINTEXT", "login": "sasl", "sasl": sasl}
            for name, match, sasl in (("legacy", {"node_ids": "1-2"}, unsecured), ("late", {"node_ids": "3"}, signed))]
        setu.write()
        own_setu.start(self, setu)
        for partition in range(3):
            self.kcat_write(setu.login("orders"), topic, ["by token"], "-p", partition)
        self.assertEqual(self.cluster.end_offsets(topic), [1, 1, 1])
        self.assert_seen_as("User:orders", topic)
        self.check_renewal(setu, topic)

    def check_renewal(self, setu, topic: str) -> None:
        """The file is read for each login: one that has expired is refused by the broker, its successor is not."""
        file = setu.directory / "orders.signed.jwt"
        private_file(file, self.cluster.issuer.token("orders", -300))
        with kafka.Client(setu.node_base_port + 3, timeout_s=20) as client:
            client.log_in("orders", self.cluster.passwords["orders"])
            with self.assertRaises(kafka.Closed):
                client.metadata([topic])
        wait_until(lambda: re.search(r"event=broker_login_failed .*reason=denied", setu.log.read_text()), 10,
                   "the broker's refusal in the log")
        private_file(file, self.cluster.issuer.token("orders"))
        self.kcat_write(setu.login("orders"), topic, ["by the next token"], "-p", 2)
        self.assertEqual(self.cluster.end_offsets(topic), [1, 1, 2])

    def test_setu_itself_looks_with_a_token(self):
        """And reads it anew for each look, so that it may expire. 2.8 does not believe signed ones: only node 3 can."""
        topic, setu = self.topic(leaders=[3]), self.setu(start=False)
        own = private_file(setu.directory / "own.jwt", self.cluster.issuer.token("admin"))
        cluster = setu.config["clusters"][0]
        cluster["bootstrap"] = [self.cluster.nodes[3].address("ADMIN")]
        cluster["identity"] = {"sasl": {"mechanism": "OAUTHBEARER", "username": "admin", "password_file": own}}
        cluster["refresh_ms"] = 200
        cluster["generations"] = [{"name": "late", "match": {"node_ids": "3"}, "protocol": "SASL_PLAINTEXT",
                                   "login": "sasl",
                                   "sasl": self.token_credentials(setu, "signed", self.cluster.issuer.token)}]
        setu.write()
        own_setu.start(self, setu)
        with kafka.Client(setu.node_base_port + 3, "orders", self.cluster.passwords["orders"]) as client:
            self.assertEqual(client.produce(topic, 0, kafka.batch([b"one"]))[0], 0)
        self.assert_seen_as("User:orders", topic)
        private_file(own, self.cluster.issuer.token("admin", -300))
        wait_until(lambda: "identity_refused=true" in setu.log.read_text(), 20, "a look with an expired token")
        mark = len(setu.log.read_text())
        private_file(own, self.cluster.issuer.token("admin"))
        wait_until(lambda: re.search(r"event=broker_up .*node=3 ", setu.log.read_text()[mark:]), 20,
                   "a look with its successor")


class ScramRelay(TokenTest):
    def test_the_clients_own_key_opens_the_legacy_broker(self):
        """No stored credential; the broker's log shows the client's principal, by either hash."""
        topic, setu = self.topic(leaders=[1, 2, 3]), self.setu(legacy_login="scram-relay")
        self.assertNotIn("credentials_file", setu.config_file.read_text())
        for mechanism in scram.HASHES:
            for partition in range(3):
                self.kcat_write(setu.login("orders", mechanism), topic, [mechanism], "-p", partition)
        self.assertEqual(self.cluster.end_offsets(topic), [2, 2, 2])
        self.assert_seen_as("User:orders", topic)

    def test_the_key_is_gone_when_the_relay_begins(self):
        setu = self.setu(legacy_login="scram-relay")
        salted = hashlib.pbkdf2_hmac("sha512", self.cluster.passwords["orders"].encode(), self.cluster.salts["orders"],
                                     rig_cluster.ITERATIONS)
        with kafka.Client(setu.node_base_port + 1, "orders", self.cluster.passwords["orders"]) as client:
            client.metadata([])
            self.assertEqual(places(setu.process.pid, hmac.digest(salted, b"Client Key", "sha512")), [])
            server_key = hmac.digest(salted, b"Server Key", "sha512")
            self.assertNotEqual(places(setu.process.pid, server_key), [], "the users file's keys: one can look")

    def test_records_as_kafkas_own_tool_stored_them(self):
        """kafka-configs prints what ZooKeeper has; that goes into Setu's users file as it is."""
        topic, setu = self.topic(leaders=[1, 2]), self.setu(start=False, legacy_login="scram-relay")
        rows = [{"name": "orders"} | {mechanism.lower(): record
                                      for mechanism, record in self.cluster.stored_records("orders").items()}]
        private_file(setu.directory / "users.yaml", yaml({"users": rows}) + "\n")
        own_setu.start(self, setu)
        for partition in (0, 1):
            self.kcat_write(setu.login("orders"), topic, ["relayed"], "-p", partition)
        self.assert_seen_as("User:orders", topic)

    def refused(self, setu, mechanism: str) -> None:
        """Let in by Setu, but there is nothing to show to the broker: the connection ends before any answer."""
        with kafka.Client(setu.node_base_port + 1, timeout_s=20) as client:
            client.log_in("orders", self.cluster.passwords["orders"], mechanism)
            with self.assertRaises(kafka.Closed):
                client.metadata([])

    def test_what_differs_is_named(self):
        setu = self.setu(start=False, legacy_login="scram-relay")
        password, salt = self.cluster.passwords["orders"], self.cluster.salts["orders"]
        rows = [{"name": "orders",
                 "scram-sha-512": scram.record("SCRAM-SHA-512", password, salt[::-1], rig_cluster.ITERATIONS),
                 "scram-sha-256": scram.record("SCRAM-SHA-256", password, salt, rig_cluster.ITERATIONS * 2)}]
        private_file(setu.directory / "users.yaml", yaml({"users": rows}) + "\n")
        own_setu.start(self, setu)
        self.refused(setu, "SCRAM-SHA-512")
        self.refused(setu, "SCRAM-SHA-256")
        self.refused(setu, "PLAIN")
        log = setu.said()
        self.assertRegex(log, 'reason=keys_differ detail="the broker\'s salt is not that of the users file"')
        self.assertRegex(log, 'reason=keys_differ detail="the broker\'s iterations are not those of the users file"')
        self.assertRegex(log, "reason=relay_key_missing")
        counts = own_setu.fresh_stats(setu)
        self.assertEqual(counts['client_disconnects_total{cause="relay_key_differs"}'], 2)
        self.assertEqual(counts['client_disconnects_total{cause="relay_key_missing"}'], 1)
