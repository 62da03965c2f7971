# SPDX-License-Identifier: Apache-2.0
"""Attacks on login from the client's side (T19, T20, and their neighbours) and from the broker's (T38, T39)."""

import base64
import hashlib
import hmac
import pathlib
import struct
import tempfile
import time
import unittest

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

    def test_a_certificate_the_broker_does_not_accept(self):
        stage = Stage()
        with tempfile.TemporaryDirectory() as elsewhere:
            stranger = Authority(pathlib.Path(elsewhere), "stranger").issue("orders")
            for row in stage.config["certificates"]:
                if row["name"] == "orders":
                    row["chain"], row["key"] = stranger.chain, stranger.key
            stage.start()
            try:
                with Client(stage.node_port(2), "orders", PASSWORDS["orders"]) as client:
                    self.assertEqual(client.ended(), b"")
                wait_until(lambda: stage.closes()["broker_rejected_certificate"] == 1, 10, "the close is logged")
                stage.check_good_client(self)
                self.assertIn("tls-refused node=2", stage.brokers[2].text())
            finally:
                wrong = stage.close()
            self.assertEqual(wrong, [])
