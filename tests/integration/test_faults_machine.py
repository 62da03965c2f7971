# SPDX-License-Identifier: Apache-2.0
"""The fault list, under load: the machine that Setu runs on. Its disk, its descriptors, its clock, its name service, and
what its certificates' time does to them."""

import datetime
import json
import pathlib
import subprocess
import tempfile
import time
import unittest

from tests.integration import kafka_client, shim
from tests.integration.faults import Faults, either
from tests.integration.life import audit_codes
from tests.integration.numbered import Load
from tests.integration.private_network import PrivateNetwork
from tests.integration.stage import NODES, Stage
from tests.integration.test_ledger import verify
from tests.rig.process import wait_until


class Disk(Faults):
    """Audit log and ledger are on a file system that is full for a while."""

    TINY = kafka_client.batch([b"x"])

    def small(self, stage: Stage, size: str) -> pathlib.Path:
        where = stage.directory / "small"
        where.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", where],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"NO MOUNT, a full disk is not tested: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", where], capture_output=True)
        self.where, self.filler = where, where / "filler"
        return where

    def fill(self) -> None:
        with open(self.filler, "ab", buffering=0) as filler:
            for piece in (65536, 512):
                try:
                    while True:
                        filler.write(bytes(piece))
                except OSError:
                    pass

    @staticmethod
    def said(stage: Stage, metric: str) -> int:
        """A second old at most."""
        return int(sum(n for _, n in stage.stats()[metric]))

    def test_the_audit_log_finds_no_room(self):
        """T80: on_failure: deny. Nobody comes in unseen."""
        stage = self.stage(lambda s: s.config["audit"].update(file=self.small(s, "256k") / "audit.log"))
        load = Load(self, stage)
        for _ in range(either(1, 20)):
            self.fill()
            wait_until(lambda: not self.enters(stage), 20, "nobody comes in unseen")
            load.further("while nobody may come in")
            self.filler.unlink()
            wait_until(lambda: self.enters(stage), 20, "who comes is let in again")
        text = load.check()
        self.assertEqual(load.ends(), [], "who was in stayed in")
        self.assertIn("audit_unavailable", stage.told_closes())
        codes = audit_codes(self.where / "audit.log")
        self.tell(f"{text}; {len(codes)} audit records in one chain")

    def hanging(self, stage: Stage) -> None:
        self.sync = shim.Sync(stage.directory / "sync")
        stage.wrap = self.sync.before()
        stage.config["audit"]["unsynced_max_ms"] = 2000

    def test_the_audit_log_waits_for_a_disk_that_hangs(self):
        """T80: nothing fails, so nothing is told. Nobody comes in all the same, and no record is missing."""
        if not shim.library().is_file():
            self.skipTest(f"{shim.library()} is not built")
        stage = self.stage(self.hanging)
        load = Load(self, stage)
        for _ in range(either(1, 20)):
            self.sync.hang(True)
            wait_until(lambda: not self.enters(stage), 60, "nobody comes in")
            load.further("while the disk hangs")
            self.sync.hang(False)
            wait_until(lambda: self.enters(stage), 60, "who comes is let in again")
        text = load.check()
        self.assertEqual(load.ends(), [], "who was in stayed in")
        self.assertIn("audit_unavailable", stage.told_closes())
        self.assertLessEqual({"audit_write_hangs", "audit_write_recovered"}, {row["event"] for row in stage.told()})
        counted = stage.fresh_stats()
        self.assertEqual(counted["audit_write_failures_total"], [({}, 0)])
        let_in = int(dict((row["result"], n) for row, n in counted["auth_attempts_total"])["ok"])
        self.assertGreater(let_in, 0)
        log = stage.directory / "audit.log"
        codes = audit_codes(log, lambda codes: codes.count("SETU2000I") >= let_in)
        self.assertEqual(codes.count("SETU2000I"), let_in, "every login is on record")
        self.tell(f"{text}; {let_in} logins, each on record")

    def both(self, stage: Stage) -> None:
        where = self.small(stage, "4m")
        (where / "ledger").mkdir()
        stage.config["audit"] = {"file": where / "audit.log", "on_failure": "continue"}
        stage.config["ledger"] = {"directory": where / "ledger", "rotate_bytes": 65536}

    def overflow(self, stage: Stage) -> None:
        """More batches than wait in memory, for a partition that nobody counts."""
        with stage.client(1, timeout_s=60) as client:
            client.metadata(["many"])
            for _ in range(4):
                self.assertEqual(client.produce("many", 0, self.TINY * 12000, acks=-1)[0], 0)

    def test_the_audit_log_and_the_ledger_find_no_room(self):
        """T80: on_failure: continue. All goes on; what a short while brings is written when there is room, what is too
        much is counted, and said so."""
        stage = self.stage(self.both)
        ledger, load = self.where / "ledger", Load(self, stage)
        for _ in range(either(1, 10)):
            self.fill()
            wait_until(lambda: self.said(stage, "ledger_healthy") == 0, 20, "the ledger notices")
            wait_until(lambda: self.enters(stage) and self.said(stage, "audit_write_failures_total") > 0, 20,
                       "the audit log notices, and people come in")
            load.further("while nothing can be written")
            self.filler.unlink()
            wait_until(lambda: self.said(stage, "ledger_healthy") == 1, 20, "the ledger writes again")
        self.assertEqual(stage.number("ledger_lost_total"), 0)
        self.fill()
        wait_until(lambda: self.said(stage, "ledger_healthy") == 0, 20, "the ledger notices again")
        self.overflow(stage)
        load.further("while records are lost to the ledger")
        wait_until(lambda: self.said(stage, "ledger_lost_total") > 0, 20, "some are lost")
        self.filler.unlink()
        wait_until(lambda: self.said(stage, "ledger_healthy") == 1, 20, "the ledger writes again")
        load.further("with a ledger again")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.assertTrue(self.enters(stage))
        time.sleep(0.5)  # the writer looks at least every 100 ms
        codes = audit_codes(self.where / "audit.log")
        _, told = verify(stage.program, ledger)
        self.assertEqual([told[kind] for kind in ("lost", "duplicated", "altered", "reordered")], [0] * 4,
                         json.dumps(told)[:2000])
        self.assertEqual(told["verdict"], "incomplete")
        missed = sum(n for row in told["gaps"] for kind, n in row.items() if kind not in ("from", "to"))
        lost = stage.number("ledger_lost_total")
        self.assertEqual(missed, lost, json.dumps(told["gaps"]))
        self.tell(f"{text}; {len(codes)} audit records in one chain; the ledger lost {lost} records and says so")

    def test_a_stop_while_nothing_can_be_written(self):
        """T80: It does not wait for ever, and what could not be written is missed afterwards."""
        stage = self.stage(self.both)
        load = Load(self, stage)
        self.fill()
        wait_until(lambda: self.said(stage, "ledger_healthy") == 0, 20, "the ledger notices")
        # A few records still fit into the audit log's last page.
        wait_until(lambda: self.enters(stage) and self.said(stage, "audit_write_failures_total") > 0, 20,
                   "the audit log notices, and people come in")
        load.further("while nothing can be written")
        load.finish()
        began = time.monotonic()
        self.assertEqual(stage.process.stop(30), 0)
        took_s = time.monotonic() - began
        names = {row["event"] for row in stage.events()}
        self.assertLess(took_s, 20)
        self.assertLessEqual({"ledger_lost_at_close", "audit_lost_at_close"}, names)
        self.filler.unlink()
        status, told = verify(stage.program, self.where / "ledger")
        self.assertEqual((status, told["verdict"]), (1, "incomplete"), json.dumps(told)[:2000])
        stage.start_again()
        text = load.check()
        codes = audit_codes(self.where / "audit.log", lambda codes: codes.count("SETU1000I") == 2)
        self.assertEqual(codes.count("SETU1000I"), 2, "the chain goes on")
        self.tell(f"stopped after {took_s:.1f} s; {text}")


class Descriptors(Faults):
    def test_no_descriptor_is_left(self):
        """Who is in stays in; there is room again when those who took it have gone."""
        stage = self.stage(descriptors=120, limits={"login_timeout_ms": 60000})
        load = Load(self, stage)
        for _ in range(either(2, 30)):
            raws = [stage.raw() for _ in range(300)]
            load.further("without descriptors")
            self.assertLess(stage.descriptors_open(), 121)
            for raw in raws:
                raw.close()
            wait_until(lambda: self.enters(stage), 20, "there is room again")
        text = load.check()
        self.assertEqual(load.ends(), [], "who was in stayed in")
        self.assertGreater(stage.number("client_connections_total", outcome="accept_error"), 100)
        self.tell(text)


class Clock(Faults):
    def setUp(self):
        super().setUp()
        if not shim.library().is_file():
            self.skipTest(f"{shim.library()} is not built")
        folder = tempfile.TemporaryDirectory(prefix="setu-clock-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def newcomers(self, stage: Stage, days: int) -> None:
        """By an identity that is valid all the time, and by one that is valid today."""
        mark = stage.mark()
        for node in NODES:
            stage.client(node, "orders").close()
            if days == 0:
                stage.client(node, "payments").close()
            else:
                with self.assertRaises(PermissionError, msg=f"{days} days from now"):
                    stage.client(node, "payments")
        reasons = [row["reason"] for row in stage.told(mark, "mapping_denied")]
        self.assertEqual(reasons, [] if days == 0 else ["certificate_expired"] * len(NODES))

    def test_the_clock_is_stepped(self):
        """T55: by a day, there and back: nobody is cut, people come in, as whom is judged by the time it is, and the chain of
        audit records holds."""
        with shim.Clock(self.folder / "early", -3 * shim.DAY_S).lent():
            early = Stage()  # its certificates are valid whatever the clock says below, but for one
        now, half = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(hours=12)
        early.authority.issue("payments", begins=now - half, ends=now + half)
        clock = shim.Clock(self.folder / "clock")
        early.wrap = clock.before()
        self.addCleanup(lambda: self.assertEqual(early.close(), []))
        stage = early.start()
        load, seen = Load(self, stage), []
        for days in either([1, -1, 0], [1, 0, -1, 0] * 10):
            clock.step(days * shim.DAY_S)
            mark = stage.mark()
            load.further(f"{days} days from now")
            self.newcomers(stage, days)
            wait_until(lambda: stage.events(mark, "session_closed"), 10, "something is logged")
            seen.append(self.days_off(stage.events(mark)[-1]["ts"]))
            time.sleep(either(0.2, 3))
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        self.assertEqual(seen, either([1, -1, 0], [1, 0, -1, 0] * 10), "Setu's clock was stepped indeed")
        codes = audit_codes(stage.directory / "audit.log")
        self.tell(f"{len(seen)} steps; {text}; {len(codes)} audit records in one chain")

    @staticmethod
    def days_off(text: str) -> int:
        said = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return round((said - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / shim.DAY_S)


class Names(Faults):
    """Brokers are named by a name; the name service goes away and comes back."""

    NAME = "broker.setu-faults.test"

    def named(self, stage: Stage) -> None:
        self.hosts = stage.directory / "hosts"
        self.known(True)
        resolver = stage.directory / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        cluster = stage.config["clusters"][0]
        cluster["bootstrap"] = [f"{self.NAME}:{broker.port}" for broker in stage.brokers.values()]
        cluster["refresh_ms"] = 500
        cluster["allowed_addresses"] = ["127.0.0.0/8"]  # a name does not open this machine to what brokers say
        stage.wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                      'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"', "sh",
                      self.hosts, resolver]

    def known(self, known: bool) -> None:
        """In place: what is bound to another name stays the same file."""
        self.hosts.write_text(f"127.0.0.1 localhost\n{f'127.0.0.1 {self.NAME}' if known else ''}\n")

    def test_names_do_not_resolve_for_a_while(self):
        network = PrivateNetwork().open()  # where no name server answers, whatever this machine has
        self.addCleanup(network.close)
        stage = self.stage(self.named)
        load = Load(self, stage)
        self.known(False)
        time.sleep(either(1.5, 60))
        load.further("without names")
        text = load.check()
        self.assertEqual(load.ends(), [], "nobody was cut")
        stage.kill_and_restart(wait=False)
        time.sleep(either(1, 20))
        self.assertFalse(stage.serves(), "Setu has found no broker and lets nobody in")
        self.known(True)
        wait_until(stage.serves, 40, "Setu finds the brokers by itself")
        self.tell(text)


class Certificates(Faults):
    LIFE_S = 9

    def short(self, stage: Stage) -> None:
        self.ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.LIFE_S)
        stage.authority.issue("orders", ends=self.ends)

    def test_a_certificate_expires_under_load(self):
        """Who is connected stays; nobody comes in on it any more; others are not concerned."""
        stage = self.stage(self.short)
        load = Load(self, stage, pause_s=0.03)
        others = Load(self, stage, user="payments", pause_s=0.03)
        left_s = (self.ends - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        self.assertGreater(left_s, 0, "the load was too slow to start before the end")
        time.sleep(left_s + 1.5)
        load.further("on connections that were made before")
        others.further("as others")
        for node in NODES:
            with self.assertRaises(PermissionError):
                stage.client(node, "orders")
            stage.client(node, "payments").close()
        reasons = {row.get("reason") for row in stage.told(name="mapping_denied")}
        self.assertEqual(reasons, {"certificate_expired"})
        wait_until(lambda: b"SETU2102E" in (stage.directory / "audit.log").read_bytes(), 20, "its own code in the audit log")
        self.assertEqual(load.ends() + others.ends(), [])
        self.tell(f"{load.check()}; others: {others.check()}")


if __name__ == "__main__":
    unittest.main()
