# SPDX-License-Identifier: Apache-2.0
"""What the rehearsal's count finds: a lost, a duplicated, an altered and a reordered record, each as what it is."""

import pathlib
import struct
import subprocess
import tempfile
import unittest

from tests.rig import census, java_tools, paths, segment, verdict
from tests.rig.census import IDEMPOTENT, PLAIN, TRANSACTIONAL, Claims, Seen, count

TOPIC, PARTITIONS = "orders-t", 2


def seen(writer: str, number: int, offset: int, transaction: int = 0, change=lambda value: value) -> Seen:
    value = change(census.value(writer, number, transaction))
    return Seen.of(TOPIC, number % PARTITIONS, offset, census.key(number), value)


def written(kind: str = IDEMPOTENT, writer: str = "w", numbers: int = 20) -> tuple[Claims, list[Seen]]:
    """A writer to whom all was acknowledged, and its records as they should be read."""
    claims, records = Claims(writer, kind, TOPIC), []
    for number in range(numbers):
        offset = number // PARTITIONS
        claims.take(f"acked {number} {number % PARTITIONS} {offset} {1000 + number}")
        records.append(seen(writer, number, offset))
    claims.take(f"done {numbers}")
    return claims, records


class Counting(unittest.TestCase):
    def faults(self, claims: Claims, records: list[Seen], **expected) -> census.Count:
        """Exactly these faults are found."""
        found = count([claims], records)
        self.assertEqual({name: getattr(found, name) for name in census.Count.FAULTS if getattr(found, name)}, expected)
        return found

    def test_all_is_well(self):
        claims, records = written()
        found = self.faults(claims, records)
        self.assertTrue(found.clean)
        self.assertEqual((found.read, found.in_doubt, claims.longest_pause_ms), (20, 0, 1))

    def test_a_lost_record(self):
        claims, records = written()
        found = self.faults(claims, records[:7] + records[8:], lost=1)
        self.assertIn("number 7 of w", found.findings[0]["text"])

    def test_a_duplicated_record(self):
        claims, records = written()
        found = self.faults(claims, [*records, seen("w", 4, 10)], duplicated=1)
        self.assertIn("number 4 of w", found.findings[0]["text"])

    def test_a_duplicate_without_idempotence_is_counted_by_itself(self):
        claims, records = written(PLAIN)
        found = self.faults(claims, [*records, seen("w", 4, 10)])
        self.assertEqual((found.duplicated_plain, found.duplicated), (1, 0))

    def test_of_a_record_written_twice_the_second_may_be_the_acknowledged_one(self):
        claims, records = written(PLAIN)
        claims.take("acked 19 1 10 3000")
        self.assertEqual(self.faults(claims, [*records, seen("w", 19, 10)]).duplicated_plain, 1)
        claims.take("acked 19 1 11 3000")
        self.faults(claims, [*records, seen("w", 19, 10)], misplaced=1)

    def test_an_altered_record_is_not_lost_as_well(self):
        for change in (lambda v: v[:-1] + b"#", lambda v: b"", lambda v: b"\n" + v, lambda v: v[:-1],
                       lambda v: v + b"x", lambda v: v.replace(b" 4 ", b" 6 ", 1)):
            claims, records = written()
            records[4] = seen("w", 4, 2, change=change)
            self.faults(claims, records, altered=1)

    def test_an_altered_key(self):
        claims, records = written()
        records[4] = Seen.of(TOPIC, 0, 2, b"5", census.value("w", 4, 0))
        self.faults(claims, records, altered=1)

    def test_reordered_records(self):
        claims, records = written()
        for number in range(20):  # the broker no longer says where
            claims.take(f"acked {number} {number % PARTITIONS} -1 2000")
        records[4], records[6] = seen("w", 6, 2), seen("w", 4, 3)
        self.faults(claims, records, reordered=1)
        claims.kind = PLAIN
        self.assertEqual(self.faults(claims, records).reordered_plain, 1)

    def test_a_record_elsewhere_than_told(self):
        claims, records = written()
        records[19] = seen("w", 19, 10)
        self.faults(claims, records, misplaced=1)

    def test_a_record_that_nobody_sent(self):
        claims, records = written()
        self.faults(claims, [*records, seen("w", 20, 10)], unclaimed=1)
        self.faults(claims, [*records, seen("x", 1, 10)], unclaimed=1)

    def test_what_a_group_reads_again_is_no_duplicate(self):
        claims, records = written()
        self.assertEqual(self.faults(claims, records[:10] + records[5:]).redelivered, 5)

    def test_contents_that_differ_from_one_reading_to_the_next(self):
        claims, records = written()
        self.faults(claims, [*records, seen("w", 4, 2, change=lambda v: v + b"x")], altered=1)

    def test_no_answer_is_doubt_not_loss(self):
        claims, records = Claims("w", IDEMPOTENT, TOPIC), []
        claims.take("acked 0 0 0 1")
        claims.take("failed 1 timed out")
        claims.take("done 3")
        found = count([claims], [seen("w", 0, 0), seen("w", 2, 1)])
        self.assertTrue(found.clean)
        self.assertEqual((found.in_doubt, claims.errors()), (2, 1))


class Transactions(unittest.TestCase):
    def setUp(self):
        self.claims = Claims("t", TRANSACTIONAL, TOPIC)
        for line in ("committed 1 0 4", "aborted 2 4 8", "unsure 3 8 12 who knows", "done 12"):
            self.claims.take(line)
        self.committed = [seen("t", n, n // 2, 1) for n in range(4)]

    def test_committed_is_there_and_aborted_is_not(self):
        found = count([self.claims], self.committed)
        self.assertTrue(found.clean)
        self.assertEqual(found.in_doubt, 4)

    def test_a_committed_record_is_lost(self):
        self.assertEqual(count([self.claims], self.committed[1:]).lost, 1)

    def test_an_aborted_record_shows(self):
        shows = [*self.committed, seen("t", 5, 2, 2)]
        self.assertEqual(count([self.claims], shows).aborted_visible, 1)
        self.assertTrue(count([self.claims], shows, uncommitted=True).clean)

    def test_a_part_of_a_transaction_shows(self):
        self.assertEqual(count([self.claims], [*self.committed, seen("t", 8, 4, 3)]).torn, 1)
        whole = [*self.committed, *(seen("t", n, n // 2, 3) for n in range(8, 12))]
        self.assertTrue(count([self.claims], whole).clean)


def batch(base: int, values: list[bytes]) -> bytes:
    """A record batch as it stands in a log."""
    records = b""
    for i, value in enumerate(values):
        record = bytes((0, 0, 2 * i, 1)) + bytes((2 * len(value),)) + value + b"\0"
        records += bytes((2 * len(record),)) + record
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, 0, 0, 7, 0, base, len(values)) + records
    return struct.pack(">qiibI", base, 9 + len(tail), 0, 2, segment.crc32c(tail)) + tail


class Damage(unittest.TestCase):
    """What --lose, --duplicate and --alter do to a log: nothing else, and nothing that a checksum tells."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.file = pathlib.Path(directory.name) / "0.log"
        self.file.write_bytes(b"".join(batch(3 * i, [b"%d%c" % (i, 97 + j) for j in range(3)]) for i in range(5)))
        self.before = [b.data for b in segment.batches(self.file)]

    def after(self) -> list[bytes]:
        found = segment.batches(self.file)
        for one in found:
            crc = int.from_bytes(one.data[17:21], "big")
            self.assertEqual(segment.crc32c(one.data[21:]), crc)
        return [one.data for one in found]

    def test_crc32c(self):
        self.assertEqual(segment.crc32c(b"123456789"), 0xE3069283)

    def test_lose(self):
        gone = segment.lose(self.file)
        self.assertEqual((gone.base_offset, gone.records), (6, 3))
        self.assertEqual(self.after(), self.before[:2] + self.before[3:])

    def test_duplicate(self):
        twice = segment.duplicate(self.file)
        after = self.after()
        self.assertEqual(after[:5], self.before)
        self.assertEqual(segment.batches(self.file)[5].base_offset, 15)
        self.assertEqual(after[5][8:], twice.data[8:])

    def test_alter(self):
        segment.alter(self.file)
        after = self.after()
        self.assertEqual(after[:2] + after[3:], self.before[:2] + self.before[3:])
        self.assertIn(b"2c", self.before[2])
        self.assertIn(b"2d", after[2])


class Verdict(unittest.TestCase):
    def setUp(self):
        self.steps = [{"name": "one", "ok": True}]
        self.clients = [{"name": "c", "stayed_up": True, "errors": 0}]

    def reading(self, **faults) -> list[verdict.Reading]:
        return [verdict.Reading("direct", "", census.Count(**faults))]

    def problems(self, planted=None, **faults) -> list[str]:
        return verdict.problems(self.steps, self.reading(**faults), self.clients, planted)

    def test_it_holds(self):
        self.assertEqual(self.problems(duplicated_plain=3, redelivered=2), [])

    def test_every_fault_is_a_problem(self):
        for fault in census.Count.FAULTS:
            self.assertEqual(len(self.problems(**{fault: 1})), 1, fault)

    def test_a_client_or_a_step_that_fails_is_a_problem(self):
        self.clients[0]["stayed_up"] = False
        self.steps[0]["ok"] = False
        self.assertEqual(len(self.problems()), 2)
        self.clients[0] |= {"stayed_up": True, "errors": 1}
        self.assertEqual(len(self.problems()), 2)

    def test_planted_damage_must_be_found_as_what_it_is(self):
        planted = verdict.Planted("lose", TOPIC, 0, 6, 3)
        self.assertTrue(verdict.named(planted, self.reading(lost=3)))
        for faults in ({"lost": 2}, {"lost": 3, "altered": 1}, {"altered": 3}, {}):
            self.assertFalse(verdict.named(planted, self.reading(**faults)), faults)
        self.assertEqual(len(self.problems(planted)), 1)
        self.assertEqual(verdict.problems(self.steps, [], self.clients, planted), [])  # it never came to a reading


class LedgerVerdict(unittest.TestCase):
    planted = verdict.Planted("duplicate", TOPIC, 0, 6, 3)

    def ledger(self, *findings: dict, complete: bool = True) -> dict:
        rows = [{"topic": TOPIC, "partition": 0, "offset": 40, "other_offset": 6} | row for row in findings]
        return {"findings": rows, "complete": complete, "incomplete": {} if complete else {"gaps": 1}} | {
            word: sum(row["kind"] == word for row in rows) for word in verdict.WORDS}

    def test_clean(self):
        self.assertEqual(verdict.ledger_problems(self.ledger(), census.Count()), [])

    def test_what_one_sees_and_the_other_does_not(self):
        self.assertEqual(len(verdict.ledger_problems(self.ledger(), census.Count(lost=1))), 1)
        self.assertEqual(len(verdict.ledger_problems(self.ledger({"kind": "altered"}), census.Count())), 2)
        self.assertEqual(len(verdict.ledger_problems(self.ledger(complete=False), census.Count())), 1)

    def test_planted_damage_is_named(self):
        good = self.ledger({"kind": "duplicated"})
        self.assertTrue(verdict.named_by_ledger(self.planted, good))
        self.assertEqual(len(verdict.ledger_problems(good, census.Count(duplicated=3), self.planted)), 1)
        for bad in (self.ledger(), self.ledger({"kind": "altered"}),
                    self.ledger({"kind": "duplicated", "partition": 1}),
                    self.ledger({"kind": "duplicated", "other_offset": 7}),
                    self.ledger({"kind": "duplicated"}, {"kind": "lost"})):
            self.assertFalse(verdict.named_by_ledger(self.planted, bad), bad)


class BothLanguages(unittest.TestCase):
    def test_java_writes_the_same_records(self):
        done = subprocess.run(java_tools.command(paths.AJNA, "RehearsalClient", "--role", "sample", "--name", "w-1",
                                                 "--count", "400"), capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        values = done.stdout.split(b"\n")[:-1]
        self.assertEqual(values, [census.value("w-1", n, n // 7) for n in range(400)])


if __name__ == "__main__":
    unittest.main()
