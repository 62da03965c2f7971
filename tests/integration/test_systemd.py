# SPDX-License-Identifier: Apache-2.0
"""The unit: what it takes away, and that Setu runs with what is left."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from tests.integration.kafka_client import Client
from tests.integration.life import LifeStage, gone
from tests.integration.test_process import status
from tests.integration.test_sandbox import NO_LEAK_CHECK, USER
from tests.integration.tracer import Held
from tests.rig.paths import ROOT
from tests.rig.process import wait_until

UNITS = ROOT / "deploy" / "systemd"
SCORE_MAX = 20  # tenths


def needs_systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        raise unittest.SkipTest("NOT TESTED: there is no systemd-analyze here (package systemd)")


class Score(unittest.TestCase):
    def test_t78_units_score_two_at_most(self):
        """T78: as systemd itself counts what a unit leaves open."""
        needs_systemd()
        units = sorted(UNITS.glob("*.service"))
        self.assertTrue(units)
        for unit in units:
            done = subprocess.run(["systemd-analyze", "--no-pager", "security", "--offline=true",
                                   f"--threshold={SCORE_MAX}", unit], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-300:] + done.stderr)
            print(f"    {done.stdout.strip().splitlines()[-1]}", flush=True)

    def test_units_are_well_formed(self):
        needs_systemd()
        for unit in sorted(UNITS.glob("*.service")) + sorted(UNITS.glob("*.socket")):
            done = subprocess.run(["systemd-analyze", "--no-pager", "verify", "--man=no", unit],
                                  capture_output=True, text=True)
            told = [line for line in done.stderr.splitlines()
                    if unit.name in line and "not executable" not in line and "No such file" not in line]
            self.assertEqual(told, [])


class Manager:
    """The service manager's end of sd_notify. A thread hears, since the socket takes no more than a few that wait."""

    def __init__(self, path: pathlib.Path):
        self.path, self.heard, self.at = path, [], 0
        self.news = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        while True:
            text, extra, _, _ = self.socket.recvmsg(4096, 256)
            sender = next(struct.unpack("3i", data)[0] for _, kind, data in extra if kind == socket.SCM_CREDENTIALS)
            with self.news:
                rows = dict(line.split("=", 1) for line in text.decode().splitlines())
                self.heard.append(rows | {"from": str(sender)})
                self.news.notify()

    def told(self, word: str, sender: int | None = None) -> dict[str, str]:
        """The next message that says so, and under "from" who said it."""
        with self.news:
            def found():
                return next((i for i in range(self.at, len(self.heard)) if word in self.heard[i]
                             and sender in (None, int(self.heard[i]["from"]))), -1) + 1
            self.news.wait_for(found, 60)
            if not found():
                raise TimeoutError(f"{word} was not told; the last messages: {self.heard[-10:]}")
            self.at = found()
            return self.heard[self.at - 1]

    def fed(self, since: int = 0) -> list[str]:
        """Who fed the watchdog, each time."""
        with self.news:
            return [message["from"] for message in self.heard[since:] if message.get("WATCHDOG") == "1"]


class UnitStage(LifeStage):
    """Started as the unit would start it (tests/rig/unit_sandbox.py), with a manager's socket that is listened on."""

    def __init__(self):
        super().__init__()
        self.who = pwd.getpwnam(USER)
        self.manager = Manager(self.directory / "notify")
        self.program = pathlib.Path(shutil.copy(self.program, self.directory / "setu"))
        self.credentials = self.directory / "credentials"
        self.credentials.mkdir()
        self.config["limits"]["drain_timeout_ms"] = 30000  # a predecessor is looked at while it drains
        self._name_credentials()
        for path in [self.directory, *self.directory.rglob("*")]:
            os.chown(path, 0, self.who.pw_gid)
            path.chmod(0o750 if path.is_dir() or path == self.program else 0o660 if path.name == "notify" else 0o640)
        os.chown(self.directory, self.who.pw_uid, self.who.pw_gid)
        for path in [*self.credentials.iterdir(), self.credentials]:  # as systemd makes them
            os.chown(path, self.who.pw_uid, self.who.pw_gid)
            path.chmod(0o500 if path.is_dir() else 0o400)
        self.wrap = ["env", *(f"{name}={value}" for name, value in NO_LEAK_CHECK.items()),
                     f"NOTIFY_SOCKET={self.directory / 'notify'}", f"CREDENTIALS_DIRECTORY={self.credentials}",
                     f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", "WATCHDOG_USEC=500000",
                     "sh", "-c", f'chgrp {self.who.pw_gid} "$0" && chmod 0640 "$0" && exec env WATCHDOG_PID=$$ "$@"',
                     self.config_file,
                     sys.executable, "-m", "tests.rig.unit_sandbox", UNITS / "setu.service", USER, self.directory]

    def _credential(self, path: pathlib.Path) -> str:
        """Moves it to where LoadCredential= puts it."""
        path.rename(self.credentials / path.name)
        return f"credential:{path.name}"

    def _name_credentials(self) -> None:
        """All secrets of this Setu, those that its credentials file names too."""
        for row in self.config["certificates"]:
            row["key"] = self._credential(row["key"])
        sasl = self.config["clusters"][0]["identity"]["sasl"]
        sasl["password_file"] = self._credential(sasl["password_file"])
        legacy = self.config["clusters"][0]["generations"][0]["sasl"]
        text = legacy["credentials_file"].read_text()
        for path in self.directory.glob("*.password"):
            text = text.replace(str(path), self._credential(path))
        legacy["credentials_file"].write_text(text)
        legacy["credentials_file"] = self._credential(legacy["credentials_file"])
        self.config["users"]["file"] = self._credential(self.config["users"]["file"])


class Watchdog(unittest.TestCase):
    INTERVAL_S = 0.2

    def test_who_does_not_answer_is_told_by_silence(self):
        """One worker of two stands still, as in an endless loop: nothing is fed, until it goes on."""
        with tempfile.TemporaryDirectory() as directory:
            manager = Manager(pathlib.Path(directory) / "notify")
            stage = LifeStage(workers=2)
            stage.wrap = ["env", f"NOTIFY_SOCKET={manager.path}", f"WATCHDOG_USEC={int(self.INTERVAL_S * 1e6)}"]
            self.addCleanup(lambda: self.assertEqual(stage.close(), []))
            stage.start()
            manager.told("WATCHDOG", stage.process.pid)
            with Held(self.loops(stage.process.pid)[0]):
                wait_until(lambda: self.silent(manager) and stage.events(0, "worker_stuck"), 60,
                           "the watchdog is not fed, and the log says why")
            manager.at = len(manager.heard)
            manager.told("WATCHDOG", stage.process.pid)

    def silent(self, manager: Manager) -> bool:
        """For as long as the manager would wait."""
        before = len(manager.heard)
        time.sleep(self.INTERVAL_S)
        return not manager.fed(before)

    def loops(self, pid: int) -> list[int]:
        """Threads that wait in epoll (x86-64's two numbers, ARM's one), but for the main one."""
        def call(task: pathlib.Path) -> str:
            return (task / "syscall").read_text().split()[0]
        found = []

        def two():
            found[:] = [int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                        if int(task.name) != pid and call(task) in ("232", "281", "22")]
            return len(found) == 2
        wait_until(two, 60, "both workers wait")
        return found


class Unit(unittest.TestCase):
    longMessage = True

    def _taken_over(self, stage: UnitStage, before: int) -> int:
        """By whom. While its predecessor drains the successor alone feeds, though the environment names another."""
        stays = Client(stage.port)
        self.addCleanup(stays.close)
        stays.handshake("SCRAM-SHA-512")

        def both():
            self.assertEqual(stage.manager.told("WATCHDOG_USEC")["WATCHDOG_USEC"], "0", "who comes may know of none")
            now = int(stage.manager.told("MAINPID")["MAINPID"])
            self.assertEqual(stage.manager.told("WATCHDOG_USEC")["WATCHDOG_USEC"], "500000", "but this one does")
            since = stage.manager.at
            for _ in range(4):
                stage.manager.told("WATCHDOG", now)
            self.assertFalse(gone(before), "it waits for who has begun to log in")
            self.assertEqual(set(stage.manager.fed(since)), {str(now)})
            stays.close()
        return stage.usr2(meanwhile=both)

    def test_t78_setu_runs_with_what_the_unit_leaves(self):
        """T78: starts, serves, reloads, hands over to a successor that its launcher starts, and ends; its secrets are
        credentials all along."""
        needs_systemd()
        if os.geteuid() != 0:
            self.skipTest("NOT TESTED: only root can make such a sandbox")
        stage = UnitStage()
        self.addCleanup(lambda: self.assertEqual(stage.close(), []))
        stage.start()
        pid = stage.process.pid
        self.assertEqual(stage.manager.told("READY"), {"MAINPID": str(pid), "READY": "1", "STATUS": "serving",
                                                       "from": str(pid)})
        rows = [status(task) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        self.assertEqual({(row["Uid"].split()[0], row["CapBnd"].strip(), row["NoNewPrivs"].strip()) for row in rows},
                         {(str(stage.who.pw_uid), "0" * 16, "1")})
        self.assertGreaterEqual(min(int(row["Seccomp_filters"]) for row in rows), 2, "the unit's and its own")
        stage.check_good_client(self)
        self.assertEqual(stage.command("reload")[0], 0)
        self.assertIn("MONOTONIC_USEC", stage.manager.told("RELOADING"))
        self.assertEqual([stage.manager.told("WATCHDOG_USEC")["WATCHDOG_USEC"] for _ in range(2)],
                         ["600000000", "500000"], "files may take long to read")
        self.assertEqual(stage.manager.told("READY")["STATUS"], "serving")
        stage.check_good_client(self)
        stage.manager.told("WATCHDOG", pid)
        after = self._taken_over(stage, pid)
        self.assertGreaterEqual(int(status(pathlib.Path(f"/proc/{after}"))["Seccomp_filters"]), 2)
        stage.check_good_client(self)
        wait_until(lambda: stage.status()["state"] == "serving", 20, "it serves")
        stage.ours_again(stage.wrap)
        self.assertEqual(stage.manager.told("MAINPID")["MAINPID"], str(stage.process.pid))
        stage.process.signal(signal.SIGTERM)
        stage.manager.told("STOPPING")
        self.assertEqual(stage.process.wait(20), 0)
        stage.start_again()


if __name__ == "__main__":
    unittest.main()
