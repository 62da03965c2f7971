# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive us: own process group, killed at exit, and by the kernel when we are killed."""

import atexit
import os
import pathlib
import signal
import subprocess
import threading
import time

_running: list["Process"] = []


class ProcessFailed(RuntimeError):
    """A child ended, or was not ready in time. The text closes with the end of its log."""


def tail(path: pathlib.Path, lines: int = 25) -> str:
    try:
        with open(path, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 256 * lines))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def wait_until(condition, timeout_s: float, what: str, interval_s: float = 0.05):
    """Polls until `condition` is true and returns its value; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(interval_s)


class Process:
    """One child. Its output is appended to a log file; it can be stopped, killed, paused, resumed and started again."""

    def __init__(self, name: str, argv: list, log: pathlib.Path, env: dict | None = None,
                 stdin=subprocess.DEVNULL, stdout=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = pathlib.Path(log)
        self.env = env
        self._stdin = stdin
        self._stdout = stdout
        self.popen: subprocess.Popen | None = None

    def start(self) -> "Process":
        if self.alive:
            raise RuntimeError(f"{self.name} runs already")
        # The kernel's parent-death signal follows the thread that forked, so that thread must live as long as we do.
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start processes from the main thread")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.argv], stdin=self._stdin, stdout=self._stdout or log,
                stderr=log, start_new_session=True, env={**os.environ, **(self.env or {})})
        _running.append(self)
        return self

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number: int) -> None:
        if self.alive:
            os.killpg(self.popen.pid, number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._reap()

    def stop(self, timeout_s: float = 30) -> int | None:
        """Asks it to end, waits, kills it in the end. The exit status; negative for a signal."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            if self.popen:
                self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
        return self._reap()

    def wait(self, timeout_s: float | None = None) -> int:
        status = self.popen.wait(timeout_s)
        self._reap()
        return status

    def _reap(self) -> int | None:
        if self in _running:
            _running.remove(self)
        return self.popen.wait() if self.popen else None

    def check(self) -> None:
        if not self.alive:
            status = self.popen.poll() if self.popen else None
            raise ProcessFailed(f"{self.name} is not running (status {status}); end of {self.log}:\n{tail(self.log)}")

    def wait_ready(self, ready, timeout_s: float = 60) -> None:
        """Waits until `ready()` is true; fails at once when the process ends."""
        def condition():
            self.check()
            return ready()
        try:
            wait_until(condition, timeout_s, f"{self.name} ready")
        except TimeoutError as error:
            raise ProcessFailed(f"{error}; end of {self.log}:\n{tail(self.log)}") from None

    def cpu_s(self) -> float:
        """User and system time used so far, in seconds."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_peak_bytes(self) -> int:
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0


def kill_all() -> None:
    for process in list(_running):
        try:
            process.kill()
        except OSError:
            pass


def exit_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end us like Ctrl-C does, so that children are killed and directories removed."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


atexit.register(kill_all)
