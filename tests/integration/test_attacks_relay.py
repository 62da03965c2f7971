# SPDX-License-Identifier: Apache-2.0
"""Attacks behind the login: clients that pose as brokers (T63), answers that never come (T75), and whose memory that is
(T73)."""

import struct
import time

from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import END_TXN, FIND_COORDINATOR, LIST_OFFSETS, PRODUCE
from tests.integration.stage import NODES, PASSWORDS, StageTest
from tests.rig.process import wait_until

KIB, MIB = 1024, 1024 * 1024
# What brokers and controllers say to each other, and what manages them: never a client's business.
BROKERS_ONLY = (4, 5, 6, 7, 27, 52, 53, 54, 56, 57, 58, 59, 62, 63, 64, 67, 70, 73, 80, 81, 82, 83, 84, 85, 86, 87, 94)
DELEGATION_TOKENS = (38, 39, 40, 41)


class Impostors(StageTest):
    def refused(self, keys: tuple[int, ...]) -> None:
        """Each of them ends the connection, in any version and with any body, and no broker hears of it."""
        marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}
        bodies = (b"", struct.pack(">iii", 1, 0, 0) + bytes(60), b"\0" + b"\xff" * 40)
        count = 0
        for key in keys:
            for version, body in zip((0, 1, 9), bodies):
                with self.stage.client(NODES[count % 2]) as client:
                    head = struct.pack(">hhi", key, version, 9) + (b"" if (key, version) == (7, 0) else b"\xff\xff")
                    client.send(kafka.frame(head + body))
                    self.assertEqual(client.ended(), b"", (key, version))
                count += 1
        self.closed(api_not_admitted=count)
        for node, broker in self.stage.brokers.items():
            for principal in ("orders", "CN=orders,OU=services,O=Setu rig"):
                asked = {name for name, _ in broker.requests(marks[node], principal)}
                self.assertLessEqual(asked, {"SaslHandshake", "SaslAuthenticate", "ApiVersions"})

    def test_t63_what_brokers_say_to_each_other(self):
        self.refused(BROKERS_ONLY)

    def test_t41_delegation_tokens_are_not_managed_through_setu(self):
        self.refused(DELEGATION_TOKENS)

    def test_t41_nor_do_they_log_anybody_in(self):
        scram = kafka.Scram("SCRAM-SHA-512", "orders", PASSWORDS["orders"])
        scram.bare += ",tokenauth=true"
        with kafka.Client(self.stage.port) as client:
            client.handshake("SCRAM-SHA-512")
            with self.assertRaises(PermissionError) as refused:
                client.authenticate(scram.final(client.authenticate(scram.first())))
            self.assertEqual(refused.exception.args[0], 58)
        self.closed(login_denied=1)

    def test_t63_none_of_it_is_offered(self):
        with self.stage.client(1) as client:
            offered = client.api_versions()
        self.assertEqual(set(offered) & {*BROKERS_ONLY, *DELEGATION_TOKENS, 50, 51}, set())


class Once(StageTest):
    """T75: whatever a broker does behind a request, it is that client's request and nobody sends it again."""

    def setUp(self):
        super().setUp()
        self.marks = {node: broker.mark() for node, broker in self.stage.brokers.items()}

    def seen(self, api: str) -> int:
        """How often any broker was asked that since the test began, as whomever."""
        return sum(name == api for node, broker in self.stage.brokers.items()
                   for name, _ in broker.requests(self.marks[node]))

    def stored(self, node: int, value: bytes) -> int:
        """How often it lies in the node's partition, by the node's own word."""
        found, offset = b"", 0
        with self.stage.broker_client(node) as client:
            end = client.offset("good", node - 1)
            while offset < end:
                _, records = client.fetch("good", node - 1, offset)
                found += records
                base, count, _ = kafka.batches(records)[-1]
                offset = base + count
        return found.count(value)

    @staticmethod
    def produce(version: int, node: int, value: bytes) -> tuple[int, int, bytes]:
        return PRODUCE, version, kafka.produce_body(version, "good", {node - 1: kafka.batch([value])}, acks=-1)

    @staticmethod
    def end_txn(version: int, committed: bool) -> tuple[int, int, bytes]:
        body = kafka.Body(version >= 3).text("a transaction").pack("qh?", 4711, 3, committed)
        return END_TXN, version, bytes(body.tags().data)

    def others_go_on(self) -> None:
        """Whatever Setu still had to do for those that were cut it has done by then."""
        for node in NODES:
            with self.stage.client(node, "payments") as client:
                client.metadata(["good"])

    def test_t75_an_answer_that_never_comes(self):
        values, ends, sent = [], 0, 0
        for node in NODES:
            for i, fault in enumerate(("rst:0", "close", "cut:6", "rst:9", "wrong-id")):
                value = f"t75-{node}-{i}".encode()
                requests = self.produce((3, 7, 9)[i % 3], node, value), self.end_txn(i % 4, i % 2 == 0)
                for key, version, body in requests:
                    with self.stage.client(node) as client:
                        client.metadata(["good"])
                        self.stage.brokers[node].fault(f"api={'Produce' if key == PRODUCE else 'EndTxn'},do={fault}")
                        client.ask(key, version, body)
                        self.assertLessEqual(len(client.ended()), 9, "never a whole answer")
                    self.stage.brokers[node].clear()
                    sent += 1
                values.append((node, value))
                ends += 1
        self.only_closed("broker_reset", "broker_closed", "response_unexpected")
        self.others_go_on()
        self.assertEqual((self.seen("Produce"), self.seen("EndTxn")), (len(values), ends), f"{sent} were sent once")
        self.assertEqual([self.stored(node, value) for node, value in values], [1] * len(values))

    def test_t75_a_reset_among_many_requests(self):
        """What was sent behind the one without an answer may have arrived or not, but in order, and never twice."""
        for node in NODES:
            values = [f"t75-many-{node}-{i:02}".encode() for i in range(20)]
            with self.stage.client(node) as client:
                client.metadata(["good"])
                self.stage.brokers[node].fault("api=Produce,nth=5,do=rst:0")
                client.send(b"".join(kafka.request(key, version, body, i) for i, (key, version, body) in
                                     enumerate(self.produce(7, node, value) for value in values)))
                client.ended()
            self.stage.brokers[node].clear()
            self.others_go_on()
            counts = [self.stored(node, value) for value in values]
            self.assertEqual(counts, sorted(counts, reverse=True), "a beginning, without holes")
            self.assertEqual(set(counts[:5]), {1})
            self.assertLessEqual(max(counts), 1)
        self.only_closed("broker_reset", "client_reset")

    def test_t75_a_reset_within_a_request(self):
        """A broker that went while a request was on its way gets no second half, and nobody else gets the first."""
        broker = self.stage.brokers[1]
        key, version, body = self.produce(7, 1, b"t75-half" + b"x" * 100000)
        data = kafka.request(key, version, body, 9)
        with self.stage.client(1) as client:
            client.metadata(["good"])
            broker.fault("api=ListOffsets,principal=orders,do=delay:700")
            broker.fault("api=FindCoordinator,principal=orders,do=rst:0")
            client.ask(LIST_OFFSETS, 5, kafka.list_offsets_body(5, "good", 0, -1))
            client.ask(FIND_COORDINATOR, 2, bytes(kafka.Body().text("g").pack("b", 0).data))
            client.send(data[:60000])
            client.frame()
            client.send_anyway(data[60000:])
            client.ended()
        broker.clear()
        self.closed(broker_reset=1)
        self.others_go_on()
        self.assertEqual((self.seen("Produce"), self.seen("FindCoordinator")), (0, 1))
        self.assertEqual(self.stored(1, b"t75-half"), 0)

    def test_t75_a_client_that_goes_first(self):
        """Nothing of what it has sent is finished in its place, and nothing that has arrived is sent again."""
        value, half = b"t75-went", b"t75-went-in-the-middle"
        for node in NODES:
            with self.stage.client(node) as client:
                client.metadata(["good"])
                key, version, body = self.produce(7, node, half)
                client.ask(*self.produce(7, node, value))
                client.send(kafka.request(key, version, body, 9)[:-5])
                wait_until(lambda: self.seen("Produce") >= NODES.index(node) + 1, 10, "the whole one has arrived")
                client.reset()
        self.closed(client_reset=2)
        self.others_go_on()
        self.assertEqual(self.seen("Produce"), len(NODES))
        for node in NODES:
            self.assertEqual((self.stored(node, value), self.stored(node, half)), (1, 0))


class Watermarks(StageTest):
    """T73 for many at a time: what is kept for each is bounded, whatever is asked for and not read (release build)."""

    measures_memory = True
    stage_options = {"broker_options": {0: ["--source", "flood:1000000"]}}
    COUNT, EACH = 40, 512 * KIB

    def at_rest(self, side: str, direction: str) -> None:
        last = [-1]

        def same():
            last.append(self.stage.number("bytes_total", side=side, direction=direction))
            return last[-1] == last[-2]
        wait_until(same, 60, "no byte moves any more")

    def test_t73_many_readers_that_stand_still(self):
        before = self.stage.rss()
        clients = [self.stage.client(NODES[i % 2], tls=i % 4 > 1) for i in range(self.COUNT)]
        try:
            for i, client in enumerate(clients):
                for _ in range(12):
                    client.ask(1, 11, kafka.fetch_body(11, "flood", {i % 2: 0}))
            self.at_rest("broker", "in")
            grown = self.stage.rss_peak() - before
            print(f"\n    {self.COUNT} readers that stand still: {grown // self.COUNT // KIB} KiB each", flush=True)
            self.assertLess(grown, self.COUNT * self.EACH)
            self.assertEqual(len(self.steady.metadata()[0]), 2)
        finally:
            for client in clients:
                client.close()
        wait_until(lambda: self.stage.number("client_connections") <= 1, 30, "all are gone")

    def test_t73_acks_0_to_a_broker_that_stands_still(self):
        """No answer is awaited, and still nobody may send without end."""
        records = kafka.batch([b"x" * 50000])
        data = kafka.request(PRODUCE, 7, kafka.produce_body(7, "large", {0: records}, acks=0), 9)
        before = self.stage.rss()
        clients, times = [self.stage.client(1) for _ in range(6)], 500
        self.stage.brokers[1].fault("api=ListOffsets,do=stall:0")
        try:
            sent = 0
            for client in clients:
                client.ask(LIST_OFFSETS, 5, kafka.list_offsets_body(5, "good", 0, -1))
                sent += self.send_until_stuck(client, data * times)
            self.assertLess(sent, len(data) * times * len(clients), "somebody is made to wait")
            grown = self.stage.rss_peak() - before
            print(f"\n    {sent // MIB} MiB sent with acks=0, {grown // KIB} KiB kept", flush=True)
            self.assertLess(grown, len(clients) * self.EACH)
        finally:
            for client in clients:
                client.reset()
        # Who goes without being read any more gives his place back, though the broker still stands still.
        wait_until(lambda: self.stage.number("client_connections") <= 1, 30, "all are gone")
        self.stage.brokers[1].clear()

    @staticmethod
    def send_until_stuck(client: kafka.Client, data: bytes) -> int:
        sent, last = 0, time.monotonic()
        client.socket.setblocking(False)
        while sent < len(data) and time.monotonic() - last < 0.5:
            try:
                sent += client.socket.send(data[sent:sent + MIB])
                last = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        return sent
