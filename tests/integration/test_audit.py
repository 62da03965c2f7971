# SPDX-License-Identifier: Apache-2.0
"""The audit log as evidence: one signed chain over kills, takeovers and ended files; what is changed in it is named; what
it says reaches other tools line by line. SETU_AUDIT_KILLS=200: as many kills as the short form has not."""

import bisect
import collections
import csv
import datetime
import io
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import threading
import time
import unittest

from tests.integration import kafka_client as kafka
from tests.integration.life import LifeStage, _fields, _varint
from tests.integration.stage import broker_program, setu_program
from tests.rig.process import wait_until
from tests.rig.setu import private_file

OWN = {"chain_torn", "checkpoint", "records_lost", "rotated", "signing_key", "signing_off"}  # said by the log of itself
KILLS = int(os.environ.get("SETU_AUDIT_KILLS", "20"))
HOSTILE = 'x\n{"fake":1}\r\n"=cmd,\t|\\ \u2028\u202e\x85 suser=root'


class AuditStage(LifeStage):
    """A stage whose audit log is signed, and whose files end often."""

    def __init__(self, **audit):
        super().__init__()
        self.key, self.public = self.directory / "audit.key", self.directory / "audit-key.pem"
        self.logs = self.directory / "audit"
        self.logs.mkdir()
        self.file = self.logs / "audit.log"
        done = subprocess.run([self.program, "audit", "keygen", self.key], capture_output=True, text=True, check=True)
        self.public.write_text(done.stdout)
        self.config["audit"] |= {"file": self.file, "signing_key": self.key} | audit

    def audit(self, verb: str, *operands, status: int = 0, text: bool = False):
        """What `setu audit VERB` prints: text, or one object, or one a line."""
        done = subprocess.run([self.program, "audit", verb, *([] if text else ["-o", "json"]), *operands],
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != status:
            raise AssertionError(f"audit {verb} {operands}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        if text:
            return done.stdout
        rows = done.stdout.strip()
        return json.loads(rows) if verb in ("verify", "bundle") else [json.loads(row) for row in rows.splitlines()]

    def query(self, *filters) -> list[dict]:
        return self.audit("show", *filters, self.file)

    def verified(self) -> dict:
        return self.audit("verify", "--key", self.public, self.logs)

    def ended(self) -> list[pathlib.Path]:
        return sorted(path for path in self.logs.glob("audit.log.*-*"))


def plain_login(stage: AuditStage, user: str, password: str) -> bool:
    """One login by PLAIN, without the sanity of a real client."""
    with stage.raw(timeout_s=5) as raw:
        raw.send(kafka.request(17, 1, kafka.handshake_body("PLAIN")))
        raw.frame()
        raw.send(kafka.request(36, 1, kafka.authenticate_body(f"\0{user}\0{password}".encode())))
        return raw.frame()[4:6] == b"\0\0"


def nanoseconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()) * 10**9 + int(text[20:29])


class Audit(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                raise unittest.SkipTest(f"{needed} is not built")

    def start(self, **audit) -> AuditStage:
        stage = AuditStage(**audit)
        self.addCleanup(lambda: self.assertEqual(stage.close(), []))
        return stage.start()

    def wait_for(self, stage: AuditStage, code: str, count: int = 1) -> list[dict]:
        wait_until(lambda: len(stage.query("--code", code)) >= count, 10, f"{count} of {code}")
        return stage.query("--code", code)

    # --- what is in it ---

    def test_every_kind_of_event(self):
        stage = self.start(checkpoint_interval_ms=200)
        stage.check_good_client(self, "payments")
        self.assertFalse(plain_login(stage, "payments", "wrong"))
        accepted = self.wait_for(stage, "login_accepted")[0]
        self.assertEqual((accepted["principal"], accepted["outcome"]), ("payments", "allowed"))
        self.assertEqual(len(accepted["config_hash"]), 64)
        denied, = self.wait_for(stage, "login_denied")
        self.assertEqual((denied["mechanism"], denied["outcome"], denied["code"]), ("PLAIN", "denied", "SETU2001W"))
        decided = self.wait_for(stage, "mapping_decided")[0]
        self.assertEqual(decided["certificate"], "payments")
        self.assertIn(f"{stage.config_file}:", decided["rule"])
        self.assertTrue(self.wait_for(stage, "broker_login_ok"))
        self.assertTrue(self.wait_for(stage, "session_closed"))
        self.reload_is_told(stage)
        self.takeover_is_told(stage)
        for row in stage.query():
            self.assertEqual((len(row["mapping_hash"]), len(row["config_hash"])), (64, 64), row)
        verdict = stage.verified()
        self.assertEqual(verdict["signatures"]["confirmed"], verdict["signatures"]["checkpoints"])
        head = stage.told(name="audit_checkpoint")[-1]
        stage.audit("verify", "--head", f"{head['seq']}:{head['hash']}", stage.file)
        self.assertEqual(stage.close(), [])

    def reload_is_told(self, stage: AuditStage) -> None:
        stage.authority.issue("payments", server=False)
        stage.config["mapping"].append({"principal": "more", "certificate": "orders"})
        stage.write_config()
        before = stage.status()
        self.assertEqual(stage.command("reload")[0], 0)
        after = stage.status()
        told, = self.wait_for(stage, "reload")
        self.assertEqual(told["config_hash"], after["config_hash"])
        self.assertIn(f"config hash before {before['config_hash']}; certificate payments: changed", told["detail"])
        mapping, = self.wait_for(stage, "mapping_changed")
        self.assertEqual(mapping["detail"], f"mapping hash before {before['mapping_hash']}")
        self.assertEqual(mapping["mapping_hash"], after["mapping_hash"])
        certificate, = self.wait_for(stage, "certificate_changed")
        self.assertEqual((certificate["certificate"], certificate["reason"]), ("payments", "replaced"))
        self.assertNotIn(certificate["certificate_fingerprint"], certificate["detail"])
        asked, = self.wait_for(stage, "admin_action")
        self.assertEqual(asked["reason"], "reload")
        self.assertRegex(asked["detail"], rf"^uid {os.geteuid()}, pid \d+, control socket$")

    def takeover_is_told(self, stage: AuditStage) -> None:
        stage.take_over()
        self.assertTrue(self.wait_for(stage, "handed_over"))
        self.assertEqual([row["reason"] for row in self.wait_for(stage, "admin_action", 2)], ["reload", "takeover"])
        self.assertEqual([row.get("detail") for row in self.wait_for(stage, "start", 2)], ["started", "took_over"])
        self.assertTrue(self.wait_for(stage, "stop"), "the predecessor's, through its successor")

    def test_a_checkpoint_by_hand(self):
        """Without Setu: the record's bytes before its signature, behind a line that says what is signed."""
        stage = self.start(checkpoint_interval_ms=100)
        wait_until(lambda: stage.query("--code", "checkpoint"), 10, "a checkpoint")
        data, at, checked = stage.file.read_bytes(), 0, 0
        while at < len(data):
            length, at = _varint(data, at)
            record, at = data[at:at + length], at + length
            fields = {number: (value, begin) for number, value, begin in _fields(record)}
            if 901 not in fields:
                continue
            signature, begin = fields[901]
            (stage.directory / "message").write_bytes(b"setu audit checkpoint 1\n" + record[:begin])
            (stage.directory / "signature").write_bytes(signature)
            subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", stage.public, "-in",
                            stage.directory / "message", "-sigfile", stage.directory / "signature"],
                           check=True, capture_output=True)
            checked += 1
        self.assertGreater(checked, 0)

    # --- what is done to it ---

    def test_kill_at_random_points(self):
        """kill -9 at random points: after each the log verifies, and the next start goes on with it. What a kill takes along
        is the end of what was decided before it, and nothing that a checkpoint told of."""
        stage = self.start(rotate_bytes=65536, checkpoint_records=40, checkpoint_interval_ms=100, unsynced_max_ms=5000)
        chance, running = random.Random(KILLS), True
        logins: list[tuple[int, int, int]] = []  # began, accepted, the client's port
        kills: list[int] = []

        def storm():
            while running:
                try:
                    began = time.time_ns()
                    with stage.client(user="orders", timeout_s=2) as client:
                        logins.append((began, time.time_ns(), client.socket.getsockname()[1]))
                except OSError:
                    time.sleep(0.02)

        def kill() -> None:
            stage.process.kill()
            kills.append(time.time_ns())

        threads = [threading.Thread(target=storm, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        torn = unsigned = 0
        try:
            for _ in range(KILLS):
                kill()
                stage.start_again(wait=chance.random() < 0.8)
                time.sleep(chance.random() * 0.5)
                kill()
                verdict = stage.audit("verify", "--key", stage.public, *self.last_head(stage), stage.logs)
                torn += verdict["torn_bytes"] > 0
                unsigned = max(unsigned, verdict["signatures"]["unsigned_tail"])
                stage.process.start()
        finally:
            running = False
        for thread in threads:
            thread.join()
        stage.process.wait_ready(stage.serves, 30)
        self.assertEqual(stage.process.stop(30), 0)
        verdict = stage.audit("verify", "--key", stage.public, "--signed", stage.logs)
        rows = stage.audit("show", stage.logs)
        gone, found = self.logins_gone(rows, logins, kills), self.heads_that_hold(stage, rows)
        stage.process.start()
        stage.process.wait_ready(stage.serves, 30)
        self.assertEqual(verdict["first"], 1)
        self.assertGreater(len(logins), KILLS)
        self.assertGreater(len(verdict["files"]), 1, "files ended meanwhile")
        print(f"    {len(kills)} kills: {verdict['records']} records in {len(verdict['files'])} files verify, "
              f"{verdict['signatures']['confirmed']} checkpoints, {found} of them told and found, "
              f"at most {unsigned} records behind the last one at a kill, {torn} torn ends; {len(logins)} logins accepted, "
              f"{sum(gone.values())} without a record, at most {max(gone.values(), default=0)} a kill", flush=True)

    @staticmethod
    def heads(stage: AuditStage) -> list[tuple[int, str]]:
        """Those that Setu's logs tell, of all its lives. A kill may have cut a line short."""
        texts = [log.read_text(errors="replace") for log in sorted(stage.directory.glob("setu*.log"))]
        return [(int(seq), found) for text in texts
                for seq, found in re.findall(r'"event":"audit_checkpoint","seq":(\d+),"hash":"([0-9a-f]{64})"', text)]

    def last_head(self, stage: AuditStage) -> list[str]:
        told = self.heads(stage)
        return ["--head", "{}:{}".format(*max(told))] if told else []

    def heads_that_hold(self, stage: AuditStage, rows: list[dict]) -> int:
        told, hashes = set(self.heads(stage)), {row["seq"]: row["hash"] for row in rows}
        self.assertGreater(len(told), 0)
        self.assertEqual([seq for seq, found in told if hashes.get(seq) != found], [], "a checkpoint told is not in the log")
        return len(told)

    def logins_gone(self, rows: list[dict], logins: list[tuple[int, int, int]], kills: list[int]) -> dict[int, int]:
        """How many logins each kill took the record of: of the life's end only, and none where Setu ended in order."""
        recorded, gone = collections.defaultdict(list), collections.Counter()
        for row in rows:
            if row["event"] == "login_accepted":
                recorded[int(row["client"].rpartition(":")[2])].append(nanoseconds(row["time"]))
        decided = [0, *sorted(nanoseconds(row["time"]) for row in rows if row["event"] not in OWN)]
        for began, accepted, port in logins:
            if not any(began <= at <= accepted for at in recorded[port]):
                life = bisect.bisect_left(kills, began)
                self.assertLess(life, len(kills), "a login of the last life, which ended in order, is not on record")
                last = decided[bisect.bisect_right(decided, kills[life]) - 1]
                self.assertLessEqual(last, accepted, f"a login is not on record, and later ones are, before kill {life}")
                gone[life] += 1
        return gone

    def test_what_was_changed_is_named(self):
        """T79: every kind of change, found by the command line."""
        stage = self.start(rotate_bytes=65536, checkpoint_interval_ms=100)
        for _ in range(25):
            stage.check_good_client(self, "orders")
        wait_until(lambda: len(stage.ended()) >= 1, 10, "a file ended")
        whole = stage.verified()["last"]
        copy = stage.directory / "copy"

        def tampered(change, record: int) -> None:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(stage.logs, copy)
            change(copy / stage.ended()[0].name)
            told = stage.audit("verify", "--key", stage.public, copy, status=1)
            self.assertEqual((told["chain_holds"], told["first_bad"]["record"]), (False, record), told)
            self.assertIn(f"record {record}", stage.audit("verify", copy, status=1, text=True))

        def bounds(file: pathlib.Path, count: int) -> list[int]:
            data, at, found = file.read_bytes(), 0, [0]
            while len(found) <= count:
                length, at = _varint(data, at)
                at += length
                found.append(at)
            return found

        def edit(file):
            data = bytearray(file.read_bytes())
            data[bounds(file, 30)[29] + 60] ^= 1
            file.write_bytes(data)

        def delete(file):
            data, at = file.read_bytes(), bounds(file, 30)
            file.write_bytes(data[:at[29]] + data[at[30]:])

        def reorder(file):
            data, at = file.read_bytes(), bounds(file, 31)
            file.write_bytes(data[:at[29]] + data[at[30]:at[31]] + data[at[29]:at[30]] + data[at[31]:])

        def truncate(file):
            file.write_bytes(file.read_bytes()[:bounds(file, 30)[29] + 9])

        def splice(file):
            data, at = file.read_bytes(), bounds(file, 31)
            file.write_bytes(data[:at[29]] + data[at[9]:at[10]] + data[at[30]:])

        for change in (edit, delete, reorder, truncate, splice):
            with self.subTest(change=change.__name__):
                tampered(change, 30)
        with self.subTest("a file is missing"):
            first, last = (int(part) for part in stage.ended()[0].suffix[1:].split("-"))
            self.assertEqual(first, 1)
            tampered(lambda file: file.unlink(), 1)
            head, = [row for row in stage.events(name="audit_rotated") if int(row["seq"]) == last]
            known = ["--from", f"{last}:{head['hash']}"]
            self.assertEqual(stage.audit("verify", *known, copy)["first"], last + 1, "moved away, says who has its head")
            told = stage.audit("verify", *known[:1], f"{last}:{'0' * 64}", copy, status=1)
            self.assertEqual(told["first_bad"]["record"], last + 1)
            stage.audit("show", copy)
        self.assertGreater(whole, 60)

    # --- what leaves it ---

    def test_one_line_an_event_whatever_a_name_holds(self):
        """T81: a user name with line ends, JSON, a formula and a line turned round."""
        stage = self.start()
        self.assertFalse(plain_login(stage, HOSTILE, "wrong"))
        self.wait_for(stage, "login_denied")
        count = stage.verified()["last"]
        for form in ("jsonl", "csv", "ocsf", "ecs", "cef"):
            text = stage.audit("export", "--format", form, "--until", "2100-01-01", stage.file, text=True)
            if form == "csv":
                self.assertEqual(len(list(csv.reader(io.StringIO(text, newline="")))), text.count("\n"))
                text = text[text.index("\n") + 1:]
            self.assertGreaterEqual(text.count("\n"), count, form)
            self.assertEqual(len(text.splitlines()), text.count("\n"), form)
            if form in ("jsonl", "ocsf", "ecs"):
                rows = [json.loads(line) for line in text.splitlines()]
                row = next(row for row in rows if "SETU2001W" in json.dumps(row))
                own = row.get("unmapped") or row.get("setu") or row
                self.assertIn("fake", own.get("principal", "fake"))

    def test_a_bundle_of_evidence(self):
        stage = self.start(checkpoint_interval_ms=100)
        stage.check_good_client(self)
        wait_until(lambda: b"SETU2000I" in stage.file.read_bytes(), 20, "there is evidence")
        old = private_file(stage.directory / "old.yaml", stage.config_file.read_text())
        archive = stage.directory / "evidence.tar"
        made = stage.audit("bundle", "-c", stage.config_file, "--old", old, archive)
        self.assertTrue(made["log_good"])
        told = stage.audit("bundle", "--verify", "--key", stage.public, archive)
        self.assertTrue(told["ok"] and told["log"]["chain_holds"])
        subprocess.run("tar xf evidence.tar && cd setu-evidence && sha256sum --quiet --strict -c MANIFEST && "
                       "openssl pkeyutl -verify -rawin -pubin -inkey ../audit-key.pem -in MANIFEST "
                       "-sigfile MANIFEST.sig", shell=True, cwd=stage.directory, check=True, capture_output=True)
        inside = stage.directory / "setu-evidence"
        self.assertEqual((inside / "config.yaml").read_bytes(), stage.config_file.read_bytes())
        self.assertTrue(json.loads((inside / "verify.json").read_text())["ok"])
        stage.audit("verify", "--key", stage.public, inside / "log")
        reports = {file.name: json.loads(file.read_text())["report"] for file in inside.glob("map-*.json")}
        self.assertEqual(reports, {f"map-{verb}.json": f"map {verb}" for verb in ("list", "lint", "export", "diff")})
        data = bytearray(archive.read_bytes())
        data[data.index(b"SETU1000I")] ^= 1
        archive.write_bytes(data)
        self.assertFalse(stage.audit("bundle", "--verify", "--key", stage.public, archive, status=1)["ok"])
        subprocess.run([stage.program, "audit", "keygen", stage.directory / "other.key"], check=True,
                       stdout=open(stage.directory / "other.pem", "w", encoding="ascii"), stderr=subprocess.DEVNULL)
        stage.audit("bundle", "--verify", archive, status=2, text=True)
        told = stage.audit("verify", "--key", stage.directory / "other.pem", stage.file, status=1)
        self.assertTrue(told["chain_holds"])
        self.assertIn("key", told["complaint"])
