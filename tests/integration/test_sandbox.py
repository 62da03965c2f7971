# SPDX-License-Identifier: Apache-2.0
"""What the kernel takes from the process that serves: the user it was, files, system calls."""

import errno
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from tests.integration.life import LifeStage
from tests.integration.stage import Stage, broker_program, setu_program
from tests.integration.test_process import status
from tests.integration.tracer import Killed, Tracer
from tests.rig.process import Process, wait_until
from tests.rig.setu import hear_out, private_file, yaml

USER = "nobody"
# AddressSanitizer's last look at the memory wants to trace the process, which only root may.
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}


def is_sanitized() -> bool:
    return b"__asan_init" in setu_program().read_bytes()


class DroppedStage(LifeStage):
    """Started by root, to become USER. Keys stay root's and are readable by USER's group, as they have to be."""

    def __init__(self, **options):
        super().__init__(**options)
        self.who = pwd.getpwnam(USER)
        self.program = pathlib.Path(shutil.copy(self.program, self.directory / "setu"))  # USER may start it
        self.config["security"] = {"user": USER, "landlock": "best_effort"}
        self.wrap = ["env", *(f"{name}={value}" for name, value in NO_LEAK_CHECK.items()),
                     sys.executable, "-c", "import os, sys; os.chown(sys.argv[1], 0, int(sys.argv[2])); "
                     "os.chmod(sys.argv[1], 0o640); os.execvp(sys.argv[3], sys.argv[3:])",
                     self.config_file, self.who.pw_gid]
        self.give(self.directory)
        os.chown(self.directory, self.who.pw_uid, self.who.pw_gid)

    def give(self, top: pathlib.Path) -> None:
        """To read, to the group."""
        for path in [top, *top.rglob("*")]:
            os.chown(path, 0, self.who.pw_gid)
            path.chmod(0o750 if path.is_dir() or path.name == "setu" else 0o640)

    def write_config(self) -> None:
        super().write_config()
        self.give(self.config_file)


class Dropped(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("NOT TESTED: only root can become another user")
        cls.stage = DroppedStage()
        cls.addClassCleanup(lambda: cls.close())
        cls.stage.start()

    @classmethod
    def close(cls):
        wrong = cls.stage.close()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def as_user(self, code: str, *arguments) -> subprocess.CompletedProcess:
        """Python, as another process of the same user."""
        return subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={self.stage.who.pw_gid}", "--clear-groups", "--",
                               sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
                              timeout=20)

    def test_a_it_is_that_user_for_good_and_so_is_its_launcher(self):
        pid = self.stage.process.pid
        launcher, = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        tasks = [*pathlib.Path(f"/proc/{pid}/task").iterdir(), pathlib.Path(f"/proc/{launcher}")]
        self.assertGreaterEqual(len(tasks), 4)
        for task in tasks:
            row = status(task)
            self.assertEqual(set(row["Uid"].split()), {str(self.stage.who.pw_uid)}, task)
            self.assertEqual(set(row["Gid"].split()), {str(self.stage.who.pw_gid)}, task)
            self.assertEqual({row[name].strip() for name in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")},
                             {"0" * 16}, task)
        event, = self.stage.told(0, "privileges_dropped")
        self.assertEqual((event["user"], event["capabilities"]), (USER, "none"))
        self.stage.check_good_client(self)
        self.assertEqual((self.stage.directory / "audit.log").stat().st_uid, self.stage.who.pw_uid)

    def test_b_t76_another_process_of_the_same_user_can_neither_trace_nor_read_it(self):
        """T76: what is done to get at keys from beside."""
        pid = self.stage.process.pid
        code = ("import ctypes, sys; pid = int(sys.argv[1]); libc = ctypes.CDLL(None, use_errno=True); "
                "print(libc.ptrace(16, pid, 0, 0), ctypes.get_errno())\n"
                "for name in ('mem', 'environ', 'maps'):\n"
                "    try:\n        open(f'/proc/{pid}/{name}', 'rb').read(1); print('open')\n"
                "    except OSError as error: print(error.errno)")
        done = self.as_user(code, pid)
        self.assertEqual(done.stdout.split(), ["-1", str(errno.EPERM), *[str(errno.EACCES)] * 3], done.stderr)
        own = self.as_user("import os; open(f'/proc/{os.getpid()}/mem', 'rb'); print('open')")
        self.assertEqual(own.stdout.strip(), "open", "the same of a process that does not forbid it")

    def test_c_t64_only_its_user_and_root_may_administer_it(self):
        """T64: by the mode of the socket, and when that was lost by whom the kernel says it is."""
        self.assertEqual(self.stage.socket.stat().st_mode & 0o777, 0o600)
        code = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); "
                "print(s.recv(100))")
        self.assertEqual(self.stage.status()["state"], "serving", "root")
        stranger = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", "--", sys.executable, "-c", code,
                    self.stage.socket]
        done = subprocess.run(stranger, capture_output=True, text=True, timeout=20)
        self.assertIn("PermissionError", done.stderr)
        mark = self.stage.mark()
        self.stage.directory.chmod(0o755)
        self.stage.socket.chmod(0o666)
        try:
            done = subprocess.run(stranger, capture_output=True, text=True, timeout=20)
        finally:
            self.stage.socket.chmod(0o600)
            self.stage.directory.chmod(0o750)
        self.assertEqual(done.stdout.strip(), "b''", done.stderr)
        wait_until(lambda: self.stage.events(mark, "control_refused"), 10, "it is told")

    def test_c_who_still_is_root_cannot_be_taken_over_from_and_the_error_says_what_to_do(self):
        """The first start with security.user, beside a process that runs without."""
        path, file = self.stage.directory / "roots.sock", self.stage.directory / "successor.yaml"
        roots = socket.socket(socket.AF_UNIX)
        self.addCleanup(roots.close)
        roots.bind(str(path))
        path.chmod(0o600)
        roots.listen()
        private_file(file, yaml(self.stage.config | {"control": {"socket": path}}) + "\n")
        self.stage.give(file)
        done = subprocess.run([self.stage.program, "run", "--takeover", "-c", file], capture_output=True, text=True,
                              timeout=60, env=os.environ | NO_LEAK_CHECK)
        self.assertEqual(done.returncode, 1, done.stderr)
        events = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
        event, = [row for row in events if row["event"] == "takeover_failed"]
        self.assertEqual(event["path"], str(path))
        self.assertIn("security.user: stop it", event["text"])
        self.stage.check_good_client(self)

    def landlocked(self) -> None:
        if not self.stage.told(0, "landlock_on"):
            self.skipTest("NOT TESTED: this kernel has no Landlock")

    def test_d_a_reload_reads_again_and_names_no_folder_that_was_not_known(self):
        self.landlocked()
        elsewhere = pathlib.Path(tempfile.mkdtemp(prefix="setu-elsewhere-"))
        self.addCleanup(shutil.rmtree, elsewhere)
        before = self.stage.config["users"]
        self.assertEqual(self.stage.command("reload")[0], 0)
        shutil.copy(self.stage.directory / "users.yaml", elsewhere)
        self.stage.give(elsewhere)
        self.stage.config["users"] = {"file": elsewhere / "users.yaml"}
        self.stage.write_config()
        code, answer, error = self.stage.command("reload")
        self.assertEqual(code, 78, answer)
        self.assertIn("security.landlock; take over", error + str(answer))
        self.stage.check_good_client(self)
        # Who may: a new process, that the launcher of the old one starts.
        after = self.stage.usr2()
        self.assertEqual(set(status(pathlib.Path(f"/proc/{after}"))["Uid"].split()), {str(self.stage.who.pw_uid)})
        self.stage.check_good_client(self)
        self.stage.config["users"] = before
        self.stage.write_config()
        self.stage.ours_again(self.stage.wrap)
        self.stage.check_good_client(self)


class Calls(unittest.TestCase):
    """T77: each class of what a break-in would do, done by the process itself. No brokers: nobody is served."""

    PACKET = 17
    # number, arguments; ends the process
    DEADLY = {
        "execve": (59, "/bin/true", 0, 0),
        "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
        "socket of packets": (41, PACKET, 3, 0),
        "setuid": (105, 0),
        "mount": (165, "/", "/", 0, 0, 0),
    }
    # When SETU_ALL_CALLS is set: a process each. Most of them are in tests/unit/test_sandbox.c, in a process of the test.
    DEADLY_TOO = {
        "unshare": (272, 0x10000000),
        "clock_settime": (227, 0, 0),
        "bpf": (321, 0, 0, 0),
        "init_module": (175, 0, 0, 0),
        "ptrace": (101, 16, 1, 0, 0),
    }
    # number, arguments, what the kernel says; the process goes on
    REFUSED = {
        "memory to write and to execute": (9, (0, 4096, 7, 0x22, -1, 0), errno.EPERM),
        "a new process": (57, (), errno.EPERM),
        "keyctl": (250, (0, 0, 0), errno.ENOSYS),
        "io_uring_setup": (425, (1, 0), errno.ENOSYS),
        "a file outside of what was named": (257, (-100, "/root", 0), errno.EACCES),
        "a file that is made outside": (257, (-100, "/var/lib/setu-was-here", 0o101, 0o600), errno.EACCES),
    }

    def begin(self, *options) -> Process:
        stage = self.stage = Stage()
        self.addCleanup(shutil.rmtree, stage.directory, ignore_errors=True)
        stage.config |= {"security": {"landlock": "best_effort"}, "control": {"socket": stage.directory / "control.sock"}}
        private_file(stage.config_file, yaml(stage.config) + "\n")
        process = Process("setu", [setu_program(), "run", "-c", stage.config_file, *options], stage.log,
                          env=NO_LEAK_CHECK)
        process.start()
        self.addCleanup(process.kill)
        wait_until(lambda: stage.log.exists() and stage.events(0, "started"), 60, "it runs")
        hear_out(process)
        return process

    def call(self, tracer: Tracer, number: int, arguments: tuple) -> int:
        """A text is put into its memory first, one at most."""
        places = {text: tracer.text(text.encode()) for text in arguments if isinstance(text, str)}
        return tracer.call(number, *(places.get(value, value) for value in arguments))

    def test_a_folder_of_others_that_landlock_opens_is_told(self):
        self.begin()
        if not self.stage.events(0, "landlock_on"):
            self.skipTest("NOT TESTED: this kernel has no Landlock")
        self.assertEqual(self.stage.events(0, "landlock_broad"), [], "what it writes has a folder of its own")
        file = pathlib.Path("/tmp", f"{self.stage.directory.name}.prom")
        self.addCleanup(file.unlink, missing_ok=True)
        self.begin("--stats-file", file)
        event, = self.stage.events(0, "landlock_broad")
        self.assertEqual((event["level"], event["folder"], event["path"]), ("warn", "/tmp", str(file)))
        self.assertIn("--stats-file", event["fix"])

    def test_t77_a_break_in_ends_it(self):
        """T77: what Setu never does."""
        thorough = os.environ.get("SETU_ALL_CALLS")
        if not thorough:
            print(f"    NOT TESTED without SETU_ALL_CALLS=1: {', '.join(self.DEADLY_TOO)}", flush=True)
        for name, (number, *arguments) in (self.DEADLY | (self.DEADLY_TOO if thorough else {})).items():
            if name == "ptrace" and is_sanitized():
                continue  # the leak check of this build does it; tests/unit/test_sandbox.c and the release build
            with self.subTest(name):
                process = self.begin()
                tracer = Tracer(process.pid)
                with self.assertRaises(Killed) as killed:
                    self.call(tracer, number, tuple(arguments))
                self.assertEqual(killed.exception.args[0].name, "SIGSYS")
                process.popen.returncode = -31  # we have heard of its end ourselves

    def test_t77_what_can_be_done_without_is_refused(self):
        """T77: what libraries may try."""
        process = self.begin()
        tracer = Tracer(process.pid)
        landlock = bool(self.stage.events(0, "landlock_on"))
        for name, (number, arguments, expected) in self.REFUSED.items():
            if ("file" in name and not landlock) or (number == 57 and is_sanitized()):
                print(f"    NOT TESTED: {name}", flush=True)
                continue
            with self.subTest(name):
                self.assertEqual(self.call(tracer, number, arguments), -expected)
        tracer.detach()
        process.stop(20)
        self.assertEqual(process.popen.returncode, 0)
        self.assertFalse(pathlib.Path("/var/lib/setu-was-here").exists())


if __name__ == "__main__":
    unittest.main()
