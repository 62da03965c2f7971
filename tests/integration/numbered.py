# SPDX-License-Identifier: Apache-2.0
"""Writers that never send anything twice, so that whatever is there twice was made by somebody else, and readers that want
all of it.

Each writer writes records `<writer.connection.number>` to a partition of its own through Setu, always a few in flight, and
comes again under a new connection number when it was cut. Readers follow each node's partition through Setu meanwhile.
Afterwards the brokers are asked, past Setu, what they have.
"""

import collections
import itertools
import re
import threading
import time
import unittest

from tests.integration import kafka_client as kafka
from tests.integration.stage import NODES, PASSWORDS, Stage
from tests.rig.process import wait_until

TOPIC, DEPTH = "good", 8
MARK = re.compile(rb"<([\w]+)\.(\d+)\.(\d+)>")
_loads = itertools.count(1)


class Visitor(threading.Thread):
    """Comes again whenever it was cut, until the load ends."""

    def __init__(self, load: "Load", name: str, node: int, user: str, tls: bool):
        super().__init__(daemon=True)
        self.load, self.name, self.node, self.user, self.tls = load, name, node, user, tls
        self.partition = NODES.index(node)
        self.ends: list[str] = []
        self.denied = 0
        self.wrong: str | None = None

    def goes_on(self) -> bool:
        return not self.load.ending.is_set()

    def run(self) -> None:
        connection = 0
        while self.goes_on():
            connection += 1
            try:
                with self.load.client(self) as client:
                    self.visit(client, connection)
            except PermissionError:
                self.denied += 1
            except (OSError, EOFError) as error:
                self.ends.append(f"{self.name}: {type(error).__name__}: {error}")
            except Exception as error:  # whatever else it is, the test has to hear of it
                self.wrong = f"{self.name}, connection {connection}: {error!r}"
                return
            if self.load.ending.wait(0.05):
                time.sleep(0.05)  # a reader that has not got everything yet


class Writer(Visitor):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.acked: dict[tuple[int, int], int] = {}  # connection, number → the offset that was told
        self.sent = collections.Counter()  # connection → records

    def visit(self, client: kafka.Client, connection: int) -> None:
        waiting = collections.deque()
        while waiting or self.goes_on():
            while len(waiting) < DEPTH and self.goes_on():
                number = self.sent[connection]
                self.sent[connection] += 1  # before it leaves: it may arrive although we never know
                value = f"<{self.name}.{connection}.{number}>".encode() + b"x" * (number % 200)
                body = kafka.produce_body(7, TOPIC, {self.partition: kafka.batch([value])}, acks=-1)
                waiting.append((number, client.ask(kafka.PRODUCE, 7, body)))
            number, correlation_id = waiting.popleft()
            answer = client.answer(kafka.PRODUCE, 7, correlation_id)
            error, offset = kafka.produced(answer, 7)[self.partition]
            if error:
                raise AssertionError(f"Produce error {error}")
            self.acked[connection, number] = offset
            time.sleep(self.load.pause_s)


class Reader(Visitor):
    """Everything in the partition, from its beginning: (offset, mark) of each record. Its end is told by `until`."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.found: list[tuple[int, tuple[bytes, bytes, bytes]]] = []
        self.offset, self.until = 0, None

    def goes_on(self) -> bool:
        return self.until is None or self.offset < self.until

    def visit(self, client: kafka.Client, _connection: int) -> None:
        while self.goes_on():
            error, records = client.fetch(TOPIC, self.partition, self.offset, wait_ms=100, bytes_max=1 << 18)
            if error:
                raise AssertionError(f"Fetch error {error}")
            rows, self.offset = marked(records, self.offset)
            self.found += rows
            time.sleep(self.load.pause_s)


class Load:
    """Two writers a node, one of them over TLS, and a reader, until check(). `client_class` makes their connections."""

    def __init__(self, case: unittest.TestCase, stage: Stage, user: str = "orders", patience_s: float = 120,
                 pause_s: float = 0.002, client_class=kafka.Client, first: int = 20):
        self.case, self.stage, self.patience_s, self.pause_s = case, stage, patience_s, pause_s
        self.client_class = client_class
        self.ending = threading.Event()
        prefix = f"w{next(_loads)}"
        self.writers = [Writer(self, f"{prefix}{'ab'[tls]}{node}", node, user, bool(tls))
                        for node in NODES for tls in (0, 1)]
        self.readers = [Reader(self, f"{prefix}r{node}", node, user, node == NODES[0]) for node in NODES]
        case.addCleanup(self._give_up)
        for visitor in (*self.writers, *self.readers):
            visitor.start()
        self.further("at the start", first)

    def _give_up(self) -> None:
        self.ending.set()
        for reader in self.readers:
            reader.until = -1 if reader.until is None else reader.until

    def client(self, visitor: Visitor) -> kafka.Client:
        stage = self.stage
        return self.client_class(stage.node_port(visitor.node, visitor.tls), visitor.user, PASSWORDS[visitor.user],
                                 timeout_s=self.patience_s, tls=stage.tls() if visitor.tls else None, host=stage.host)

    def _all_well(self) -> None:
        for visitor in (*self.writers, *self.readers):
            self.case.assertIsNone(visitor.wrong)

    def further(self, what: str, records: int = 20, timeout_s: float = 60, writers=None) -> None:
        """Until so many more records of each writer are acknowledged."""
        chosen = self.writers if writers is None else writers
        began = {writer: len(writer.acked) for writer in chosen}

        def all_are():
            self._all_well()
            return all(len(writer.acked) >= began[writer] + records for writer in chosen)

        wait_until(all_are, timeout_s, f"all writers go on {what}", 0.02)

    def ends(self) -> list[str]:
        return [end for visitor in (*self.writers, *self.readers) for end in visitor.ends]

    def finish(self) -> None:
        """No more records; waits until the fate of each is known."""
        self.ending.set()
        for writer in self.writers:
            writer.join(self.patience_s)
            self.case.assertFalse(writer.is_alive(), f"{writer.name} waits for answers")
            self.case.assertIsNone(writer.wrong)

    def _read(self, node: int, reader: Reader, until: int) -> list[tuple[int, tuple[bytes, bytes, bytes]]]:
        """What came to the reader through Setu, when it has come to the end."""
        reader.until = until
        reader.join(self.patience_s)
        self.case.assertFalse(reader.is_alive(), f"{reader.name} still reads at {reader.offset} of {until}")
        self.case.assertIsNone(reader.wrong)
        return [row for row in reader.found if row[0] < until]

    def check(self) -> str:
        """All that was acknowledged is there, at the offset told, and was read; nothing twice; of each connection a
        beginning, in its order. So no byte has come to another connection's end either: whoever got another's answer
        was told another's offset."""
        self.finish()
        stored, read = collections.defaultdict(list), 0
        for node, reader in zip(NODES, self.readers):
            there, end = read_past_setu(self.stage, node)
            self.case.assertEqual(self._read(node, reader, end), there, f"{reader.name}: read through Setu and past it")
            read += len(there)
            for offset, (name, connection, number) in there:
                stored[name, int(connection)].append((int(number), offset))
        total = 0
        for writer in self.writers:
            for connection, sent in writer.sent.items():
                rows = stored[writer.name.encode(), connection]
                self.case.assertEqual([number for number, _ in rows], list(range(len(rows))),
                                      f"{writer.name}, connection {connection}: lost in between, doubled or out of order")
                self.case.assertLessEqual(len(rows), sent)
                acked = {(number, offset) for (at, number), offset in writer.acked.items() if at == connection}
                self.case.assertLessEqual(acked, set(rows), f"{writer.name}: acknowledged, but not there")
                total += len(rows)
        acked = sum(len(writer.acked) for writer in self.writers)
        return f"{acked} acknowledged, {total} stored, {read} read, {len(self.ends())} connections cut"


def marked(records: bytes, offset: int) -> tuple[list[tuple[int, tuple[bytes, bytes, bytes]]], int]:
    """(offset, mark) of each marked record, one a batch, from `offset` on, and where to read on. AssertionError when a
    checksum does not hold or something is missing."""
    found, at = [], 0
    for base, count, good in kafka.batches(records):
        length = 12 + int.from_bytes(records[at + 8:at + 12], "big")
        if not good or base != offset:
            raise AssertionError(f"batch at {base}, not {offset}; its checksum {'holds' if good else 'does not hold'}")
        found += [(base, mark) for mark in MARK.findall(records, at, at + length)]
        offset, at = base + count, at + length
    return found, offset


def read_past_setu(stage: Stage, node: int) -> tuple[list[tuple[int, tuple[bytes, bytes, bytes]]], int]:
    """Every marked record of the node's partition and its offset, in order, and the end."""
    found, offset, partition = [], 0, NODES.index(node)
    with stage.broker_client(node) as client:
        end = client.offset(TOPIC, partition)
        while offset < end:
            error, records = client.fetch(TOPIC, partition, offset, bytes_max=1 << 20)
            if error or not records:
                raise AssertionError(f"Fetch from {offset}: error {error}, {len(records)} bytes")
            rows, offset = marked(records, offset)
            found += [row for row in rows if row[0] < end]
    return found, end
