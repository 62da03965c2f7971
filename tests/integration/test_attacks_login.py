# SPDX-License-Identifier: Apache-2.0
"""Attacks on login from the client's side (T19, T20, and their neighbours) and from the broker's (T38, T39)."""

import base64
import hashlib
import hmac
import os
import pathlib
import struct
import tempfile
import time
import unittest
import unittest.mock

from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import Client
from tests.integration.stage import PASSWORDS, Stage, StageTest, broker_program, setu_program
from tests.rig.certificates import Authority
from tests.rig.process import wait_until

DENIED = 58


class Tokens(StageTest):
    stage_options = {"limits": {"login_failure_delay_ms": 1}}

    def denial(self, mechanism: str, token: bytes, tls: bool = False) -> tuple:
        """The refusal, and that the connection is ended behind it."""
        with Client(self.stage.tls_port if tls else self.stage.port, tls=self.stage.tls() if tls else None) as client:
            client.handshake(mechanism)
            try:
                client.authenticate(token)
            except PermissionError as refused:
                self.assertEqual(client.ended(), b"")
                return refused.args
            self.fail(f"{mechanism} {token[:80]} was not refused")

    def test_t19_tokens_over_their_cap(self):
        name = b"orders"
        cases = [("SCRAM-SHA-512", b"n,,n=orders,r=" + b"x" * 4096), ("SCRAM-SHA-256", b"n,,n=" + b"x" * 500000),
                 ("PLAIN", b"\0" + name + b"\0" + b"x" * 65536), ("PLAIN", b"\0" * 500000)]
        texts = {self.denial(mechanism, token) for mechanism, token in cases}
        self.assertEqual({code for code, _ in texts}, {DENIED})
        self.assertEqual(len(texts), 1, texts)
        self.closed(login_denied=len(cases))

    def test_t19_a_frame_over_its_cap(self):
        with Client(self.stage.port) as client:
            client.handshake("PLAIN")
            client.send(struct.pack(">i", 524289))
            self.assertEqual(client.ended(), b"")
        self.closed(frame_too_large=1)

    def test_t20_ill_formed_plain(self):
        name, password = b"orders", PASSWORDS["orders"].encode()
        cases = [b"", name, name + b"\0" + password, b"\0" + name, b"\0" + name + b"\0" + password + b"\0",
                 b"\0" + name + b"\0" + password + b"\0x", b"\0\0" + password, b"\0" + name + b"\0", b"\0\0", b"\0\0\0",
                 b"\0" + b"u" * 256 + b"\0" + password, b"\0" + name + b"\0" + b"p" * 256, b"\0ord\0ers\0" + password,
                 b"\0\xff\xfe\0" + password, b"\0" + name + b"\0\xff\xfe", b"\0ord\ners\0" + password,
                 b"\0Orders\0" + password, b"\0orders \0" + password, b"\0nobody\0wrong", b"\0unheard-of\0" + password,
                 # T21: on behalf of somebody else
                 b"payments\0" + name + b"\0" + password,
                 # proved, but mapped to nothing
                 b"\0nobody\0" + PASSWORDS["nobody"].encode()]
        answers = {token: self.denial("PLAIN", token) for token in cases}
        self.assertEqual(len(set(answers.values())), 1, answers)
        self.assertEqual(next(iter(answers.values()))[0], DENIED)
        self.closed(login_denied=len(cases))

    def test_t20_over_tls_and_the_good_one(self):
        self.assertEqual(self.denial("PLAIN", b"\0orders\0wrong", tls=True)[0], DENIED)
        with self.stage.client(mechanism="PLAIN", tls=True) as client:
            self.assertEqual(len(client.metadata()[0]), 2)
        with self.stage.client(mechanism="PLAIN") as client:
            self.assertEqual(len(client.metadata()[0]), 2)

    def test_t23_and_t24_nonces(self):
        """Only the server's nonce behind the client's, or behind the client's twice (librdkafka before 2.6.1)."""
        def proof(scram, challenge, nonce):
            fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
            salted = hashlib.pbkdf2_hmac("sha512", PASSWORDS["orders"].encode(), base64.b64decode(fields["s"]),
                                         int(fields["i"]))
            client_key = hmac.digest(salted, b"Client Key", "sha512")
            bare = f"c=biws,r={nonce}"
            text = f"{scram.bare},{challenge.decode()},{bare}".encode()
            signature = hmac.digest(hashlib.sha512(client_key).digest(), text, "sha512")
            return f"{bare},p={base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()}".encode()

        def attempt(change):
            scram = kafka.Scram("SCRAM-SHA-512", "orders", PASSWORDS["orders"])
            with Client(self.stage.port) as client:
                client.handshake("SCRAM-SHA-512")
                challenge = client.authenticate(scram.first())
                whole = challenge.decode().split(",")[0][2:]
                client.authenticate(proof(scram, challenge, change(scram.nonce, whole[len(scram.nonce):])))
                return len(client.metadata()[0])

        self.assertEqual(attempt(lambda c, s: c + s), 2)
        self.assertEqual(attempt(lambda c, s: c + c + s), 2)
        for bad in (lambda c, s: c, lambda c, s: s, lambda c, s: c + c + c + s, lambda c, s: c + s + s,
                    lambda c, s: "x" + c + s, lambda c, s: c + s[:-1]):
            with self.assertRaises(PermissionError) as refused:
                attempt(bad)
            self.assertEqual(refused.exception.args[0], DENIED)

    def test_t36_requests_out_of_order(self):
        def order(*frames):
            with Client(self.stage.port) as client:
                for data in frames[:-1]:
                    client.send(data).frame()
                return client.send(frames[-1]).ended()

        versions = kafka.request(18, 0)
        scram, plain = (kafka.request(17, 1, kafka.handshake_body(m)) for m in ("SCRAM-SHA-512", "PLAIN"))
        token = kafka.request(36, 1, kafka.authenticate_body(b"\0orders\0x"))
        for frames in ((token,), (versions, token), (versions, versions), (scram, scram), (scram, plain),
                       (scram, versions)):
            self.assertEqual(order(*frames), b"")
        self.closed(login_order=6)

    def test_t36_raw_tokens(self):
        """SaslHandshake v0: tokens without headers, and no message for a refusal but the end."""
        with Client(self.stage.port) as client:
            client.handshake("PLAIN", version=0)
            client.send(kafka.frame(b"\0orders\0" + PASSWORDS["orders"].encode()))
            self.assertEqual(client.frame(), b"")
            self.assertEqual(len(client.metadata()[0]), 2)
        with Client(self.stage.port) as client:
            client.handshake("PLAIN", version=0)
            client.send(kafka.frame(b"\0orders\0wrong"))
            self.assertEqual(client.ended(), b"")
        with Client(self.stage.port) as client:
            client.handshake("PLAIN", version=0)
            client.send(kafka.request(36, 1, kafka.authenticate_body(b"\0orders\0" + PASSWORDS["orders"].encode())))
            self.assertEqual(client.ended(), b"")
        self.closed(login_denied=2)


class PassedThrough(StageTest):
    """T21, T30, T32 where the broker judges the login: who may come by what, how often, and what is on record, is Setu's part."""

    DELAY_S = 0.03
    stage_options = {"legacy_login": "passthrough", "limits": {"login_failure_delay_ms": int(DELAY_S * 1000)}}

    @classmethod
    def arrange(cls, stage):
        file = stage.directory / "users.yaml"
        text = file.read_text() + "  - {name: held, mechanisms: [OAUTHBEARER]}\n"
        file.write_text(text)

    def attempt(self, mechanism: str, token: bytes, delay_s: float = DELAY_S) -> tuple:
        """The refusal, and that the connection is ended behind it, not at once."""
        began = time.monotonic()
        with Client(self.stage.node_port(1)) as client:
            client.handshake(mechanism)
            with self.assertRaises(PermissionError) as refused:
                client.authenticate(token)
            self.assertEqual(client.ended(), b"")
        self.assertGreaterEqual(time.monotonic() - began, delay_s)
        return refused.exception.args

    def told(self) -> list[tuple]:
        return [(row["mechanism"], row.get("claimed"), row["reason"])
                for row in self.stage.told(self.mark, "login_denied")]

    def test_t21_t30_t32_what_is_not_theirs_never_reaches_the_broker(self):
        orders = PASSWORDS["orders"].encode()
        cases = [("PLAIN", b"payments\0orders\0" + orders, "orders", "authzid_mismatch"),
                 ("SCRAM-SHA-512", b"n,a=payments,n=orders,r=abc", "orders", "authzid_mismatch"),
                 ("PLAIN", b"\0held\0" + orders, "held", "mechanism_not_allowed"),
                 ("SCRAM-SHA-256", b"n,,n=held,r=abc", "held", "mechanism_not_allowed"),
                 ("PLAIN", b"\0orders \0" + orders, "orders ", "principal_not_canonical"),
                 ("PLAIN", b"\0orders\0" + orders + b"\0", None, "malformed")]
        broker, answers = self.stage.brokers[1], set()
        mark = broker.mark()
        for mechanism, token, _, _ in cases:
            answers.add(self.attempt(mechanism, token))
        seen = [api for api, _ in broker.requests(mark)]
        self.assertEqual(seen.count("SaslHandshake"), len(cases))
        self.assertEqual(seen.count("SaslAuthenticate"), 0, "not a byte of a token")
        guess = ("PLAIN", b"\0orders\0wrong", "orders", "denied_by_broker")
        for _ in range(2):  # counted as our own denials are: the seventh waits eight times the delay, the eighth longer
            cases.append(guess)
            answers.add(self.attempt(*guess[:2], delay_s=8 * self.DELAY_S))
        self.assertEqual(self.told(), [(mechanism, claimed, reason) for mechanism, _, claimed, reason in cases])
        self.assertEqual({code for code, _ in answers}, {DENIED})
        self.assertEqual(len(answers), 1, "one text, whoever has judged")
        with self.stage.client(1, mechanism="PLAIN") as client:
            self.assertEqual(len(client.metadata()[0]), 2)
        self.closed(login_denied=len(cases))


class Names(StageTest):
    """T40: who somebody is is decided once, and a name is never anything but a name."""

    stage_options = {"limits": {"login_failure_delay_ms": 1}}
    OTHERS = {"alice": "alice-secret", "../x": "x-secret", "@REALM": "realm-secret"}

    @classmethod
    def arrange(cls, stage):
        stage._users("users.yaml", PASSWORDS | cls.OTHERS)
        stage.config["mapping"] += [{"principal": "alice", "certificate": "orders"},
                                    {"principal": "../x", "certificate": "payments"}]

    def files(self) -> set[str]:
        """In the stage's directory, and what `../x` would be."""
        beside = self.stage.directory.parent / "x"
        return {str(path) for path in self.stage.directory.glob("**/*") if not path.name.startswith("setu.prom")} | (
            {str(beside)} if beside.exists() else set())

    def log_in(self, mechanism: str, user: bytes, password: str) -> None:
        with Client(self.stage.node_port(2)) as client:
            client.handshake(mechanism)
            if mechanism == "PLAIN":
                client.authenticate(b"\0" + user + b"\0" + password.encode())
            else:
                scram = kafka.Scram(mechanism, user.decode(), password)
                client.authenticate(scram.final(client.authenticate(scram.first())))
            self.assertEqual(len(client.metadata()[0]), 2)

    def test_t40_a_name_is_itself_alone(self):
        before, broker = self.files(), self.stage.brokers[2]
        mark = broker.mark()
        for mechanism in ("PLAIN", "SCRAM-SHA-512"):
            self.log_in(mechanism, b"alice", "alice-secret")
            self.log_in(mechanism, b"../x", "x-secret")
        seen = [name for name, _ in broker.logins(mark) if not name.startswith("CN=setu")]
        self.assertEqual([name.split(",")[0] for name in seen], ["CN=orders", "CN=payments"] * 2)
        names = ["Alice", "ALICE", "alice ", " alice", "al\u00adice", "\ufb01", "alice@REALM", "@REALM",
                 "User:alice", "CN=orders", "x", "./../x", "../x/../x", "..\\x", "../users.yaml", "/etc/passwd", "alice\n", "\u202ealice"]
        told = set()
        for mechanism, name in [(m, n) for n in names for m in ("PLAIN", "SCRAM-SHA-512")]:
            password = self.OTHERS["@REALM"] if name == "@REALM" else self.OTHERS["alice"]
            with self.subTest(name=name, mechanism=mechanism), self.assertRaises(PermissionError) as refused:
                self.log_in(mechanism, name.encode(), password)
            told.add(refused.exception.args)
        for token in (b"\0alice\0x\0alice-secret", b"\0ali\0ce\0alice-secret"):
            with self.assertRaises(PermissionError) as refused, Client(self.stage.port) as client:
                client.handshake("PLAIN")
                client.authenticate(token)
            told.add(refused.exception.args)
        self.assertEqual({code for code, _ in told}, {DENIED})
        self.assertEqual(len(told), 1, "one text for all")
        self.assertEqual(self.files() - before, set(), "no name has become a path")
        self.closed(login_denied=2 * len(names) + 2)


class Parameters(StageTest):
    """T70: of all that a client says before and beside its proof nothing has a say in who it is."""

    stage_options = {"limits": {"login_failure_delay_ms": 1}}
    CLAIMS = ("payments", "User:payments", "setu", "CN=payments", "search_path=payments", "${principal}", "*",
              "' OR '1")

    def versions(self, client: Client, claim: str) -> None:
        """ApiVersions as the claim would have it: in the software's name, and in a tag nobody knows."""
        tag = b"\1\5" + kafka.uvarint(len(claim)) + claim.encode()
        body = kafka.Body(True).text("payments").text("payments").put(tag)
        self.assertEqual(client.call(18, 3, bytes(body.data)).take("h"), 0)

    def authenticate(self, client: Client, token: bytes, claim: str) -> bytes:
        """SaslAuthenticate v2 with the claim as a tag of the header and one of the body."""
        tag = b"\1\5" + kafka.uvarint(len(claim)) + claim.encode()
        client.correlation_id += 1
        head = kafka.header(36, 2, client.correlation_id, claim)[:-1] + tag
        client.send(kafka.frame(head + bytes(kafka.Body(True).bytes(token).put(tag).data)))
        answer = client.answer(36, 2, client.correlation_id)
        error, text = answer.take("h"), answer.text()
        if error:
            raise PermissionError(error, text)
        return answer.bytes()

    def visit(self, node: int, claim: str, mechanism: str, user: str, password: str) -> None:
        with Client(self.stage.node_port(node), client_id=claim) as client:
            self.versions(client, claim)
            client.handshake(mechanism)
            if mechanism == "PLAIN":
                self.authenticate(client, f"\0{user}\0{password}".encode(), claim)
            else:
                scram = kafka.Scram(mechanism, user, password)
                scram.bare += f",u={claim},x=payments"  # extensions, which are proved and mean nothing
                self.authenticate(client, scram.final(self.authenticate(client, scram.first(), claim)), claim)
            self.assertEqual(len(client.metadata()[0]), 2)

    def test_t70_only_the_proof_says_who_somebody_is(self):
        self.steady.metadata()  # it is somebody else, and has been dialled for by now
        self.remark()
        marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}
        for i, claim in enumerate(self.CLAIMS):
            for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
                self.visit(1 + i % 2, claim, mechanism, "orders", PASSWORDS["orders"])
        for node, broker in self.stage.brokers.items():
            seen = [name for name, _ in broker.logins(marks[node])]
            seen = [name for name in seen if name != "setu" and not name.startswith("CN=setu")]
            self.assertEqual({name.split(",")[0] for name in seen}, {"orders" if node == 1 else "CN=orders"})
            self.assertEqual(len(seen), 3 * len(self.CLAIMS) // 2)
        said = {row.get("principal") for row in self.stage.told(self.mark) if row.get("principal")}
        self.assertEqual(said, {"orders"})

    def test_t70_no_claim_lets_anybody_in(self):
        cases = [("payments", "unheard-of", PASSWORDS["payments"]), ("orders", "payments", PASSWORDS["orders"]),
                 ("orders", "nobody", PASSWORDS["nobody"])]
        for claim, user, password in cases:
            for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
                with self.assertRaises(PermissionError) as refused:
                    self.visit(2, claim, mechanism, user, password)
                self.assertEqual(refused.exception.args[0], DENIED)
        self.closed(login_denied=3 * len(cases))


class HostileBroker(StageTest):
    """The legacy network is no friend: what answers there may be anybody."""

    def visit(self) -> bytes:
        with Client(self.stage.node_port(1)) as client:
            try:
                client.log_in("orders", PASSWORDS["orders"])
            except kafka.Closed:
                return b""
            return client.ended()

    def test_t38_a_broker_that_cannot_prove_itself(self):
        broker = self.stage.brokers[1]
        faults = ["sasl-nonce:65536", "sasl-nonce:5000", "sasl-foreign-nonce", "sasl-iterations:2147483648",
                  "sasl-iterations:99999999999", "sasl-iterations:1", "sasl-iterations:0", "sasl-iterations:-5",
                  "sasl-extension", "sasl-no-verifier", "sasl-wrong-verifier", "sasl-error", "sasl-garbage:100",
                  "sasl-garbage:70000", "sasl-garbage:0"]
        for fault in faults:
            broker.clear()
            broker.fault(f"api=SaslAuthenticate,principal=orders,do={fault}")
            mark, began = broker.mark(), time.monotonic()
            self.assertEqual(self.visit(), b"", fault)
            self.assertLess(time.monotonic() - began, 5, fault)
            self.assertEqual([r for r in broker.requests(mark, "orders") if not r[0].startswith("Sasl")], [], fault)
        self.closed(broker_login_failed=len(faults))

    def test_t38_a_broker_that_says_more_than_asked(self):
        broker = self.stage.brokers[1]
        for fault in ("twice", "extra", "wrong-id", "size:2147483647", "size:-1", "size:3", "garbage", "cut:6"):
            broker.clear()
            broker.fault(f"api=SaslAuthenticate,principal=orders,do={fault}")
            self.assertEqual(self.visit(), b"", fault)
        self.only_closed("broker_login_failed", "broker_closed", "response_unexpected")

    def test_a_broker_that_ends_before_it_was_shown_anything(self):
        """As one does that is killed: its operators need not look for a wrong password."""
        broker = self.stage.brokers[1]
        for fault, reason in (("close", "closed_by_peer"), ("rst:0", "reset")):
            self.remark()
            broker.fault(f"api=SaslHandshake,do={fault}")
            self.assertEqual(self.visit(), b"")
            self.closed(broker_reset=1)
            self.assertEqual([row["reason"] for row in self.stage.told(self.mark, "broker_login_failed")], [reason])
            broker.clear()
        self.stage.check_good_client(self)

    def test_a_broker_that_is_silent_during_login(self):
        broker = self.stage.brokers[1]
        broker.fault("api=SaslAuthenticate,principal=orders,do=stall")
        with self.subTest("the deadline of dialling"):
            began = time.monotonic()
            self.assertEqual(self.visit(), b"")
            self.assertLess(time.monotonic() - began, 15)
        self.closed(broker_timeout=1)
        self.assertEqual(self.stage.number("broker_failures_total", cause="timeout"), 1)
        told = self.stage.told(self.mark, "broker_login_failed")
        self.assertEqual([(row["reason"], row["detail"]) for row in told], [("timeout", "no answer")])


class RefusedCertificate(unittest.TestCase):
    """TLS 1.3: the broker's refusal of the mapped certificate comes after the handshake has succeeded."""

    def setUp(self):
        for program in (setu_program(), broker_program()):
            if not program.is_file():
                self.skipTest(f"{program} is not built")

    def rejected(self, stage: Stage, reasons: set[str]) -> dict:
        """One visit with a Produce right behind the login's answer: never answered, nor stored, and one failed login."""
        mark, before = stage.mark(), stage.told(name="stats")[-1]
        with stage.client(2) as client:
            client.send_anyway(kafka.request(kafka.PRODUCE, 7, kafka.produce_body(7, "good", {1: kafka.batch([b"x"])}, -1)))
            self.assertEqual(client.ended(60), b"", "no answer, not even a refusal")
        wait_until(lambda: stage.closes(mark)["broker_rejected_certificate"] == 1, 60, "the close is logged")
        after, (row,) = stage.told(mark, "stats")[-1], stage.events(mark, "broker_login_failed")
        counted = {name: after.get(name, 0) - before.get(name, 0)
                   for name in ("broker_login_failed", "broker_connect_failed", "broker_timeout")}
        self.assertEqual(counted, {"broker_login_failed": 1, "broker_connect_failed": 0, "broker_timeout": 0})
        self.assertIn(row["reason"], reasons)
        return row

    def test_a_broker_that_ends_within_the_handshake_has_judged_nothing(self):
        """As one does that is killed just then: nobody need look for a fault of the certificate's."""
        stage = Stage().start()
        try:
            broker, mark = stage.brokers[2], stage.mark()
            broker.fault("api=accept,do=close")
            with stage.client(2) as client:
                self.assertEqual(client.ended(60), b"")
            wait_until(lambda: stage.closes(mark)["broker_tls_failed"] == 1, 60, "the close is logged")
            (row,) = stage.told(mark, "broker_login_failed")
            self.assertIn(row["reason"], ("reset", "closed_by_peer"))
            broker.clear()
            stage.check_good_client(self)
        finally:
            wrong = stage.close()
        self.assertEqual(wrong, [])

    def show_a_strangers(self, stage: Stage, directory: str) -> None:
        """To `orders` is mapped what an authority has signed that the brokers do not know."""
        stranger = Authority(pathlib.Path(directory), "stranger").issue("orders")
        for row in stage.config["certificates"]:
            if row["name"] == "orders":
                row["chain"], row["key"] = stranger.chain, stranger.key

    def test_t51_by_tls_1_2_it_is_judged_within_the_handshake(self):
        stage = Stage()
        with tempfile.TemporaryDirectory() as elsewhere:
            self.show_a_strangers(stage, elsewhere)
            settings = pathlib.Path(elsewhere) / "openssl.cnf"
            settings.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n")
            with unittest.mock.patch.dict(os.environ, OPENSSL_CONF=str(settings)):
                stage.start()
            try:
                row = self.rejected(stage, {"tls_certificate_rejected"})
                self.assertIn("TLSv1.2, in the handshake", row["detail"])
                stage.brokers[2].fault("api=refusal,do=rst")
                self.rejected(stage, {"tls_certificate_rejected", "reset", "closed_by_peer"})
            finally:
                wrong = stage.close()
            self.assertEqual(wrong, [])

    def test_t51_a_certificate_the_broker_does_not_accept(self):
        stage = Stage()
        with tempfile.TemporaryDirectory() as elsewhere:
            self.show_a_strangers(stage, elsewhere)
            stage.start()
            try:
                broker = stage.brokers[2]
                mark = broker.mark()
                row = self.rejected(stage, {"tls_certificate_rejected"})
                self.assertIn("TLSv1.3, after the handshake", row["detail"])
                self.assertIn("CN=orders", row["certificate_subject"])
                # The reset may eat the alert: then it is an end before the first answer, not a broker that cannot be reached.
                broker.fault("api=refusal,do=rst")
                row = self.rejected(stage, {"tls_certificate_rejected", "rejected"})
                self.assertEqual(broker.text(mark).count("tls-refused node=2"), 2)
                self.assertEqual([api for api, _ in broker.requests(mark)].count("Produce"), 0)
                with stage.broker_client(2) as client:
                    self.assertEqual(client.offset("good", 1), 0, "nothing is stored")
                told = [(row["code"], row["principal"], row["certificate"], row["reason"])
                        for row in stage.audited("failed", 2)]
                self.assertEqual(told, [("SETU3001E", "orders", "orders", "tls_certificate_rejected"),
                                        ("SETU3001E", "orders", "orders", row["reason"])])
                broker.clear()
                stage.check_good_client(self)
            finally:
                wrong = stage.close()
            self.assertEqual(wrong, [])
