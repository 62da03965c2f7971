# SPDX-License-Identifier: Apache-2.0
"""Writers that never send anything twice, so that whatever is there twice was made by somebody else.

Each writes records `<writer.connection.number>` to a partition of its own through Setu, always a few in flight, and comes
again under a new connection number when it was cut. Afterwards the brokers are asked, past Setu, what they have.
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


class Writer(threading.Thread):
    def __init__(self, load: "Load", name: str, node: int, user: str, tls: bool):
        super().__init__(daemon=True)
        self.load, self.name, self.node, self.user, self.tls = load, name, node, user, tls
        self.partition = NODES.index(node)
        self.acked: set[tuple[int, int]] = set()
        self.sent = collections.Counter()  # connection → records
        self.ends: list[str] = []
        self.denied = 0
        self.wrong: str | None = None

    def run(self) -> None:
        connection = 0
        while not self.load.ending.is_set():
            connection += 1
            try:
                self._visit(connection)
            except PermissionError:
                self.denied += 1
            except (OSError, EOFError) as error:
                self.ends.append(f"{type(error).__name__}: {error}")
            except Exception as error:  # whatever else it is, the test has to hear of it
                self.wrong = f"{self.name}, connection {connection}: {error!r}"
                return
            self.load.ending.wait(0.05)

    def _visit(self, connection: int) -> None:
        stage = self.load.stage
        with stage.client(self.node, self.user, tls=self.tls, timeout_s=self.load.patience_s) as client:
            waiting = collections.deque()
            while waiting or not self.load.ending.is_set():
                while len(waiting) < DEPTH and not self.load.ending.is_set():
                    number = self.sent[connection]
                    self.sent[connection] += 1  # before it leaves: it may arrive although we never know
                    value = f"<{self.name}.{connection}.{number}>".encode() + b"x" * (number % 200)
                    body = kafka.produce_body(7, TOPIC, {self.partition: kafka.batch([value])}, acks=-1)
                    waiting.append((number, client.ask(kafka.PRODUCE, 7, body)))
                number, correlation_id = waiting.popleft()
                answer = client.answer(kafka.PRODUCE, 7, correlation_id)
                error, _ = kafka.produced(answer, 7)[self.partition]
                if error:
                    raise AssertionError(f"Produce error {error}")
                self.acked.add((connection, number))
                time.sleep(self.load.pause_s)


class Load:
    """Two writers a node, one of them over TLS, until check()."""

    def __init__(self, case: unittest.TestCase, stage: Stage, user: str = "orders", patience_s: float = 120,
                 pause_s: float = 0.002):
        self.case, self.stage, self.patience_s, self.pause_s = case, stage, patience_s, pause_s
        self.ending = threading.Event()
        prefix = f"w{next(_loads)}"
        self.writers = [Writer(self, f"{prefix}{'ab'[tls]}{node}", node, user, bool(tls))
                        for node in NODES for tls in (0, 1)]
        case.addCleanup(self.ending.set)
        for writer in self.writers:
            writer.start()
        self.further("at the start")

    def further(self, what: str, records: int = 20, timeout_s: float = 60, writers=None) -> None:
        """Until so many more records of each writer are acknowledged."""
        chosen = self.writers if writers is None else writers
        began = {writer: len(writer.acked) for writer in chosen}

        def all_are():
            for writer in chosen:
                self.case.assertIsNone(writer.wrong)
            return all(len(writer.acked) >= began[writer] + records for writer in chosen)

        wait_until(all_are, timeout_s, f"all writers go on {what}", 0.02)

    def ends(self) -> list[str]:
        return [end for writer in self.writers for end in writer.ends]

    def finish(self) -> None:
        """No more records; waits until the fate of each is known."""
        self.ending.set()
        for writer in self.writers:
            writer.join(self.patience_s)
            self.case.assertFalse(writer.is_alive(), f"{writer.name} waits for answers")
            self.case.assertIsNone(writer.wrong)

    def check(self) -> str:
        """All that was acknowledged is there; nothing twice; of each connection a beginning, in its order."""
        self.finish()
        stored = collections.defaultdict(list)
        for node in NODES:
            for name, connection, number in read_past_setu(self.stage, node):
                stored[name, int(connection)].append(int(number))
        total = 0
        for writer in self.writers:
            for connection, sent in writer.sent.items():
                numbers = stored[writer.name.encode(), connection]
                self.case.assertEqual(numbers, list(range(len(numbers))),
                                      f"{writer.name}, connection {connection}: lost in between, doubled or out of order")
                self.case.assertLessEqual(len(numbers), sent)
                acked = {number for at, number in writer.acked if at == connection}
                self.case.assertLessEqual(acked, set(numbers), f"{writer.name}: acknowledged, but not there")
                total += len(numbers)
        acked = sum(len(writer.acked) for writer in self.writers)
        return f"{acked} acknowledged, {total} stored, {len(self.ends())} connections cut"


def read_past_setu(stage: Stage, node: int) -> list[tuple[bytes, bytes, bytes]]:
    """Every marked record of the node's partition, in order."""
    found, offset, partition = [], 0, NODES.index(node)
    with stage.broker_client(node) as client:
        end = client.offset(TOPIC, partition)
        while offset < end:
            error, records = client.fetch(TOPIC, partition, offset, bytes_max=1 << 20)
            if error or not records:
                raise AssertionError(f"Fetch from {offset}: error {error}, {len(records)} bytes")
            found += MARK.findall(records)
            offset += sum(count for _, count, _ in kafka.batches(records))
    return found
