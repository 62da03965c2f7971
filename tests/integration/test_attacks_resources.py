# SPDX-License-Identifier: Apache-2.0
"""Attacks on memory and descriptors: T01, T08, T09, T15."""

import concurrent.futures
import contextlib
import pathlib
import resource
import signal
import socket
import ssl
import struct
import time

from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import Client, Closed, Raw
from tests.integration.stage import NODES, PASSWORDS, Stage, StageTest, raise_descriptors
from tests.rig.process import wait_until
from tests.rig.setu import private_file, yaml

CAP = 524288
KIB, MIB = 1024, 1024 * 1024


class Memory(StageTest):
    """In the release build: the sanitizer's own memory would hide Setu's."""

    measures_memory = True
    stage_options = {"limits": {"login_timeout_ms": 120000}}

    def test_t01_a_declared_length_costs_nothing(self):
        def attack():
            for length in (0x7FFFFFFF, CAP + 1, CAP):
                with self.stage.raw() as raw:
                    raw.send(struct.pack(">i", length) + b"\0\x12\0\0\0\0\0\1")
                    if length > CAP:
                        raw.ended()
        for _ in range(20):
            attack()
        before = self.stage.rss()
        for _ in range(200):
            attack()
        self.assertLess(self.stage.rss_peak() - before, 64 * KIB)

    def test_t08_ten_thousand_connections_that_declare_the_cap(self):
        wanted = 10000
        limit = raise_descriptors(wanted + 1000)
        hard = resource.prlimit(self.stage.process.pid, resource.RLIMIT_NOFILE)[0]
        count = min(wanted, limit - 500, hard - 500)
        if count < wanted:
            print(f"\n    T08 SCALED DOWN to {count} connections: descriptors {limit} here, {hard} in Setu", flush=True)
        before = self.stage.rss()
        raws = []
        try:
            for i in range(count):
                raws.append(Raw(self.stage.port, 60))
                raws[-1].send(struct.pack(">i", CAP))
            self.assertGreaterEqual(self.stage.number("client_connections"), count)
            # A header each, too: what has come is kept, what is declared is not.
            for raw in raws:
                raw.send(struct.pack(">hhi", 18, 3, 1))
            self.stage.number("client_connections")
            grown = self.stage.rss_peak() - before
            self.assertLess(grown / count, 8 * KIB, f"{grown // KIB} KiB for {count} connections")
            print(f"\n    T08 {count} connections, {grown / count:.0f} bytes each", flush=True)
            self.stage.check_good_client(self)
        finally:
            for raw in raws:
                raw.close()
        wait_until(lambda: self.stage.number("client_connections") <= 3, 60, "all are gone")

    def test_t08_buffers_grow_with_data_only(self):
        count, sent = 100, 64 * KIB
        before = self.stage.rss()
        raws = [self.stage.raw() for _ in range(count)]
        for raw in raws:
            raw.send(struct.pack(">i", CAP) + struct.pack(">hhi", 18, 3, 1) + bytes(sent))
        wait_until(lambda: self.stage.rss_peak() - before > count * sent // 2, 10, "the data has come")
        self.stage.fresh_stats()
        self.assertLess(self.stage.rss_peak() - before, count * sent * 3)
        for raw in raws:
            raw.close()


def cpu_s(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Descriptors(StageTest):
    """T09 with few descriptors: clients beyond them are turned away, and nothing spins."""

    stage_options = {"descriptors": 120, "limits": {"login_timeout_ms": 60000}}

    def test_t09_no_descriptor_left(self):
        raws = [self.stage.raw() for _ in range(400)]
        turned_away = [raw for raw in raws if not raw.quiet(0) or not raw.quiet(0.05)]
        self.assertGreater(len(turned_away), 200, "most are turned away at once")
        self.assertLess(self.stage.descriptors_open(), 121)
        self.assertGreater(len(self.stage.told(self.mark)), 0)
        began, cpu = time.monotonic(), cpu_s(self.stage.process.pid)
        self.assertEqual(len(self.steady.metadata()[0]), 2, "who is in stays in")
        time.sleep(1)
        spent = (cpu_s(self.stage.process.pid) - cpu) / (time.monotonic() - began)
        self.assertLess(spent, 0.3, "no spinning on accept")
        for raw in raws:
            raw.close()
        wait_until(self._works, 20, "there is room again")
        self.assertGreater(self.stage.number("client_connections_total", outcome="accept_error"), 200)

    def _works(self) -> bool:
        try:
            with self.stage.client(timeout_s=2) as client:
                return len(client.metadata()[0]) == 2
        except (OSError, TimeoutError):
            return False


class DescriptorsOfWorkers(StageTest):
    """T09 with few descriptors and workers that take them from each other, the spare ones too."""

    stage_options = {"descriptors": 150, "limits": {"login_timeout_ms": 60000}, "workers": 4}

    def test_t09_no_descriptor_left(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            raws = list(pool.map(lambda _: self.stage.raw(), range(800)))
        for _ in range(3):
            began, cpu = time.monotonic(), cpu_s(self.stage.process.pid)
            time.sleep(1)
            spent = (cpu_s(self.stage.process.pid) - cpu) / (time.monotonic() - began)
        self.assertLess(spent, 0.3, "no spinning on accept")
        self.assertEqual(len(self.steady.metadata()[0]), 2, "who is in stays in")
        for raw in raws:
            raw.close()
        wait_until(lambda: self.stage.number("client_connections") == 1, 20, "room again")


class FloodTest(StageTest):
    """Who is counted is the steady client alone: visits that ended, like those that saw Setu start, may be told late."""

    def setUp(self):
        super().setUp()
        wait_until(lambda: self.stage.number("client_connections") == 1, 60, "only the steady client is there")


class Limits(FloodTest):
    """T09 by configuration."""

    stage_options = {"limits": {"connections": 50, "connections_per_address": 30, "login_timeout_ms": 60000}}

    def test_t09_connections_of_one_address(self):
        """The steady client is of the address that is flooded: from another there is room up to the overall limit."""
        raws = [self.stage.raw() for _ in range(60)]
        wait_until(lambda: sum(not raw.quiet(0) for raw in raws) >= 31, 10, "the rest is turned away")
        self.assertEqual(sum(raw.quiet(0) for raw in raws), 29, "30 with the steady one")
        others = []
        for _ in range(30):
            other = socket.socket()
            other.bind(("127.0.0.9", 0))
            other.connect(("127.0.0.1", self.stage.port))
            others.append(other)
        wait_until(lambda: self.stage.number("client_connections_total", outcome="refused_limit") >= 41, 10, "counted")
        self.assertEqual(self.stage.number("client_connections"), 50)
        for one in raws + others:
            one.close()
        wait_until(lambda: self.stage.number("client_connections") == 1, 10, "room again")


class LimitsOfWorkers(FloodTest):
    """The same with three workers: the kernel deals connections to them, the limit is one."""

    stage_options = {"limits": {"connections_per_address": 12, "login_timeout_ms": 60000}, "workers": 3}

    def test_t09_connections_of_one_address(self):
        raws = [self.stage.raw() for _ in range(40)]
        wait_until(lambda: sum(not raw.quiet(0) for raw in raws) >= 29, 10, "the rest is turned away")
        self.assertEqual(sum(raw.quiet(0) for raw in raws), 11, "12 with the steady one")
        for one in raws:
            one.close()
        wait_until(lambda: self.stage.number("client_connections") == 1, 10, "room again")


class Refused(StageTest):
    """T09 by those whose certificate TLS refuses: their penalty is as long as can be, and takes nobody's place."""

    stage_options = {"limits": {"connections": 10, "login_failure_delay_ms": 60000, "login_timeout_ms": 60000}}

    @classmethod
    def arrange(cls, stage: Stage) -> None:
        stage.config["listeners"][1]["tls"] |= {"client_auth": "required", "client_ca": stage.authority.certificate}

    def refused(self) -> int:
        return self.stage.closes(self.mark)["client_certificate_refused"]

    def shake(self, version: ssl.TLSVersion) -> ssl.SSLSocket | None:
        """A handshake without a certificate; with TLS 1.3 a client has done before it hears what the other end thinks."""
        context = self.stage.tls()
        context.maximum_version = version
        plain = socket.create_connection(("127.0.0.1", self.stage.tls_port), timeout=20)
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            return None

    def come_and_go(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            secure = self.shake(version)
            if secure:
                secure.close()

    def reload(self, login_timeout_ms: int) -> None:
        self.stage.config["limits"]["login_timeout_ms"] = login_timeout_ms
        private_file(self.stage.config_file, yaml(self.stage.config) + "\n")
        mark = self.stage.mark()
        self.stage.process.signal(signal.SIGHUP)
        wait_until(lambda: self.stage.events(mark, "reloaded"), 60, "the configuration is in use")

    def test_t09_who_has_gone_takes_no_place(self):
        """Many times as many as there are places, one after the other, each gone at once; then somebody good comes."""
        wait_until(lambda: self.come_and_go() or self.refused() >= 30, 30, "all of them are let in, and refused", 0.01)
        with self.stage.client(node=1) as client:
            client.metadata(["good"])
        told = self.stage.told(self.mark, "login_denied")
        self.assertGreaterEqual(len(told), 30, "each of them is a login that was denied")
        self.assertEqual({row["reason"] for row in told}, {"client_certificate_missing"})

    def test_t09_who_stays_is_held_no_longer_than_who_never_logs_in(self):
        self.reload(1000)

        def held() -> list[dict]:
            self.remark()
            with contextlib.closing(self.shake(ssl.TLSVersion.TLSv1_3)):
                wait_until(lambda: self.stage.closes(self.mark), 30, "its place is taken from it")
            return [row for row in self.stage.events(self.mark, "session_closed")
                    if row["reason"] == "client_certificate_refused"]
        # Where the handshake alone has taken so long, once more.
        row, = wait_until(held, 60, "a refused certificate")
        self.assertGreater(row["duration_ms"], 900, "that is what its penalty comes to")
        self.reload(60000)


class EveryByte(StageTest):
    """T15: the client's end (FIN) or reset behind every byte of every state, then the broker's. The leak checker has
    the last word when Setu ends."""

    stage_options = {"limits": {"login_timeout_ms": 20000}}

    def tearDown(self):
        super().tearDown()
        wait_until(lambda: self.stage.number("client_connections") <= 1, 20, "no session is left")

    def conversation(self):
        """Frames of a whole visit; each is a function of the answer to the one before."""
        scram = kafka.Scram("SCRAM-SHA-512", "orders", PASSWORDS["orders"])

        def token(payload):
            answer = kafka.Answer(payload[4:])
            answer.take("h"), answer.text()
            return answer.bytes()

        return [
            lambda _: kafka.request(18, 3, kafka.api_versions_body(3), 1),
            lambda _: kafka.request(17, 1, kafka.handshake_body("SCRAM-SHA-512"), 2),
            lambda _: kafka.request(36, 1, kafka.authenticate_body(scram.first()), 3),
            lambda last: kafka.request(36, 1, kafka.authenticate_body(scram.final(token(last))), 4),
            lambda _: kafka.request(3, 9, kafka.metadata_body(9, ["good"]), 5),
            lambda _: kafka.request(0, 7, kafka.produce_body(7, "good", {0: kafka.batch([b"x"])}), 6),
            lambda _: kafka.request(1, 11, kafka.fetch_body(11, "good", {0: 0}), 7),
            lambda _: kafka.request(18, 3, kafka.api_versions_body(3), 8),
        ]

    def visit(self, stop: int, reset: bool, tls: bool = False) -> bool:
        """Sends `stop` bytes and leaves; False when the conversation is not that long."""
        raw = self.stage.raw(self.stage.node_port(1, tls), tls=self.stage.tls() if tls else None)
        last, sent = b"", 0
        for step in self.conversation():
            data = step(last)
            if sent + len(data) >= stop:
                raw.send(data[:stop - sent])
                raw.reset() if reset else raw.close()
                return True
            raw.send(data)
            sent += len(data)
            last = raw.frame()
        raw.close()
        return False

    def test_t15_client_leaves_at_every_byte(self):
        for reset in (False, True):
            stop = 0
            while self.visit(stop, reset):
                stop += 1
            self.assertGreater(stop, 500)
        self.only_closed("client_reset")

    def test_t15_client_leaves_while_setu_works(self):
        """In the states that last: passwords are verified and keys computed off the loop, brokers are dialled."""
        for i in range(120):
            client = Client(self.stage.node_port(NODES[i % 2]))
            mechanism = "PLAIN" if i % 3 else "SCRAM-SHA-512"
            client.handshake(mechanism)
            token = b"\0orders\0" + PASSWORDS["orders"].encode()
            if mechanism != "PLAIN":
                scram = kafka.Scram(mechanism, "orders", PASSWORDS["orders"])
                token = scram.final(client.authenticate(scram.first()))
            client.ask(36, 1, kafka.authenticate_body(token))
            time.sleep(i % 40 / 1000)
            client.reset() if i % 5 < 2 else client.close()

    def test_t15_client_leaves_at_every_byte_over_tls(self):
        for stop in range(0, 700, 7):
            self.visit(stop, stop % 2 == 0, tls=True)

    def test_t15_client_leaves_within_the_tls_handshake(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.stage.tls().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        for stop in range(len(hello) + 1):
            raw = self.stage.raw(self.stage.tls_port).send(hello[:stop])
            if stop == len(hello):
                raw.take(5)
            raw.reset() if stop % 2 else raw.close()

    def _ends(self, api: str, action: str, key: int, version: int, body: bytes) -> None:
        """The broker ends at every byte of its answer; the client must hear of it, and never of half a rewrite."""
        broker = self.stage.brokers[1]
        with self.stage.client(1) as client:
            client.ask(key, version, body)
            length = len(client.frame()) + 4
        for at in range(0, length + 8):
            broker.clear()
            with self.stage.client(1) as client:
                client.metadata(["good"])  # Setu itself may ask before that: its question is not what is meant
                broker.fault(f"api={api},principal=orders,do={action}:{at}")
                client.ask(key, version, body)
                got = client.ended()
                self.assertLessEqual(len(got), length + 8)

    def test_t15_broker_ends_within_an_answer(self):
        self._ends("Metadata", "cut", 3, 9, kafka.metadata_body(9, ["good"]))
        self.only_closed("broker_closed")

    def test_t15_broker_resets_within_an_answer(self):
        self._ends("Produce", "rst", 0, 7, kafka.produce_body(7, "good", {0: kafka.batch([b"x"])}))
        self.only_closed("broker_reset")

    def test_t15_broker_ends_within_a_streamed_answer(self):
        self._ends("Fetch", "rst", 1, 11, kafka.fetch_body(11, "good", {0: 0}, bytes_max=1))
        self.only_closed("broker_reset")

    def test_t15_broker_ends_within_its_login(self):
        broker = self.stage.brokers[1]
        for action in ("cut", "rst"):
            for at in range(0, 180, 3):
                broker.clear()
                broker.fault(f"api=SaslAuthenticate,principal=orders,do={action}:{at}")
                client = Client(self.stage.node_port(1))
                try:
                    client.log_in("orders", PASSWORDS["orders"])
                    self.assertEqual(client.ended(), b"")
                except Closed:
                    pass
                finally:
                    client.close()


class EveryBytePassedThrough(EveryByte):
    """T15 where the client's own SASL exchange goes to the broker."""

    stage_options = {"legacy_login": "passthrough", "limits": {"login_timeout_ms": 20000}}


class Stopping(StageTest):
    """SIGTERM finds connections in every state; all of them are ended, counted and given back."""

    def test_stop_in_every_state(self):
        for workers in (1, 3):
            stage = Stage(self.stage.program, {0: ["--source", "flood:1000000"]},
                          {"login_failure_delay_ms": 5000, "drain_timeout_ms": 1500}, workers=workers)
            with contextlib.closing(stage), contextlib.ExitStack() as open_ones:
                stage.start()
                for _ in range(workers * 2):
                    self._fill(stage, open_ones)
                began = time.monotonic()
                wrong = stage.close()
                self.assertEqual(wrong, [])
                self.assertLess(time.monotonic() - began, 8)

    @staticmethod
    def _fill(stage: Stage, open_ones: contextlib.ExitStack) -> None:
        def keep(one):
            return open_ones.enter_context(one)

        keep(stage.raw())
        keep(stage.raw()).send(b"\0\0")
        keep(stage.raw()).send(kafka.request(18, 0)[:9])
        keep(stage.raw(stage.tls_port))
        keep(stage.raw(stage.tls_port)).send(b"\x16\x03\x01\x02\x00\x01")
        scram = kafka.Scram("SCRAM-SHA-512", "orders", "x")
        halfway = keep(Client(stage.port))
        halfway.handshake("SCRAM-SHA-512")
        halfway.authenticate(scram.first())
        denied = keep(Client(stage.port))
        denied.handshake("PLAIN")
        denied.ask(36, 1, kafka.authenticate_body(b"\0orders\0wrong"))
        idle = keep(stage.client(1, client_id="idle"))
        idle.metadata(["good"])
        polls = keep(stage.client(2))
        polls.ask(1, 11, kafka.fetch_body(11, "good", {1: polls.offset("good", 1)}, wait_ms=30000))
        full = keep(stage.client(1))
        for _ in range(20):
            full.ask(1, 11, kafka.fetch_body(11, "flood", {0: 0}))
        half = keep(stage.client(2))
        half.send(kafka.request(0, 7, kafka.produce_body(7, "good", {1: kafka.batch([b"x" * 1000])}))[:500])
        held = keep(stage.client(1))
        held.send(kafka.request(1, 11, kafka.fetch_body(11, "good", {0: 0}))[:30])
        stage.brokers[1].fault("api=accept,nth=1,do=stall")
        dials = keep(Client(stage.node_port(1)))
        dials.log_in("orders", PASSWORDS["orders"])
        verifies = keep(Client(stage.port))
        verifies.handshake("PLAIN")
        verifies.ask(36, 1, kafka.authenticate_body(b"\0orders\0" + PASSWORDS["orders"].encode()))
