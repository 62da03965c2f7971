# SPDX-License-Identifier: Apache-2.0
"""T72: two services on many connections, all of whose bytes say whose they are. Some read slowly, so that buffers fill,
are given back and used by others; many are cut off in the middle of a request, an answer or a login. Wherever a byte is
found afterwards, it belongs there."""

import collections
import concurrent.futures
import itertools
import os
import pathlib
import random
import re
import struct
import threading

from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import API_VERSIONS, FETCH, PRODUCE
from tests.integration.stage import NODES, PASSWORDS, StageTest
from tests.rig.process import wait_until

USERS, THREADS = ("orders", "payments"), 12
TOPICS = {user: f"only-{user}" for user in USERS}
SLOW_TOPICS = {user: f"slow-{user}" for user in USERS}
MARK = re.compile(rb"<(\w+)\.(\d+)\.(\d+)\.(\d+)>")


def payload(user: str, node: int, visit: int, number: int, size: int) -> bytes:
    """Nothing but its mark, again and again."""
    mark = f"<{user}.{node}.{visit}.{number}>".encode()
    return (mark * (size // len(mark) + 1))[:max(size, len(mark))]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), at


def value_of(batch: bytes) -> bytes:
    """The value of a batch's only record."""
    _, at = varint(batch, 61)
    at += 1  # attributes
    for _ in range(2):
        _, at = varint(batch, at)
    key, at = varint(batch, at)
    length, at = varint(batch, at + max(key, 0))
    return batch[at:at + length]


_judged: dict[bytes, tuple[str, int, int, int]] = {}  # batches that were looked at, offset and all


def judge(batch: bytes) -> tuple[str, int, int, int]:
    """Its mark. AssertionError where a byte is not what the mark says."""
    value = value_of(batch)
    mark = MARK.match(value)
    if not mark or not kafka.batches(batch)[0][2]:
        raise AssertionError(f"no mark, or a wrong checksum: {batch[:160]}")
    user, numbers = mark[1].decode(), [int(part) for part in mark.groups()[1:]]
    if value != payload(user, *numbers, len(value)):
        raise AssertionError(f"foreign bytes in {mark[0]}")
    return user, *numbers


def marked(records: bytes) -> list[tuple[int, tuple[str, int, int, int]]]:
    """(offset, mark) of every whole batch."""
    found, at = [], 0
    while at + 61 <= len(records):
        base, length = struct.unpack_from(">qi", records, at)
        batch = records[at:at + 12 + length]
        if len(batch) < 12 + length:
            break
        if batch not in _judged:
            _judged[batch] = judge(batch)
        found.append((base, _judged[batch]))
        at += 12 + length
    return found


class Visit:
    """One connection, with correlation ids of its own."""

    def __init__(self, crowd: "Crowd", number: int):
        self.crowd, self.number, self.dice = crowd, number, random.Random(crowd.seed * 100003 + number)
        self.user, self.node = self.dice.choice(USERS), self.dice.choice(NODES)
        self.tls, self.partition, self.records = self.dice.random() < 0.4, NODES.index(self.node), itertools.count()
        self.mechanism = self.dice.choice(("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"))

    def __str__(self) -> str:
        return f"visit {self.number} of {self.user} to {self.node} (seed {self.crowd.seed})"

    def connect(self) -> kafka.Client:
        stage = self.crowd.stage
        client = kafka.Client(stage.node_port(self.node, self.tls), client_id=f"{self.user}-{self.number}", timeout_s=90,
                              tls=stage.tls() if self.tls else None)
        client.correlation_id = self.number * 1000  # an answer to somebody else is noticed
        return client

    def log_in(self) -> kafka.Client:
        client = self.connect()
        client.log_in(self.user, PASSWORDS[self.user], self.mechanism)
        return client

    def run(self) -> None:
        kind = self.dice.choices(("writes", "reads_slowly", "cut_in_request", "cut_in_answer", "cut_in_login"),
                                 (40, 15, 20, 15, 10))[0]
        try:
            getattr(self, kind)()
        except BaseException as error:
            raise AssertionError(f"{self}, {kind}: {error!r}") from error
        with self.crowd.lock:
            self.crowd.kinds[kind] += 1

    def body(self) -> tuple[int, bytes]:
        number = next(self.records)
        size = self.dice.choice((30, 300, 3000, 12000, 30000))
        batch = kafka.batch([payload(self.user, self.node, self.number, number, size)])
        with self.crowd.lock:
            self.crowd.sent.add((self.user, self.node, self.number, number))
        return number, kafka.produce_body(7, TOPICS[self.user], {self.partition: batch}, acks=-1)

    def writes(self) -> None:
        """A few at a time, with answers of Setu's own in between; then all of it is read back."""
        with self.log_in() as client:
            asked = []
            for _ in range(self.dice.randrange(1, 5)):
                number, body = self.body()
                produce = client.ask(PRODUCE, 7, body)
                asked.append((number, produce, client.ask(API_VERSIONS, 3, kafka.api_versions_body(3))))
            for number, produce, versions in asked:
                error, offset = kafka.produced(client.answer(PRODUCE, 7, produce), 7)[self.partition]
                if error or client.answer(API_VERSIONS, 3, versions).take("h"):
                    raise AssertionError(f"error {error}")
                with self.crowd.lock:
                    self.crowd.acked[self.user, self.node, self.number, number] = offset
            for number, _, _ in asked:
                offset = self.crowd.acked[self.user, self.node, self.number, number]
                _, records = client.fetch(TOPICS[self.user], self.partition, offset, bytes_max=1)
                mine = offset, (self.user, self.node, self.number, number)
                self.crowd.check(self.user, self.node, marked(records)[:1], mine)

    def reads_slowly(self) -> None:
        """Asks for a lot and looks away, while others are served; nothing of it may have changed meanwhile."""
        with self.log_in() as client:
            body = kafka.fetch_body(11, TOPICS[self.user], {self.partition: 0}, bytes_max=1 << 21)
            asked = [client.ask(FETCH, 11, body) for _ in range(6)]
            self.crowd.pause.wait(self.dice.random())
            for correlation_id in asked:
                error, records = kafka.fetched(client.answer(FETCH, 11, correlation_id), 11)[0][self.partition]
                if error:
                    raise AssertionError(f"Fetch error {error}")
                self.crowd.check(self.user, self.node, marked(records))

    def cut_in_request(self) -> None:
        with self.log_in() as client:
            data = kafka.request(PRODUCE, 7, self.body()[1], 1)
            client.send(data[:self.dice.randrange(len(data) + 1)])
            client.reset() if self.dice.random() < 0.7 else client.close()

    def cut_in_answer(self) -> None:
        with self.log_in() as client:
            for _ in range(3):
                client.ask(FETCH, 11, kafka.fetch_body(11, TOPICS[self.user], {self.partition: 0}, bytes_max=1 << 20))
            client.take(self.dice.randrange(4, 50))
            client.reset()

    def cut_in_login(self) -> None:
        client = self.connect()
        client.handshake(self.mechanism)
        data = kafka.request(36, 1, kafka.authenticate_body(f"\0{self.user}\0{PASSWORDS[self.user]}".encode()), 2)
        client.send(data[:self.dice.randrange(len(data) + 1)])
        client.reset()


class Crowd:
    def __init__(self, stage, seed: int):
        self.stage, self.seed = stage, seed
        self.lock, self.pause = threading.Lock(), threading.Event()
        self.sent: set[tuple[str, int, int, int]] = set()
        self.acked: dict[tuple[str, int, int, int], int] = {}
        self.kinds = collections.Counter()
        self.read = 0

    def check(self, user: str, node: int, found: list, only: tuple | None = None) -> None:
        """What was read there is of that service and that node, and was sent."""
        if only and found != [only]:
            raise AssertionError(f"{found} instead of {only}")
        with self.lock:
            self.read += len(found)
            for offset, mark in found:
                if mark[:2] != (user, node) or mark not in self.sent:
                    raise AssertionError(f"{mark} at offset {offset} of {TOPICS[user]}, node {node}")

    def run(self, visits: int) -> None:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for done in concurrent.futures.as_completed([pool.submit(Visit(self, i + 1).run) for i in range(visits)]):
                done.result()

    def stored(self, user: str, node: int) -> dict[tuple, int]:
        """Mark → offset of all that lies at the node, by its own word."""
        found, offset = {}, 0
        with self.stage.broker_client(node, timeout_s=60) as client:
            end = client.offset(TOPICS[user], NODES.index(node))
            while offset < end:
                _, records = client.fetch(TOPICS[user], NODES.index(node), offset, bytes_max=1 << 20)
                rows = marked(records)
                self.check(user, node, rows)
                for at, mark in rows:
                    if found.setdefault(mark, at) != at:
                        raise AssertionError(f"{mark} lies there twice")
                offset = rows[-1][0] + 1
        return found


def unread(port: int) -> int:
    """Connections to that port of a broker of which Setu leaves bytes lying in the kernel."""
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and int(row[4].split(":")[1], 16) > 0 for row in rows)


class SlowReader:
    """Has asked for the same records often, and compares each byte that comes with what the broker itself says."""

    ASKED = 16

    def __init__(self, stage, number: int, user: str, node: int, tls: bool):
        self.name = f"{user} at node {node}{', TLS' if tls else ''}"
        self.client = stage.client(node, user, tls=tls, timeout_s=60, narrow=True)
        self.client.correlation_id = number * 1000
        self.wanted, self.at = b"", 0
        body = kafka.fetch_body(11, SLOW_TOPICS[user], {NODES.index(node): 0}, bytes_max=1 << 20)
        with stage.broker_client(node) as broker:
            broker.ask(FETCH, 11, body)
            answer = broker.frame()[4:]
        for _ in range(self.ASKED):
            self.wanted += kafka.frame(struct.pack(">i", self.client.ask(FETCH, 11, body)) + answer)

    def read(self, count: int) -> None:
        try:
            piece = self.client.socket.recv(min(count, self.left()))
        except OSError as error:
            raise AssertionError(f"{self.name}: {error} at byte {self.at}") from error
        wanted = self.wanted[self.at:self.at + len(piece)]
        if piece != wanted or not piece:
            first = next((i for i, pair in enumerate(zip(piece, wanted)) if pair[0] != pair[1]), 0)
            raise AssertionError(f"{self.name}: {piece[first:first + 60]} at byte {self.at + first}, "
                                 f"not {wanted[first:first + 60]}")
        self.at += len(piece)

    def left(self) -> int:
        return len(self.wanted) - self.at


class Isolation(StageTest):
    """Two workers, so that what one has given back another one's connection may get. SETU_ISOLATION_VISITS: longer."""

    VISITS = int(os.environ.get("SETU_ISOLATION_VISITS", "100"))
    stage_options = {"workers": 2, "limits": {"login_failure_delay_ms": 1},
                     "broker_options": {0: [part for topic in (*TOPICS.values(), *SLOW_TOPICS.values())
                                            for part in ("--topic", f"{topic}:2")]}}

    def test_t72_no_byte_crosses(self):
        seed = int(os.environ.get("SETU_ISOLATION_SEED") or int.from_bytes(os.urandom(3), "big"))
        crowd = Crowd(self.stage, seed)
        crowd.run(self.VISITS)
        wait_until(lambda: self.stage.number("client_connections") <= 1, 30, "all are gone")
        stored = {}
        for user, node in itertools.product(USERS, NODES):
            stored |= crowd.stored(user, node)
        self.assertEqual({mark: stored.get(mark) for mark in crowd.acked}, crowd.acked, f"seed {seed}")
        self.assertLessEqual(set(stored), crowd.sent)
        for direction in ("produce", "fetch"):
            self.assertEqual(self.stage.number("batch_crc_errors_total", direction=direction), 0)
        self.only_closed("client_reset", "login_denied")
        print(f"\n    T72 {self.VISITS} connections ({dict(crowd.kinds)}): {len(stored)} records stored, {crowd.read} read, "
              f"each looked at, seed {seed}", flush=True)


    def test_t72_what_waits_for_slow_readers_is_theirs(self):
        """T72: more readers with answers of their own than there are workers: what Setu holds back for one of them
        lies beside what it holds back for another. They read small pieces by turns."""
        seed = int(os.environ.get("SETU_ISOLATION_SEED") or int.from_bytes(os.urandom(3), "big"))
        dice = random.Random(seed)
        for user, node in itertools.product(USERS, NODES):
            with self.stage.broker_client(node) as broker:
                for number in range(4):
                    records = kafka.batch([payload(user, node, 0, number, 40000 + number)])
                    self.assertEqual(broker.produce(SLOW_TOPICS[user], NODES.index(node), records)[0], 0)
        who = [*itertools.product(USERS, NODES, (False,)), *zip(USERS, NODES, (True, True))]
        readers = [SlowReader(self.stage, i + 1, *what) for i, what in enumerate(who)]
        for node in NODES:
            wait_until(lambda: unread(self.stage.brokers[node].port) >= len(readers) // 2, 60, "Setu has to hold back")
        while left := [reader for reader in readers if reader.left()]:
            for reader in dice.sample(left, len(left)):
                reader.read(dice.choice((1, 1000, 20000, 60000)))
        for reader in readers:
            self.assertTrue(reader.client.quiet(0), f"{reader.name}: more than was asked for")
            reader.client.close()
        self.only_closed("client_closed", "client_reset")


class IsolationReleased(Isolation):
    """The release build, where memory that is given back is somebody else's at once, and is overwritten in between."""

    measures_memory = True
    VISITS = 2 * Isolation.VISITS
    stage_options = Isolation.stage_options | {"wrap": ["env", "MALLOC_PERTURB_=165", "MALLOC_ARENA_MAX=1"]}
