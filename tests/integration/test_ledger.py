# SPDX-License-Identifier: Apache-2.0
"""What `setu ledger verify` makes of what passed: nothing where all is well, and each fault by its name."""

import json
import pathlib
import shutil
import struct
import subprocess
import time
import unittest

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.integration.stage import Stage, StageTest, broker_program, setu_program
from tests.integration.steady import Load

FLUSH_S = 0.5  # the writer looks at least every 100 ms
FINDINGS = ("lost", "duplicated", "altered", "reordered")


def batch(values: list[bytes], producer: tuple[int, int, int] = (-1, -1, -1)) -> bytes:
    """As kafka_client.batch, from a producer: (id, epoch, first sequence number)."""
    plain = bytearray(kafka.batch(values))
    struct.pack_into(">qhi", plain, 43, *producer)
    struct.pack_into(">I", plain, 17, kafka.crc32c(bytes(plain[21:])))
    return bytes(plain)


def verify(program: pathlib.Path, *files) -> tuple[int, dict]:
    """(exit status, what it said)."""
    done = subprocess.run([program, "ledger", "verify", "-o", "json", *files], capture_output=True, text=True,
                          timeout=60)
    if done.returncode not in (0, 1):
        raise AssertionError(f"setu ledger verify ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.returncode, json.loads(done.stdout)


class Faults(StageTest):
    """On scripted brokers, which keep no promise when told so."""

    @classmethod
    def setUpClass(cls):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                raise unittest.SkipTest(f"{needed} is not built")
        cls.stage = Stage(setu_program())
        cls.ledger = cls.stage.directory / "ledger"
        cls.ledger.mkdir()
        cls.stage.config["ledger"] = {"directory": cls.ledger, "rotate_bytes": 65536}
        cls.addClassCleanup(cls._close)
        cls.stage.start()

    def verify(self) -> tuple[int, dict]:
        time.sleep(FLUSH_S)
        return verify(self.stage.program, self.ledger)

    def show(self, topic: str) -> list[dict]:
        time.sleep(FLUSH_S)
        done = subprocess.run([self.stage.program, "ledger", "show", "-o", "json", self.ledger], capture_output=True,
                              text=True, timeout=60, check=True)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return [row for row in rows if row.get("topic") == topic]

    def findings(self, topic: str) -> list[tuple[str, int]]:
        """(kind, offset) of what is told of a topic."""
        _, told = self.verify()
        return [(row["kind"], row["offset"]) for row in told["findings"] if row["topic"] == topic]

    def write(self, client, topic: str, sequence: int, version: int = 7, acks: int = -1, count: int = 10) -> int:
        """Its offset."""
        records = batch([b"%d" % n for n in range(count)], (9001, 0, sequence))
        error, offset = client.produce(topic, 0, records, version, acks)
        self.assertEqual(error, 0)
        return offset

    def test_every_version_and_every_acks_is_accounted_for(self):
        with self.stage.client(1) as client:
            client.metadata(["acks"], version=10)  # tells the topic's id, by which later versions read
            offsets = [self.write(client, "acks", n * 10, version, acks)
                       for n, (version, acks) in enumerate((v, a) for v in (3, 5, 7, 8, 9, 10, 11) for a in (1, -1))]
            self.assertEqual(offsets, list(range(0, 140, 10)))
            client.ask(kafka.PRODUCE, 7, kafka.produce_body(7, "acks", {0: batch([b"no answer"], (9001, 0, 140))}, 0))
            two = batch([b"first"]) + batch([b"second", b"third"])
            self.assertEqual(client.produce("acks", 0, two, 7), (0, 141))
            for version in (4, 7, 11, 12, 13, 16):
                error, records = client.fetch("acks", 0, 0, version)
                self.assertEqual((error, len(kafka.batches(records))), (0, 17))
        self.assertEqual(self.findings("acks"), [])
        rows = self.show("acks")
        sent = [row for row in rows if row["kind"] == "acknowledged"]
        self.assertEqual([row["offset"] for row in sent], [*range(0, 140, 10), 141, 142])
        self.assertEqual([row["records"] for row in sent], [10] * 14 + [1, 2])
        self.assertEqual([row["kind"] for row in rows].count("in_doubt"), 1)
        self.assertEqual([row["kind"] for row in rows].count("fetched"), 6 * 17)
        told = self.verify()[1]
        self.assertLessEqual(set(told["incomplete"]), {"unread", "unread_partitions"}, "other tests do not read all")

    def test_each_fault_has_its_name(self):
        expected = []
        with self.stage.client(1) as client:
            for sequence in range(0, 50, 10):
                self.write(client, "crc", sequence)
            expected.append(("duplicated", self.write(client, "crc", 40)))  # this broker does not look
            self.write(client, "crc", 70)
            expected.append(("reordered", self.write(client, "crc", 60)))
            self.write(client, "crc", 80)
            self.stage.brokers[1].fault("api=Fetch,principal=orders,nth=1,do=corrupt:2")
            client.fetch("crc", 0, 0, 11, bytes_max=1)  # one batch, and its last bytes are not what they were
            expected.append(("altered", 0))
            client.fetch("crc", 0, 20, 11)  # and the batch at 10 never comes
            expected.append(("lost", 10))
        self.assertEqual(sorted(self.findings("crc")), sorted(expected))
        status, told = self.verify()
        self.assertEqual((status, told["verdict"]), (1, "findings"))
        for kind in FINDINGS:
            self.assertEqual(told[kind], 1, kind)
        lost = next(row for row in told["findings"] if row["kind"] == "lost")
        self.assertEqual((lost["cluster"], lost["partition"], lost["last_offset"], lost["producer_id"],
                          lost["sequence"]), ("main", 0, 19, 9001, 10))
        text = subprocess.run([self.stage.program, "ledger", "verify", self.ledger], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(text.returncode, 1)
        self.assertIn("lost: main/crc-0 offset 10..19 (10 records, producer 9001 epoch 0 sequence 10", text.stdout)

    def test_what_is_not_answered_is_in_doubt_until_it_is_found(self):
        with self.stage.client(1) as client:
            self.write(client, "place", 0)
        for sequence in (10, 20):
            self.stage.brokers[1].fault("api=Produce,principal=orders,nth=1,do=close")
            with self.stage.client(1) as client, self.assertRaises(kafka.Closed):
                self.write(client, "place", sequence)
            self.stage.brokers[1].clear()
        with self.stage.client(1) as client:
            error, records = client.fetch("place", 0, 0)
            self.assertEqual(error, 0)
        written = len(kafka.batches(records)) - 1
        self.assertEqual(self.findings("place"), [("in_doubt", -1)] * (2 - written))

    def test_a_name_that_nobody_has_leaves_no_trace(self):
        with self.stage.client(1) as client:
            error, _ = client.produce("not a topic", 0, batch([b"x"]))
            self.assertNotEqual(error, 0)
            error, _ = client.produce("slow", 1, batch([b"x"]))  # led by the other node
            self.assertEqual(error, 6)
        self.assertEqual(self.show("not a topic"), [])
        self.assertEqual([(row["kind"], row["error"]) for row in self.show("slow")], [("refused", 6)])

    def test_counters_tell_what_is_written(self):
        before = self.stage.number("ledger_records_total", kind="acknowledged")
        with self.stage.client(1) as client:
            for sequence in range(0, 1000, 10):
                self.write(client, "many", sequence)
        self.assertEqual(self.stage.number("ledger_records_total", kind="acknowledged"), before + 100)
        self.assertEqual(self.stage.number("ledger_lost_total"), 0)
        self.assertEqual(self.stage.number("ledger_healthy"), 1)

    def test_command_line_refuses_what_it_cannot_read(self):
        nothing = self.stage.directory / "nothing"
        nothing.mkdir(exist_ok=True)
        for operand in (nothing, nothing / "file", self.stage.config_file):
            done = subprocess.run([self.stage.program, "ledger", "verify", operand], capture_output=True, text=True,
                                  timeout=20)
            self.assertEqual((done.returncode, done.stdout), (2, ""), operand)
            self.assertIn(str(operand), done.stderr)


class Endings(unittest.TestCase):
    """How a ledger ends decides what can be said: the exit status, the word, and the reason."""

    longMessage = True

    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                raise unittest.SkipTest(f"{needed} is not built")
        self.stage = Stage(setu_program(), broker_options={0: ["--keep", "4096"]})
        self.ledger = self.stage.directory / "ledger"
        self.ledger.mkdir()
        self.addCleanup(lambda: self.assertEqual(self.stage.close(), []))

    def start(self, rotate_bytes: int) -> None:
        self.stage.config["ledger"] = {"directory": self.ledger, "rotate_bytes": rotate_bytes}
        self.stage.start()

    def write_and_read(self, batches: int) -> None:
        """All of it, to the end of the log."""
        with self.stage.client(1) as client:
            error, offset = client.produce("many", 0, batch([b"x"]) * batches)
            self.assertEqual(error, 0)
            past = offset + batches
            while offset < past:
                error, records = client.fetch("many", 0, offset)
                self.assertEqual(error, 0)
                offset = kafka.batches(records)[-1][0] + 1

    def check(self, folder: pathlib.Path, status: int, word: str, incomplete: dict) -> dict:
        found, told = verify(self.stage.program, folder)
        self.assertEqual((found, told["verdict"], told["incomplete"]), (status, word, incomplete))
        text = subprocess.run([self.stage.program, "ledger", "verify", folder], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual((text.returncode, text.stdout.splitlines()[-1]), (status, f"verdict: {word}"))
        self.assertEqual(text.stdout.count("INCOMPLETE: "), len(incomplete))
        return told

    def damaged(self, name: str, change) -> pathlib.Path:
        """A copy of the ledger after change(its files, oldest first)."""
        copy = self.stage.directory / name
        shutil.copytree(self.ledger, copy)
        change(sorted(copy.glob("*.ledger"), key=lambda file: int(file.stem.rpartition("-")[2])))
        return copy

    def test_only_a_ledger_that_is_whole_is_clean(self):
        self.start(65536)
        self.write_and_read(2500)
        self.write_and_read(2500)  # a file may become a block of 64 KiB longer than it should
        time.sleep(FLUSH_S)
        told = self.check(self.ledger, 0, "clean", {})
        self.assertEqual([row["in_use"] for row in told["files"]].count(True), 1, "the last one is being written")
        self.assertGreaterEqual(len(told["files"]), 3)
        self.stage.kill_and_restart()
        self.check(self.ledger, 1, "incomplete", {"killed_writers": 1})

    def test_each_damage_has_its_reason(self):
        self.start(65536)
        self.write_and_read(2500)
        self.write_and_read(2500)
        self.assertEqual(self.stage.process.stop(30), 0)
        self.stage.process = None
        self.assertEqual({row["ending"] for row in self.check(self.ledger, 0, "clean", {})["files"]}, {"ended"})
        cut = self.damaged("cut", lambda files: files[-1].write_bytes(files[-1].read_bytes()[:-5]))
        self.check(cut, 1, "incomplete", {"killed_writers": 1})
        followed = self.damaged("followed", lambda files: files[-1].unlink())
        status, told = verify(self.stage.program, followed)
        self.assertEqual((status, told["incomplete"]["missing_files"]), (1, 1))
        hole = self.damaged("hole", lambda files: files[1].unlink())
        status, told = verify(self.stage.program, hole)
        self.assertEqual((status, told["incomplete"]["missing_files"]), (1, 1))

        def flip(files):
            whole = bytearray(files[0].read_bytes())
            whole[300] ^= 1
            files[0].write_bytes(whole)

        status, told = verify(self.stage.program, self.damaged("flipped", flip))
        self.assertEqual((status, told["incomplete"]["damaged_files"]), (1, 1))

    def test_a_flood_of_names_made_up_leaves_room_for_others(self):
        self.start(1 << 20)
        tiny, flood = batch([b"x"]), 140000
        for first in range(0, flood, 10000):  # more than a worker's table holds
            partitions = dict.fromkeys(range(first, first + 10000), tiny)
            with self.stage.client(1) as client:
                client.ask(kafka.PRODUCE, 7, kafka.produce_body(7, "nobody has it", partitions, 0))
                client.ended(30)  # as brokers do where no answer is wanted
        self.write_and_read(100)
        self.stage.fresh_stats()
        self.assertEqual(self.stage.number("ledger_records_total", kind="in_doubt"), flood)
        self.assertEqual(self.stage.number("ledger_lost_total"), 0)
        status, told = verify(self.stage.program, self.ledger)
        self.assertEqual((status, told["incomplete"]), (0, {}))
        self.assertEqual((told["in_doubt"], told["batches"]["acknowledged"]), (flood, 100))


class Brokers(RigTest):
    """On real brokers of both generations."""

    def start(self):
        setu = self.setu(start=False)
        self.ledger = setu.directory / "ledger"
        self.ledger.mkdir()
        setu.config["ledger"] = {"directory": self.ledger}
        setu.write()
        return own_setu.start(self, setu, ends_by_itself=True)

    def check(self, setu, acknowledged_min: int, killed: int = 0) -> dict:
        status = setu.process.stop(40)
        self.assertEqual(status, 0)
        status, told = verify(setu.binary, self.ledger)
        text = json.dumps({key: value for key, value in told.items() if key != "files"})[:3000]
        self.assertEqual([told[kind] for kind in FINDINGS], [0] * len(FINDINGS), text)
        self.assertEqual((status, told["verdict"]), (1, "incomplete") if killed else (0, "clean"), text)
        self.assertEqual(told["incomplete"], {"killed_writers": killed} if killed else {}, text)
        self.assertEqual((told["not_read"], told["not_yet_read"]), (0, 0), text)
        self.assertGreaterEqual(told["records"]["acknowledged"], acknowledged_min, text)
        print(f"    {told['batches']}, explained {told['explained']}, resolved {told['resolved']}, in doubt "
              f"{told['in_doubt']}", flush=True)
        return told

    def test_setu_is_killed_twice_under_load_and_nothing_is_missing(self):
        setu, leaders = self.start(), [1, 2, 3, 1, 2, 3]
        load = Load(self, setu, len(leaders), self.topic(leaders=leaders), paths.AJNA)
        for life in (2, 3):
            setu.process.kill()
            setu.start()
            load.wait_further(f"with Setu's process {life}")
        load.check()
        told = self.check(setu, 1000, killed=2)
        self.assertEqual(sorted(row["ending"] for row in told["files"]).count("ended"), 1, "two were killed")
        self.assertEqual(len(told["files"]), 3)

    def test_what_brokers_change_is_explained(self):
        setu = self.start()
        login, values = setu.login("orders"), [f"value-{n}" for n in range(500)]
        for options, arguments in (({"message_timestamp_type": "LogAppendTime"}, ("-z", "lz4")),
                                   ({"compression_type": "gzip"}, ("-z", "none")), ({}, ("-z", "snappy")),
                                   ({"message_format_version": "0.10.2"}, ("-z", "none")),
                                   ({"message_format_version": "0.10.2"}, ("-z", "gzip"))):
            topic = self.topic(**options)
            self.kcat_write(login, topic, values, *arguments)
            self.assertEqual(len(self.kcat_read(login, topic)), len(values))
        told = self.check(setu, 5 * len(values))
        for why in ("same", "log_append_time", "recompressed", "converted"):
            self.assertGreater(told["explained"][why], 0, why)
