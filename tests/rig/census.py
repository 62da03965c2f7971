# SPDX-License-Identifier: Apache-2.0
"""Records that say what they are, what their writers were told of them, and the count of the ones against the other.

A record's value is `WRITER NUMBER TRANSACTION CHECKSUM FILLER`, its key the number. All of it follows from the first
three words, so that each record can be made once more and compared. RehearsalClient.java makes the same ones.

Writers and readers say one thing a line, in files of their own:

    acked NUMBER PARTITION OFFSET MS        the broker has it; offset -1: it had it before and no longer says where
    failed NUMBER TEXT                      the client gave up on it
    committed | aborted | rolled-back | unsure TRANSACTION FIRST END [TEXT]     with the numbers from FIRST to END - 1
    done SENT                               the writer's or reader's last line
    fatal TEXT                              the client cannot go on

    TOPIC PARTITION OFFSET DIGEST WRITER NUMBER TRANSACTION     a record read; DIGEST is the CRC-32 of key and value
"""

import collections
import dataclasses
import functools
import re
import zlib
from typing import Iterable, NamedTuple

IDEMPOTENT, TRANSACTIONAL, PLAIN = "idempotent", "transactional", "plain"
KINDS = (IDEMPOTENT, TRANSACTIONAL, PLAIN)
HEAD = re.compile(rb"([a-z0-9-]+) (\d{1,9}) (\d{1,9}) ")
TOLD_MAX = 20  # findings told in words, of each kind of finding


def _letters(count: int) -> bytes:
    state, made = 1, bytearray()
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        made.append(97 + (state >> 16) % 26)
    return bytes(made)


LETTERS = _letters(1024)


def key(number: int) -> bytes:
    return b"%d" % number


def value(writer: str, number: int, transaction: int) -> bytes:
    first = number * 31 % 512
    filler = LETTERS[first:first + 60 + number * 17 % 300]
    head = f"{writer} {number} {transaction} ".encode()
    return head + b"%08x " % zlib.crc32(filler, zlib.crc32(head)) + filler


def partition(number: int, transaction: int, partitions: int) -> int:
    """A transaction (they count from 1) goes to two partitions, other records to each in turn."""
    return (2 * transaction + number % 2 if transaction else number) % partitions


def digest(key_bytes: bytes | None, value_bytes: bytes | None) -> int:
    return zlib.crc32(value_bytes or b"", zlib.crc32(key_bytes or b""))


@functools.lru_cache(maxsize=1 << 20)
def digest_of(writer: str, number: int, transaction: int) -> int:
    """That of the record as it was written."""
    return digest(key(number), value(writer, number, transaction))


class Seen(NamedTuple):
    """A record as a reader got it. `writer` is "?" where the value does not begin as a value should."""
    topic: str
    partition: int
    offset: int
    digest: int
    writer: str
    number: int
    transaction: int

    @classmethod
    def of(cls, topic: str, partition: int, offset: int, key_bytes: bytes | None, value_bytes: bytes | None) -> "Seen":
        match = HEAD.match(value_bytes or b"")
        who = (match[1].decode(), int(match[2]), int(match[3])) if match else ("?", -1, -1)
        return cls(topic, partition, offset, digest(key_bytes, value_bytes), *who)

    @classmethod
    def parse(cls, line: str) -> "Seen":
        topic, partition, offset, crc, writer, number, transaction = line.split(" ")
        return cls(topic, int(partition), int(offset), int(crc), writer, int(number), int(transaction))

    def line(self) -> str:
        return " ".join(map(str, self))

    @property
    def place(self) -> str:
        return f"{self.topic}-{self.partition} at offset {self.offset}"


class Claims:
    """What one writer has said so far."""

    def __init__(self, writer: str, kind: str, topic: str):
        self.writer, self.kind, self.topic = writer, kind, topic
        self.acked: dict[int, tuple[int, int]] = {}
        self.failed: dict[int, str] = {}
        self.transactions: collections.Counter = collections.Counter()
        self.committed: set[int] = set()
        self.aborted: set[int] = set()
        self.unsure: list[range] = []
        self.fatal: list[str] = []
        self.sent: int | None = None
        self.last_ack_ms = 0
        self.longest_pause_ms = 0

    def take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "acked":
            number, partition, offset, ms = map(int, rest.split())
            self.acked[number] = (partition, offset)
            if self.last_ack_ms:
                self.longest_pause_ms = max(self.longest_pause_ms, ms - self.last_ack_ms)
            self.last_ack_ms = ms
        elif word == "failed":
            number, _, text = rest.partition(" ")
            self.failed[int(number)] = text
        elif word in ("committed", "aborted", "rolled-back", "unsure"):
            _, first, end = map(int, rest.split()[:3])
            self._transaction(word, range(first, end))
        elif word == "done":
            self.sent = int(rest)
        else:
            self.fatal.append(line.removeprefix("fatal "))

    def _transaction(self, end: str, numbers: range) -> None:
        self.transactions[end] += 1
        if end == "committed":
            self.committed.update(numbers)
        elif end == "unsure":
            self.unsure.append(numbers)
        else:
            self.aborted.update(numbers)

    @property
    def must(self) -> set[int]:
        """The numbers that have to be there."""
        return self.committed if self.kind == TRANSACTIONAL else set(self.acked)

    @property
    def doubtful(self) -> set[int]:
        """Sent, and nobody has said what became of them."""
        return set(range(self.sent or 0)) - self.must - self.aborted

    def errors(self) -> int:
        """Records that the application was told it could not write, beside those of transactions it ended itself."""
        return len([n for n in self.failed if n not in self.aborted])


@dataclasses.dataclass
class Count:
    """What a reading comes to. `findings` tells the first of each kind in words."""
    read: int = 0
    redelivered: int = 0       # the same record at the same offset once more: what a group does, no duplicate
    lost: int = 0              # acknowledged or committed, and not read
    duplicated: int = 0        # of idempotent and transactional writers, read at two offsets
    duplicated_plain: int = 0  # of writers without idempotence: Kafka may write a retry twice
    altered: int = 0           # not the bytes that were written
    reordered: int = 0         # of one writer in one partition, a lower number after a higher one
    reordered_plain: int = 0   # the same without idempotence: librdkafka may retry refused batches in another order
    misplaced: int = 0         # not at the partition and offset that the writer was told
    aborted_visible: int = 0   # of a transaction that was aborted, and read all the same
    torn: int = 0              # transactions of unknown fate of which a part was read
    unclaimed: int = 0         # well made, but nobody says to have written it
    in_doubt: int = 0          # sent, and the writer was never told what became of it
    findings: list = dataclasses.field(default_factory=list)

    FAULTS = ("lost", "duplicated", "altered", "reordered", "misplaced", "aborted_visible", "torn", "unclaimed")

    @property
    def clean(self) -> bool:
        return not any(getattr(self, name) for name in self.FAULTS)

    def find(self, what: str, text: str, count: int = 1) -> None:
        before = getattr(self, what)
        setattr(self, what, before + count)
        if before < TOLD_MAX:
            self.findings.append({"kind": what, "text": text})

    def report(self) -> dict:
        return dataclasses.asdict(self)


class Census:
    """Takes records in the order in which a reader got them; result() closes the count."""

    def __init__(self, claims: Iterable[Claims], uncommitted: bool = False):
        self.claims = {claim.writer: claim for claim in claims}
        self.uncommitted = uncommitted  # the reader wanted aborted records too
        self.count = Count()
        self.where: dict[str, dict[int, tuple[int, int]]] = {writer: {} for writer in self.claims}
        self._read: dict[tuple[str, int], dict[int, int]] = collections.defaultdict(dict)  # offset → digest
        self._last: dict[tuple[str, int], int] = {}
        self._astray: dict[tuple[str, int], str] = {}  # not yet found where the writer was told

    def take(self, seen: Seen) -> None:
        count, known = self.count, self._read[seen.topic, seen.partition]
        before = known.get(seen.offset)
        if before is not None:
            count.redelivered += 1
            if before != seen.digest:
                count.find("altered", f"{seen.place}: read twice, with different contents")
            return
        count.read += 1
        known[seen.offset] = seen.digest
        claim = self.claims.get(seen.writer)
        if seen.digest != digest_of(seen.writer, seen.number, seen.transaction):
            self._altered(seen)
        elif claim is None or claim.topic != seen.topic or seen.number >= (claim.sent or 0):
            count.find("unclaimed", f"{seen.place}: number {seen.number} of {seen.writer}, who did not send it")
        else:
            self._known(claim, seen)

    def _altered(self, seen: Seen) -> None:
        """Such a record is not lost: it counts for the one whose place it has."""
        self.count.find("altered", f"{seen.place}: not the bytes that were written (says: number {seen.number} of "
                                   f"{seen.writer})")
        if self.count.altered > TOLD_MAX:
            return
        for claim in self.claims.values():
            if claim.topic == seen.topic:
                for number, place in claim.acked.items():
                    if place == (seen.partition, seen.offset):
                        self.where[claim.writer].setdefault(number, place)

    def _known(self, claim: Claims, seen: Seen) -> None:
        count, mine = self.count, self.where[claim.writer]
        who = f"number {seen.number} of {claim.writer} ({claim.kind})"
        first = mine.get(seen.number)
        if first is not None:
            what = "duplicated_plain" if claim.kind == PLAIN else "duplicated"
            count.find(what, f"{seen.place}: {who}, read before at {seen.topic}-{first[0]} offset {first[1]}")
            if claim.acked.get(seen.number) == (seen.partition, seen.offset):
                self._astray.pop((seen.writer, seen.number), None)  # it was told of the second one
            return
        mine[seen.number] = (seen.partition, seen.offset)
        last = self._last.get((claim.writer, seen.partition), -1)
        if seen.number < last:
            what = "reordered_plain" if claim.kind == PLAIN else "reordered"
            count.find(what, f"{seen.place}: {who}, after number {last}")
        self._last[claim.writer, seen.partition] = max(last, seen.number)
        told = claim.acked.get(seen.number)
        if told and (told[0] != seen.partition or told[1] not in (-1, seen.offset)):
            self._astray[seen.writer, seen.number] = \
                f"{seen.place}: {who}, acknowledged as {seen.topic}-{told[0]} offset {told[1]}"
        if seen.number in claim.aborted and not self.uncommitted:
            count.find("aborted_visible", f"{seen.place}: {who}, of an aborted transaction")

    def result(self) -> Count:
        """Closes the count: what was not read by now is lost."""
        for text in self._astray.values():
            self.count.find("misplaced", text)
        for claim in self.claims.values():
            there = self.where[claim.writer]
            for number in sorted(claim.must - there.keys()):
                partition, offset = claim.acked.get(number, (-1, -1))
                self.count.find("lost", f"{claim.topic}-{partition} at offset {offset}: number {number} of "
                                        f"{claim.writer} ({claim.kind})")
            self.count.in_doubt += len(claim.doubtful)
            for numbers in claim.unsure:
                if 0 < sum(number in there for number in numbers) < len(numbers) and not self.uncommitted:
                    self.count.find("torn", f"only a part of numbers {numbers.start} to {numbers.stop - 1} of "
                                            f"{claim.writer}, one transaction")
        return self.count


def count(claims: Iterable[Claims], records: Iterable[Seen], uncommitted: bool = False) -> Count:
    census = Census(claims, uncommitted)
    for seen in records:
        census.take(seen)
    return census.result()
