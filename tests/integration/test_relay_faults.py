# SPDX-License-Identifier: Apache-2.0
"""The relay before brokers that misbehave (T16 and its neighbours), and what it does with what clients send."""

import itertools
import struct
import time

from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import Closed
from tests.integration.stage import NODES, StageTest
from tests.rig.process import wait_until


class Responses(StageTest):
    def faulty(self, fault: str, node: int = 1, api: str = "ListOffsets") -> bytes:
        """One ListOffsets (or Metadata) whose answer goes wrong; what the client got before it was cut off."""
        self.stage.brokers[node].clear()
        with self.stage.client(node) as client:
            client.metadata(["good"])
            principal = "orders" if node == 1 else "CN=orders"
            self.stage.brokers[node].fault(f"api={api},do={fault}" if node == 2 else
                                           f"api={api},principal={principal},do={fault}")
            if api == "Metadata":
                client.ask(3, 9, kafka.metadata_body(9, ["good"]))
            else:
                client.ask(2, 5, kafka.list_offsets_body(5, "good", node - 1, -1))
            got = client.ended()
            self.stage.brokers[node].clear()
            return got

    def test_t16_another_correlation_id(self):
        for node in NODES:
            self.assertEqual(self.faulty("wrong-id", node), b"")
        self.closed(response_unexpected=2)

    def test_t16_an_answer_twice_and_one_nobody_asked_for(self):
        for node in NODES:
            for fault in ("twice", "extra"):
                self.faulty(fault, node)
        self.closed(response_unexpected=4)

    def test_t16_answers_in_another_order(self):
        broker = self.stage.brokers[1]
        with self.stage.client(1) as client:
            broker.fault("api=ListOffsets,principal=orders,nth=1,do=swap")
            for _ in range(2):
                client.ask(2, 5, kafka.list_offsets_body(5, "good", 0, -1))
            self.assertEqual(client.ended(), b"")
        self.closed(response_unexpected=1)

    def test_a_cut_answer_ends_the_client(self):
        for node in NODES:
            self.assertLessEqual(len(self.faulty("cut:20", node)), 20)
            self.assertEqual(self.faulty("close", node), b"")
        self.closed(broker_closed=4)

    def test_half_a_rewrite_is_never_sent(self):
        self.assertEqual(self.faulty("cut:60", api="Metadata"), b"")
        self.closed(broker_closed=1)

    def test_a_reset_within_an_answer_ends_the_client(self):
        for node in NODES:
            self.assertLessEqual(len(self.faulty("rst:20", node)), 20)
        self.closed(broker_reset=2)

    def test_sizes_that_cannot_be(self):
        for size in (-1, 0, 3, -2147483648):
            self.assertEqual(self.faulty(f"size:{size}"), b"")
        self.closed(response_malformed=4)
        self.remark()
        self.assertEqual(self.faulty("size:2147483647", api="Metadata"), b"")
        self.closed(response_too_large=1)

    def test_an_answer_that_must_be_rewritten_and_cannot(self):
        for node in NODES:
            self.assertEqual(self.faulty("garbage", node, api="Metadata"), b"")
        self.closed(response_malformed=2)

    def test_silence_is_waited_for(self):
        """A silent broker is not a dead one: it may throttle."""
        broker = self.stage.brokers[1]
        broker.fault("api=ListOffsets,principal=orders,do=delay:1500")
        with self.stage.client(1) as client:
            began = time.monotonic()
            self.assertEqual(client.offset("good", 0, -2), 0)
            self.assertGreater(time.monotonic() - began, 1.4)
        self.only_closed()

    def test_a_client_leaves_while_the_broker_is_silent(self):
        broker = self.stage.brokers[1]
        broker.fault("api=ListOffsets,principal=orders,do=stall:10")
        client = self.stage.client(1)
        client.ask(2, 5, kafka.list_offsets_body(5, "good", 0, -1))
        client.take(4)
        client.close()
        wait_until(lambda: self.stage.closes(self.mark)["client_closed"] >= 1, 10, "the session ends")


class Requests(StageTest):
    stage_options = {"broker_options": {0: ["--source", "flood:300000"]}}

    def test_acks_0_has_no_answer(self):
        """T73: nothing of it stays behind."""
        for version in (3, 7, 9, 11):
            with self.stage.client(1) as client:
                before = client.offset("acks", 0) if client.metadata(["acks"]) else 0
                for _ in range(3):
                    client.ask(0, version, kafka.produce_body(version, "acks", {0: kafka.batch([b"x"])}, acks=0))
                self.assertEqual(client.offset("acks", 0), before + 3, "the next answer is of the next request")

    def test_acks_0_and_an_error(self):
        """The broker's only way to say so is to close; the client must see that."""
        with self.stage.client(1) as client:
            client.ask(0, 7, kafka.produce_body(7, "unheard-of", {0: kafka.batch([b"x"])}, acks=0))
            self.assertEqual(client.ended(), b"")
        self.closed(broker_closed=1)

    def test_acks_all_and_one(self):
        with self.stage.client(1) as client:
            client.metadata(["acks"])
            for acks in (1, -1):
                self.assertEqual(client.produce("acks", 0, kafka.batch([b"x"]), acks=acks)[0], 0)
            self.assertEqual(client.produce("acks", 0, kafka.batch([b"x"]), acks=5)[0], 21, "the broker's own judgement")

    def test_a_thousand_requests_at_once(self):
        for node, tls in itertools.product(NODES, (False, True)):
            with self.stage.client(node, tls=tls, timeout_s=60) as client:
                client.metadata(["many"])
                body = {2: (5, kafka.list_offsets_body(5, "many", node - 1, -2)),
                        3: (9, kafka.metadata_body(9, ["many"])),
                        0: (7, kafka.produce_body(7, "many", {node - 1: kafka.batch([b"x"])}))}
                sent, data = [], b""
                for i in range(1000):
                    key = (2, 3, 0)[i % 3]
                    client.correlation_id += 1
                    sent.append((key, client.correlation_id))
                    data += kafka.request(key, *body[key], client.correlation_id)
                client.send(data)
                for key, correlation_id in sent:
                    client.answer(key, body[key][0], correlation_id)

    def test_api_versions_keep_their_place(self):
        """Setu's own answers wait behind those of the broker that were asked for earlier."""
        with self.stage.client(1) as client:
            client.metadata(["place"])
            end = client.offset("place", 0)
            began = time.monotonic()
            ids = [client.ask(1, 11, kafka.fetch_body(11, "place", {0: end}, wait_ms=500)),
                   client.ask(18, 3, kafka.api_versions_body(3)),
                   client.ask(2, 5, kafka.list_offsets_body(5, "place", 0, -1)),
                   client.ask(18, 0), client.ask(18, 77, b"whatever"),
                   client.ask(3, 9, kafka.metadata_body(9, []))]
            self.assertEqual(kafka.fetched(client.answer(1, 11, ids[0]), 11)[0], {0: (0, b"")})
            self.assertGreater(time.monotonic() - began, 0.45)
            self.assertEqual(client.answer(18, 3, ids[1]).take("h"), 0)
            client.answer(2, 5, ids[2])
            self.assertEqual(client.answer(18, 0, ids[3]).take("h"), 0)
            self.assertEqual(client.answer(18, 0, ids[4]).take("h"), 35)
            client.answer(3, 9, ids[5])

    def test_own_answers_between_large_ones(self):
        """…and never within one."""
        for node, tls in itertools.product(NODES, (False, True)):
            with self.stage.client(node, tls=tls, timeout_s=60) as client:
                ids = []
                for _ in range(20):
                    ids.append((client.ask(1, 11, kafka.fetch_body(11, "flood", {node - 1: 0})),
                                client.ask(18, 3, kafka.api_versions_body(3))))
                for fetch, versions in ids:
                    _, records = kafka.fetched(client.answer(1, 11, fetch), 11)[0][node - 1]
                    self.assertEqual(len(records), 300000)
                    self.assertEqual(client.answer(18, 3, versions).take("h"), 0)

    def test_own_answers_that_nobody_reads(self):
        for times, tls in ((1, False), (2, True)):
            with self.stage.client(1, tls=tls) as client:
                client.send_anyway(kafka.request(18, 0) * 200000)
                self.closed(login_order=times)

    def test_a_byte_at_a_time(self):
        class Slow(kafka.Client):
            def send(self, data):
                for i in range(len(data)):
                    self.socket.sendall(data[i:i + 1])
                    time.sleep(0.0005)  # or they would be read together
                return self

        for node, tls in itertools.product(NODES, (False, True)):
            with Slow(self.stage.node_port(node, tls), "orders", "orders-secret", client_id="slow",
                      tls=self.stage.tls() if tls else None) as client:
                client.metadata(["slow"])
                values = [b"first", b"second"]
                error, base = client.produce("slow", node - 1, kafka.batch(values) + kafka.batch(values))
                self.assertEqual(error, 0)
                error, records = client.fetch("slow", node - 1, base)
                self.assertEqual([row[1:] for row in kafka.batches(records)], [(2, True), (2, True)])

    def test_large_frames_that_stop_and_go(self):
        """Bulk reads gather what comes meanwhile; wherever a client stops within a frame, nothing may stay behind."""
        class Halting(kafka.Client):
            def send(self, data):
                at = 0
                for size in (20000, 3, 70000, 16384, 40000, 1) * (1 + len(data) // 140000):
                    self.socket.sendall(data[at:at + size])
                    at += size
                    if at >= len(data):
                        return self
                    time.sleep(0.02)
                return super().send(data[at:])

        values = [bytes([65 + i]) * 30000 for i in range(10)]
        for node, tls in itertools.product(NODES, (False, True)):
            with Halting(self.stage.node_port(node, tls), "orders", "orders-secret", client_id="slow",
                         tls=self.stage.tls() if tls else None) as client:
                client.metadata(["slow"])
                error, base = client.produce("slow", node - 1, kafka.batch(values))
                self.assertEqual(error, 0)
                error, records = client.fetch("slow", node - 1, base)
                self.assertEqual([row[1:] for row in kafka.batches(records)], [(10, True)])
                self.assertGreater(len(records), 300000)

    def test_a_client_that_ends_within_a_large_frame(self):
        for tls in (False, True):
            client = self.stage.client(1, tls=tls)
            body = kafka.produce_body(7, "slow", {0: kafka.batch([b"x" * 300000])})
            client.send(kafka.request(0, 7, body)[:100000])
            time.sleep(0.2)
            client.close()
        wait_until(lambda: self.stage.closes(self.mark)["client_closed"] >= 2, 20, "both sessions end")

    def test_clients_that_pose_as_replicas(self):
        """T63: CVE-2018-1288: a ReplicaId of a broker in what a client asks."""
        requests = [(1, version, kafka.fetch_body(version, "good", {0: 0}, replica_id=1)) for version in (4, 11, 12, 13,
                                                                                                          15, 17)]
        requests += [(2, version, kafka.list_offsets_body(version, "good", 0, -1, replica_id=2)) for version in (1, 5, 6)]
        requests += [(23, 3, struct.pack(">ii", 1, 0)), (23, 4, struct.pack(">i", 1) + b"\1\0")]
        for key, version, body in requests:
            with self.stage.client(1) as client:
                client.ask(key, version, body)
                self.assertEqual(client.ended(), b"", (key, version))
        self.closed(replica_request=len(requests))

    def test_logging_in_again_is_refused(self):
        with self.stage.client(1) as client:
            client.ask(17, 1, kafka.handshake_body("PLAIN"))
            self.assertEqual(client.ended(), b"")
        self.closed(login_order=1)

    def test_frames_above_their_cap(self):
        with self.stage.client(1) as client:
            client.send(struct.pack(">ihhi", 104857601, 0, 7, 9))
            self.assertEqual(client.ended(), b"")
        with self.stage.client(1) as client:
            client.send(struct.pack(">ihhi", 20000000, 1, 11, 9))  # Fetch is looked into: limits.rewrite_max_bytes
            self.assertEqual(client.ended(), b"")
        for length in (-1, 0, 7):
            with self.stage.client(1) as client:
                client.send(struct.pack(">ihhi", length, 0, 7, 9))
                self.assertEqual(client.ended(), b"")
        self.closed(frame_too_large=2, frame_malformed=3)


class ByteByByte(StageTest):
    """The broker's bytes come one at a time: no answer, of a login or of a request, is ever in one piece."""

    stage_options = {"broker_options": {0: ["--slow", "1000"]}}

    def test_every_answer_in_single_bytes(self):
        for node in NODES:
            with self.stage.client(node) as client:
                self.assertEqual(client.metadata(["slow"])[1], {"slow": [1, 2]})
                values = [b"first", b"second"]
                error, base = client.produce("slow", node - 1, kafka.batch(values) + kafka.batch(values))
                self.assertEqual(error, 0)
                error, records = client.fetch("slow", node - 1, base)
                self.assertEqual([row[1:] for row in kafka.batches(records)], [(2, True), (2, True)])
                ids = [client.ask(2, 5, kafka.list_offsets_body(5, "slow", node - 1, -1)), client.ask(18, 0),
                       client.ask(3, 9, kafka.metadata_body(9, ["slow"]))]
                for key, version, correlation_id in zip((2, 18, 3), (5, 0, 9), ids):
                    client.answer(key, version, correlation_id)


class Checksums(StageTest):
    """integrity.crc: observe"""

    enforce = False

    @staticmethod
    def broken() -> bytes:
        data = bytearray(kafka.batch([b"what was meant"]))
        data[-3] ^= 1
        return bytes(data)

    def errors(self, direction: str) -> int:
        return self.stage.number("batch_crc_errors_total", direction=direction)

    def test_crc_of_what_is_produced(self):
        before = self.errors("produce")
        for node in NODES:
            mark = self.stage.brokers[node].mark()
            with self.stage.client(node) as client:
                client.metadata(["crc"])
                body = kafka.produce_body(7, "crc", {node - 1: kafka.batch([b"good"]) + self.broken()})
                correlation_id = client.ask(0, 7, body)
                if self.enforce:
                    self.assertEqual(client.ended(), b"")
                    self.assertNotIn("produced", "\n".join(self.stage.brokers[node].lines(mark)))
                else:
                    found = kafka.produced(client.answer(0, 7, correlation_id), 7)
                    self.assertEqual(found[node - 1][0], 2, "the broker sees it for itself")
        self.assertEqual(self.errors("produce"), before + 2)
        self.closed({"crc_mismatch": 2} if self.enforce else {})

    def test_crc_of_what_is_fetched(self):
        before = self.errors("fetch")
        for node in NODES:
            with self.stage.client(node) as client:
                client.metadata(["crc"])
                _, base = client.produce("crc", node - 1, kafka.batch([b"what was meant"]))
                self.stage.brokers[node].fault("api=Fetch,do=corrupt:5")
                correlation_id = client.ask(1, 11, kafka.fetch_body(11, "crc", {node - 1: base}))
                if self.enforce:
                    self.assertNotIn(b"meant", client.ended())
                else:
                    found = kafka.fetched(client.answer(1, 11, correlation_id), 11)[0]
                    self.assertEqual([row[2] for row in kafka.batches(found[node - 1][1])], [False])
                self.stage.brokers[node].clear()
        self.assertEqual(self.errors("fetch"), before + 2)
        self.closed({"crc_mismatch": 2} if self.enforce else {})

    def test_good_batches_pass(self):
        before = self.errors("produce"), self.errors("fetch")
        with self.stage.client(1) as client:
            client.metadata(["crc"])
            _, base = client.produce("crc", 0, kafka.batch([b"a"]) + kafka.batch([b"b", b"c"]))
            self.assertEqual(len(kafka.batches(client.fetch("crc", 0, base)[1])), 2)
        self.assertEqual((self.errors("produce"), self.errors("fetch")), before)


class EnforcedChecksums(Checksums):
    """integrity.crc: enforce"""

    enforce = True
    stage_options = {"integrity": "enforce"}

    def test_the_end_of_a_broken_batch_is_kept_back(self):
        """…also when it comes in many pieces: of a batch that is not right the other side never has all."""
        data = bytearray(kafka.batch([b"x" * 300000]))
        data[1000] ^= 1
        mark = self.stage.brokers[1].mark()
        with self.stage.client(1) as client:
            client.metadata(["crc"])
            client.send_anyway(kafka.request(0, 7, kafka.produce_body(7, "crc", {0: bytes(data)}), 9))
            self.assertEqual(client.ended(), b"")
        self.assertNotIn("produced", "\n".join(self.stage.brokers[1].lines(mark)))
        self.closed(crc_mismatch=1)


class Addresses(StageTest):
    """What brokers say about where brokers are."""

    stage_options = {"broker_options": {0: ["--profile", "4.4", "--many-topics", "10000", "--source", "flood:200000"]}}

    def expected(self) -> dict:
        return {node: ("localhost", self.stage.node_port(node)) for node in NODES}

    def leak(self, data: bytes) -> None:
        for broker in self.stage.brokers.values():
            self.assertNotIn(b"127.0.0.1" + struct.pack(">i", broker.port), data)

    def test_every_version_of_metadata(self):
        """T68: brokers' addresses are Setu's."""
        for node in NODES:
            with self.stage.client(node) as client:
                for version in range(14):
                    self.assertEqual(client.metadata(["good"], version)[0], self.expected(), version)

    def test_ten_thousand_topics(self):
        with self.stage.client(1, timeout_s=60) as client:
            for version in (1, 9, 13):
                brokers, leaders = client.metadata(None, version)
                self.assertEqual(brokers, self.expected())
                self.assertGreater(len(leaders), 10000)
                self.assertEqual(leaders["t-09999"], [1, 2, 1])

    def test_find_coordinator(self):
        """T68: every version."""
        with self.stage.client(1) as client:
            for version in range(7):
                body = kafka.Body(version >= 3)
                if version >= 4:
                    body.pack("b", 0).array(2).text("g1").text("g2").tags()
                else:
                    body.text("g1")
                    if version >= 1:
                        body.pack("b", 0)
                    body.tags()
                answer = client.call(10, version, bytes(body.data))
                if version >= 1:
                    answer.take("i")
                if version < 4:
                    answer.take("h")
                    if version >= 1:
                        answer.text()
                    self.assertEqual((answer.take("i"), answer.text(), answer.take("i")),
                                     (1, *self.expected()[1]), version)
                else:
                    self.assertEqual(answer.array(), 2)
                    answer.text()
                    self.assertEqual((answer.take("i"), answer.text(), answer.take("i")), (1, *self.expected()[1]))
                self.leak(answer.data)

    def test_describe_cluster(self):
        """T68: every version."""
        with self.stage.client(2) as client:
            for version in range(3):
                body = kafka.Body(True).pack("?", False)
                if version >= 1:
                    body.pack("b", 1)
                if version >= 2:
                    body.pack("?", False)
                answer = client.call(60, version, bytes(body.tags().data))
                self.leak(answer.data)
                for host, port in self.expected().values():
                    self.assertIn(host.encode() + struct.pack(">i", port), answer.data)

    def test_node_endpoints_of_produce(self):
        """T68: KIP-951: asked for a partition it does not lead, a broker names who does, in a tag at the very end."""
        with self.stage.client(1) as client:
            client.metadata(["good"])
            for version in range(10, 14):
                answer = client.call(0, version, kafka.produce_body(version, "good", {0: kafka.batch([b"x"])}))
                self.assertEqual(kafka.produced(answer, version)[0][0], 0)
                answer = client.call(0, version, kafka.produce_body(version, "flood", {1: kafka.batch([b"x"])}))
                self.assertEqual(kafka.produced(answer, version)[1][0], 6)
                self.assertEqual(kafka.endpoints(answer.tags()[0]), self.expected(), version)

    def test_node_endpoints_of_a_small_fetch(self):
        """T68: rewritten."""
        with self.stage.client(2) as client:
            for version in range(16, 19):
                answer = client.call(1, version, kafka.fetch_body(version, "flood", {0: 0}))
                found, tags = kafka.fetched(answer, version)
                self.assertEqual(found[0][0], 6)
                self.assertEqual(kafka.endpoints(tags[0]), self.expected(), version)

    def test_node_endpoints_of_a_large_fetch(self):
        """T68: Streamed, so the tag that comes last can only be made one that clients skip."""
        before = self.stage.number("rewrites_total", result="neutralised")
        for node in NODES:
            with self.stage.client(node) as client:
                for version in range(16, 19):
                    answer = client.call(1, version, kafka.fetch_body(version, "flood", {0: 0, 1: 0}))
                    found, tags = kafka.fetched(answer, version)
                    self.assertEqual((found[node - 1][0], len(found[node - 1][1])), (0, 200000))
                    self.assertEqual(found[2 - node][0], 6)
                    self.assertTrue(all(row[2] for row in kafka.batches(found[node - 1][1])))
                    self.assertEqual(set(tags), {100}, "NodeEndpoints is gone")
        self.assertEqual(self.stage.number("rewrites_total", result="neutralised"), before + 6)


class SmallRewrites(StageTest):
    stage_options = {"limits": {"rewrite_max_bytes": 16384}, "broker_options": {0: ["--many-topics", "1000"]}}

    def test_an_answer_too_large_to_be_rewritten(self):
        with self.stage.client(1) as client:
            client.ask(3, 9, kafka.metadata_body(9))
            self.assertEqual(client.ended(), b"")
        self.closed(response_too_large=1)


class Versions(StageTest):
    """Brokers of two generations: what every one of them can do, and Setu can read."""

    stage_options = {"broker_options": {1: ["--profile", "2.8"], 2: ["--profile", "future"]}}

    def test_the_intersection_is_offered(self):
        for port in (self.stage.port, self.stage.node_port(1), self.stage.node_port(2)):
            with kafka.Client(port) as client:
                versions = client.api_versions()
            self.assertEqual(versions, {0: (0, 9), 1: (4, 12), 2: (1, 6), 3: (0, 11), 10: (0, 3), 17: (0, 1), 18: (0, 4),
                                        22: (0, 4), 26: (0, 3), 36: (0, 2), 60: (0, 0)})


class Future(StageTest):
    stage_options = {"broker_options": {0: ["--profile", "future"]}}

    def test_what_setu_does_not_know_is_not_offered(self):
        with kafka.Client(self.stage.port) as client:
            versions = client.api_versions()
        self.assertNotIn(200, versions)
        self.assertEqual((versions[0], versions[1], versions[3]), ((0, 13), (4, 18), (0, 13)))


class Identities(StageTest):
    def test_who_the_brokers_see(self):
        marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}
        for node in NODES:
            for user in ("orders", "payments"):
                with self.stage.client(node, user) as client:
                    client.metadata()
        # Setu's own looks come when they are due, beside the clients' logins
        seen = {node: self.clients_at(node, mark) for node, mark in marks.items()}
        self.assertEqual(set(seen[1]), {("orders", "SCRAM-SHA-512"), ("payments", "SCRAM-SHA-512")})
        self.assertEqual(set(seen[2]), {(f"CN={user},OU=services,O=Setu rig", "SSL") for user in ("orders", "payments")})

    def clients_at(self, node, mark):
        own = ("setu", "SCRAM-SHA-512"), ("CN=setu,OU=services,O=Setu rig", "SSL")
        return [login for login in self.stage.brokers[node].logins(mark) if login not in own]
