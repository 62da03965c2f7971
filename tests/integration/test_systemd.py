# SPDX-License-Identifier: Apache-2.0
"""The unit: what it takes away, and that Setu runs with what is left."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import unittest

from tests.integration.life import LifeStage
from tests.integration.test_process import status
from tests.integration.test_sandbox import NO_LEAK_CHECK, USER
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


class UnitStage(LifeStage):
    """Started as the unit would start it (tests/rig/unit_sandbox.py), with a manager's socket that is listened on."""

    def __init__(self):
        super().__init__()
        self.who = pwd.getpwnam(USER)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(self.directory / "notify"))
        self.manager.settimeout(30)
        self.program = pathlib.Path(shutil.copy(self.program, self.directory / "setu"))
        self.credentials = self.directory / "credentials"
        self.credentials.mkdir()
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
                     f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1",
                     "sh", "-c", f'chgrp {self.who.pw_gid} "$0" && chmod 0640 "$0" && exec "$@"', self.config_file,
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

    def told(self, word: str) -> dict[str, str]:
        """The next message to the manager that says so."""
        while True:
            rows = dict(line.split("=", 1) for line in self.manager.recv(4096).decode().splitlines())
            if word in rows:
                return rows


class Unit(unittest.TestCase):
    longMessage = True

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
        self.assertEqual(stage.told("READY"), {"MAINPID": str(pid), "READY": "1", "STATUS": "serving"})
        rows = [status(task) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        self.assertEqual({(row["Uid"].split()[0], row["CapBnd"].strip(), row["NoNewPrivs"].strip()) for row in rows},
                         {(str(stage.who.pw_uid), "0" * 16, "1")})
        self.assertGreaterEqual(min(int(row["Seccomp_filters"]) for row in rows), 2, "the unit's and its own")
        stage.check_good_client(self)
        self.assertEqual(stage.command("reload")[0], 0)
        self.assertIn("MONOTONIC_USEC", stage.told("RELOADING"))
        self.assertEqual(stage.told("READY")["STATUS"], "serving")
        stage.check_good_client(self)
        after = stage.usr2()
        self.assertEqual(stage.told("MAINPID")["MAINPID"], str(after))
        self.assertGreaterEqual(int(status(pathlib.Path(f"/proc/{after}"))["Seccomp_filters"]), 2)
        stage.check_good_client(self)
        wait_until(lambda: stage.status()["state"] == "serving", 20, "it serves")
        stage.ours_again(stage.wrap)
        self.assertEqual(stage.told("MAINPID")["MAINPID"], str(stage.process.pid))
        stage.process.signal(signal.SIGTERM)
        stage.told("STOPPING")
        self.assertEqual(stage.process.wait(20), 0)
        stage.start_again()


if __name__ == "__main__":
    unittest.main()
