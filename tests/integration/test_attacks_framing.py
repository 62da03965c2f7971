# SPDX-License-Identifier: Apache-2.0
"""Attacks on framing and on resources before login: T01–T07, T10–T14, T17, T18."""

import collections
import itertools
import os
import socket
import struct
import sys
import time

from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import Closed, Raw
from tests.integration.stage import PASSWORDS, StageTest
from tests.rig.process import wait_until

CAP = 524288  # limits.login_frame_max_bytes


class Framing(StageTest):
    stage_options = {"limits": {"login_timeout_ms": 30000}}

    def attack(self, data: bytes, port: int | None = None, finish: bool = False) -> bytes:
        """Sends it on a fresh connection, which must then be ended; what came back."""
        with self.stage.raw(port) as raw:
            raw.send_anyway(data)
            if finish:
                raw.socket.shutdown(socket.SHUT_WR)
            return raw.ended()

    def test_t01_first_frame_declares_too_much(self):
        for length in (0x7FFFFFFF, CAP + 1, 1 << 30):
            self.assertEqual(self.attack(struct.pack(">i", length) + b"\0\x12\0\0\0\0\0\1"), b"")
        self.closed(frame_too_large=3)

    def test_t02_lengths_below_a_header(self):
        for length in (-1, -0x80000000):
            self.attack(struct.pack(">i", length))
        self.closed(frame_too_large=2)
        self.remark()
        for length in range(8):
            self.attack(kafka.frame(bytes(length)))
        self.closed(frame_malformed=8)

    def test_t03_lengths_inside_frames(self):
        """Every length of the three login requests at the edges of every power of two."""
        edges = sorted({value for n in range(1, 33) for value in ((1 << n) - 1, 1 << n)} | {CAP - 1, CAP, CAP + 1})
        cases = []
        for edge in edges:
            short = struct.pack(">H", edge & 0xFFFF)
            wide = struct.pack(">I", edge & 0xFFFFFFFF)
            compact = kafka.uvarint(edge & 0xFFFFFFFF)
            cases += [
                struct.pack(">hhi", 18, 0, 1) + short,                                        # client id
                struct.pack(">hhi", 18, 0, 1) + short + b"x" * 100,
                kafka.header(18, 3, 1) + compact,                                             # software name
                kafka.header(18, 3, 1) + compact + b"x" * 100,
                kafka.header(18, 3, 1) + b"\2x" + compact + b"x" * 100,                       # software version
                kafka.header(18, 3, 1) + b"\2x\2x" + compact,                                 # tags
                kafka.header(18, 3, 1) + b"\2x\2x\1" + compact + compact + b"x" * 20,         # one tag
                kafka.header(17, 1, 1) + short + b"x" * 20,                                   # mechanism
                kafka.header(36, 1, 1) + wide + b"x" * 20,                                    # token, before a handshake
            ]
        # Two lengths whose sum wraps.
        cases += [kafka.header(18, 3, 1) + b"\2x\2x\2\1" + a + b"\2" + b
                  for a, b in itertools.product((kafka.uvarint((1 << 32) - 1), kafka.uvarint((1 << 31) + 5)), repeat=2)]
        for payload in cases:
            self.attack(kafka.frame(payload), finish=True)
        wait_until(lambda: sum(self.stage.closes(self.mark).values()) >= len(cases), 10, "all counted")
        self.only_closed("frame_malformed", "login_order")

    def test_t03_lengths_of_tokens(self):
        for version, edge in itertools.product((1, 2), sorted({(1 << n) - d for n in range(5, 33) for d in (0, 1)})):
            length = kafka.uvarint(edge & 0xFFFFFFFF) if version == 2 else struct.pack(">I", edge & 0xFFFFFFFF)
            with kafka.Client(self.stage.port, timeout_s=10) as client:
                client.handshake("PLAIN")
                client.send(kafka.frame(kafka.header(36, version, 2) + length + b"x" * 20))
                client.socket.shutdown(socket.SHUT_WR)
                client.ended()
        self.only_closed("frame_malformed", "login_denied")

    def test_t03_lengths_after_login(self):
        """Of Produce, whose record sets are walked, and of Fetch and ListOffsets, which are looked into."""
        good = {
            (0, 7): kafka.produce_body(7, "good", {0: kafka.batch([b"x"])}),
            (0, 9): kafka.produce_body(9, "good", {0: kafka.batch([b"x"])}),
            (1, 11): kafka.fetch_body(11, "good", {0: 0}),
            (1, 12): kafka.fetch_body(12, "good", {0: 0}),
            (2, 5): kafka.list_offsets_body(5, "good", 0, -1),
            (2, 6): kafka.list_offsets_body(6, "good", 0, -1),
        }
        values = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x7f")
        for (key, version), body in good.items():
            for at, value in itertools.product(range(0, min(len(body), 60), 2), values):
                broken = body[:at] + value + body[at + len(value):]
                with self.stage.client(1, timeout_s=10) as client:
                    client.ask(key, version, broken)
                    client.socket.shutdown(socket.SHUT_WR)
                    client.ended()
        self.only_closed("frame_malformed", "broker_closed", "broker_reset", "replica_request")

    def test_t04_requests_before_login(self):
        known = [key for key in range(95) if key not in (17, 18, 36)]
        broker_marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}
        for key in known:
            # The body is no body: whoever decoded it would say so.
            payload = struct.pack(">hhih", key, 0, 1, -1) + b"\0" + b"\xff" * 50
            if key == 7:
                payload = struct.pack(">hhi", key, 0, 1) + b"\xff" * 50
            self.assertEqual(self.attack(kafka.frame(payload)), b"", f"key {key}")
        self.closed(request_before_login=len(known))
        for node, broker in self.stage.brokers.items():
            self.assertEqual([r for r in broker.requests(broker_marks[node]) if r[0] == "Produce"], [])

    def test_t04_keys_nobody_knows_before_login(self):
        for key in (95, 200, 10000, 32767, -1, -32768):
            self.assertEqual(self.attack(kafka.frame(struct.pack(">hhih", key, 0, 1, -1) + b"\xff" * 50)), b"")
        self.closed(frame_malformed=6)

    def test_t05_huge_tagged_fields(self):
        start = struct.pack(">hhih", 18, 3, 1, -1)
        huge = kafka.uvarint((1 << 32) - 1)
        for tags in (b"\1\0" + huge, huge, huge + b"\0\1x", b"\x41" + b"\0\0" * 65,
                     b"\1\0" + kafka.uvarint(65537) + bytes(65537)):
            self.assertEqual(self.attack(kafka.frame(start + tags + b"\2x\2x\0")), b"")
        self.closed(frame_malformed=5)

    def test_t06_varints_counts_and_nulls(self):
        flexible = kafka.header(18, 3, 1)
        overlong = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"
        cases = [flexible + overlong + b"x", flexible + b"\xff\xff\xff\xff\x1fx", flexible + b"\0\2x\0",
                 flexible + b"\2x\0\0", flexible + b"\x80", flexible, flexible + b"\2x\2x\0trailing",
                 kafka.header(17, 1, 1) + b"\xff\xff", kafka.header(17, 1, 1) + b"\x80\0", kafka.header(17, 1, 1),
                 kafka.header(17, 1, 1) + b"\0\5PLAINtrailing"]
        for payload in cases:
            self.assertEqual(self.attack(kafka.frame(payload)), b"", payload)
        self.closed(frame_malformed=len(cases))

    def test_t06_null_token(self):
        with kafka.Client(self.stage.port) as client:
            client.handshake("SCRAM-SHA-512")
            client.send(kafka.request(36, 1, b"\xff\xff\xff\xff", 2))
            self.assertEqual(client.ended(), b"")
        self.closed(frame_malformed=1)

    def test_t10_bytes_behind_the_last_token(self):
        """What comes in one piece with the token that ends the login was sent by nobody yet."""
        marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}
        for mechanism in ("PLAIN", "SCRAM-SHA-512"):
            with kafka.Client(self.stage.port) as client:
                client.handshake(mechanism)
                token = b"\0orders\0" + PASSWORDS["orders"].encode()
                if mechanism != "PLAIN":
                    scram = kafka.Scram(mechanism, "orders", PASSWORDS["orders"])
                    token = scram.final(client.authenticate(scram.first()))
                behind = kafka.request(3, 9, kafka.metadata_body(9, ["stolen"]), 99)
                client.send(kafka.request(36, 1, kafka.authenticate_body(token), 9) + behind)
                client.ended()
        self.closed(pipelined_before_login=2)
        for node, broker in self.stage.brokers.items():
            self.assertEqual(broker.requests(marks[node], "orders"), [], "nothing was sent as orders")

    def test_t10_bytes_behind_a_client_hello(self):
        import ssl
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.stage.tls().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        behind = kafka.request(18, 0)
        answer = self.attack(outgoing.read() + behind, self.stage.tls_port)
        self.assertNotIn(struct.pack(">i", 1) + b"\0\0", answer, "no ApiVersions answer in the clear")
        self.closed(client_not_tls=1)

    def test_t11_wrong_protocols(self):
        self.assertEqual(self.attack(kafka.request(18, 0), self.stage.tls_port), b"", "no TLS alert to plaintext")
        self.closed(client_not_tls=1)
        self.remark()
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        self.assertEqual(self.attack(hello), b"")
        self.closed(client_is_tls=1)
        self.remark()
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n", b"CONNECT x:443 HTTP/1.1\r\n\r\n",
                     kafka.frame(b"\x60\x82\x02" + bytes(60))):
            self.assertEqual(self.attack(text), b"")
        self.closed(client_not_kafka=4)

    def test_t12_api_versions_from_the_future(self):
        for version in (5, 127, 32767):
            with kafka.Client(self.stage.port) as client:
                client.send(kafka.frame(kafka.header(18, version, 7) + b"what may come\0\xff"))
                answer = kafka.Answer(client.frame())
                self.assertEqual(answer.take("ih"), (7, 35), "error 35 in a body of v0")
                self.assertEqual([answer.take("hhh") for _ in range(answer.take("i"))], [(18, 0, 4)])
                self.assertEqual(answer.at, len(answer.data))
                self.assertIn(3, client.api_versions(3), "the client asks again on the same connection")
                client.log_in("orders", PASSWORDS["orders"])
                self.assertEqual(len(client.metadata()[0]), 2)

    def test_t12_invalid_software_name(self):
        with kafka.Client(self.stage.port) as client:
            answer = client.call(18, 3, kafka.api_versions_body(3, "bad name\x1b", "1"))
            self.assertEqual(answer.take("h"), 42)
            self.assertIn(3, client.api_versions(3))

    def test_t12_asking_for_ever(self):
        """Answers before login are few, whether they are read or not."""
        for data in (kafka.request(18, 99), kafka.request(18, 3, kafka.api_versions_body(3, "bad name"))):
            with kafka.Client(self.stage.port) as client:
                self.assertLess(len(client.send_anyway(data * 50000).ended()), 1000)
        self.closed(login_order=2)

    def test_t13_unknown_apis_after_login(self):
        refused = [(95, 0), (200, 0), (10001, 0), (32767, 0), (-1, 0), (0, 14), (1, 19), (3, 14), (3, 32767), (4, 0),
                   (38, 0), (50, 0), (58, 0), (78, 0)]
        marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}
        for key, version in refused:
            with self.stage.client(1) as client:
                client.send(kafka.frame(struct.pack(">hhih", key, version, 9, -1) + bytes(40)))
                self.assertEqual(client.ended(), b"", (key, version))
        self.closed(api_not_admitted=len(refused))
        seen = [r for node, broker in self.stage.brokers.items() for r in broker.requests(marks[node], "orders")]
        self.assertLessEqual({name for name, _ in seen}, {"SaslHandshake", "SaslAuthenticate", "ApiVersions"})

    def test_t14_hostile_client_ids(self):
        ids = [None, b"", b"x" * 32767, b"\xff\xfe\xc3\x28", b"\x1b[2J\r\n{\"event\":\"forged\"}\n", b"nul\0nul",
               "\u202egnp".encode()]
        for client_id in ids:
            with kafka.Client(self.stage.port, client_id=client_id) as client:
                client.api_versions(2)
                client.log_in("orders", PASSWORDS["orders"])
                self.assertEqual(len(client.metadata()[0]), 2)
        with self.stage.client(client_id=ids[4]) as client:
            client.send(kafka.request(200, 0, bytes(20), client_id=ids[4]))
            client.ended()
        self.closed(api_not_admitted=1)
        for user in ("\x1b[2Jadmin", "a\nb", 'x"y\\z'):
            with kafka.Client(self.stage.port) as client, self.assertRaises((PermissionError, Closed)):
                client.log_in(user, "x", "PLAIN")
        text = self.stage.log.read_bytes()
        self.assertNotIn(b"\x1b", text)
        self.assertNotIn(b"forged\"}\n", text.replace(b"\\\"", b""))
        self.assertNotIn("x" * 300, self.stage.stats_file.read_text())

    def test_t17_a_hundred_thousand_names_that_collide(self):
        """`Aa` and `BB` are one to Java's String.hashCode, and so is every row of them."""
        def names(count):
            for bits in range(count):
                yield "".join("Aa" if bits >> i & 1 else "BB" for i in range(17))

        def took(count):
            body = kafka.metadata_body(9, list(names(count)), create=False)
            with self.stage.client(1, timeout_s=90) as client:
                began = time.monotonic()
                client.ask(3, 9, body)
                answer = client.frame()
                self.assertGreater(len(answer), count * 34)
                return time.monotonic() - began

        few, many = took(10000), took(100000)
        self.assertLess(many, 30 * max(few, 0.05), "ten times the names in far more than ten times the time")
        with self.stage.client(1, timeout_s=90) as client:
            body = b"".join(kafka.Body(True).text(name).array(1).pack("i", 0).bytes(b"").tags().tags().data
                            for name in names(100000))
            head = kafka.Body(True).text(None).pack("hi", 1, 30000).array(100000).data
            client.ask(0, 9, bytes(head) + body + b"\0")
            self.assertGreater(len(client.frame()), 100000 * 34)

    def test_t18_series_stay_constant(self):
        """1,000 connections, each with a client id and a user name of its own, denied by PLAIN or SCRAM: no new series."""
        def series():
            return {line.rpartition(" ")[0] for line in self.stage.stats_file.read_text().splitlines()}

        def visit(i):
            mechanism, tokens = (("PLAIN", [f"\0user-{i}\0x"]) if i % 5 == 0 else  # which costs Setu more
                                 ("SCRAM-SHA-512", [f"n,,n=user-{i},r=nonce-{i}", "junk"]))
            raw = self.stage.raw()
            frames = [kafka.request(36, 1, kafka.authenticate_body(token.encode()), 2, f"client-{i}") for token in tokens]
            return raw.send(kafka.request(17, 1, kafka.handshake_body(mechanism), 1, f"client-{i}") + b"".join(frames))

        count = 1000
        for i in (count, count + 1):  # each way once: there is a series of each
            with visit(i) as raw:
                raw.ended()
        self.stage.fresh_stats()
        before = series()
        for i in range(0, count, 100):
            group = [visit(i + k) for k in range(100)]
            for raw in group:
                raw.ended(60)
                raw.close()
        self.closed(login_denied=count + 2, timeout_s=60)
        self.stage.fresh_stats()
        self.assertEqual(series(), before)
        self.assertLessEqual({f"user-{i}" for i in range(count)},
                             {row.get("claimed") for row in self.stage.told(self.mark, "login_denied")})


class Deadlines(StageTest):
    """T07 with a short deadline of login."""

    stage_options = {"limits": {"login_timeout_ms": 1500}}

    def drip(self, raw: Raw, data: bytes) -> float:
        """One byte every tenth of a second until the other side has had enough; how long that took."""
        began = time.monotonic()
        for i in itertools.count():
            raw.send_anyway(data[i:i + 1])
            if not raw.quiet(0.1):
                raw.ended()
                return time.monotonic() - began
            self.assertLess(time.monotonic() - began, 10, "no deadline")

    def test_t07_drip_of_a_header(self):
        with self.stage.raw() as raw:
            self.assertAlmostEqual(self.drip(raw, kafka.request(18, 3, kafka.api_versions_body(3) * 20)), 1.5, delta=0.7)
        self.closed(login_timeout=1)

    def test_t07_drip_of_a_client_hello(self):
        with self.stage.raw(self.stage.tls_port) as raw:
            self.assertAlmostEqual(self.drip(raw, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)), 1.5,
                                   delta=0.7)
        self.closed(login_timeout=1)

    def test_t07_drip_of_a_token(self):
        began = time.monotonic()
        with kafka.Client(self.stage.port) as client:
            client.handshake("SCRAM-SHA-512")
            self.drip(client, kafka.request(36, 1, kafka.authenticate_body(b"n,,n=orders,r=" + b"x" * 100), 2))
        self.assertAlmostEqual(time.monotonic() - began, 1.5, delta=0.7)
        self.closed(login_timeout=1)

    def test_t07_progress_buys_no_time(self):
        """The deadline is counted from the accept, whatever was achieved since."""
        began = time.monotonic()
        with self.stage.raw(self.stage.tls_port) as raw:
            time.sleep(1)
            raw.socket = self.stage.tls().wrap_socket(raw.socket, server_hostname="localhost")
            raw.send(kafka.request(17, 1, kafka.handshake_body("SCRAM-SHA-512"))).frame()
            raw.ended()
        self.assertAlmostEqual(time.monotonic() - began, 1.5, delta=0.4)
        self.closed(login_timeout=1)

    def test_t07_silence(self):
        began = time.monotonic()
        with self.stage.raw() as raw, self.stage.raw(self.stage.tls_port) as secure:
            raw.ended(), secure.ended()
        self.assertAlmostEqual(time.monotonic() - began, 1.5, delta=0.7)
        self.closed(login_timeout=2)
