# SPDX-License-Identifier: Apache-2.0
"""The processes of a run: ours, and only ours, each on its CPU, and none outliving us."""

import atexit
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

PROXY_CPU, LOAD_CPU = 0, 1
READY_S = 15


class BenchFailed(Exception):
    """Something broke: what it says is shown, and nothing is concluded from what was measured."""


class Processes:
    """Each pinned to a CPU, told to die with us, and ended by its handle."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.running: list[subprocess.Popen] = []
        self.libc = ctypes.CDLL(None)
        atexit.register(self.stop_all)

    def _prepare(self, cpus: tuple):
        def prepare():
            self.libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            os.sched_setaffinity(0, {cpu % (os.cpu_count() or 1) for cpu in cpus})
        return prepare

    def start(self, name: str, cpu: int | tuple, *arguments, environment: dict | None = None,
              stdin=subprocess.DEVNULL) -> subprocess.Popen:
        """Its output goes to NAME.log. `environment`: what differs from ours."""
        cpus = cpu if isinstance(cpu, tuple) else (cpu,)
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(a) for a in arguments], stdin=stdin, stdout=log, stderr=log,
                                       env=os.environ | (environment or {}), preexec_fn=self._prepare(cpus))
        self.running.append(process)
        return process

    def talk(self, name: str, cpu: int, *arguments) -> subprocess.Popen:
        """One that is spoken with: stdin and stdout are pipes of lines; what it complains of goes to NAME.log."""
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=log, text=True, bufsize=1, preexec_fn=self._prepare((cpu,)))
        self.running.append(process)
        return process

    def output(self, cpu: int | tuple, timeout_s: float, *arguments) -> str:
        cpus = cpu if isinstance(cpu, tuple) else (cpu,)
        done = subprocess.run([str(a) for a in arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout_s, preexec_fn=self._prepare(cpus))
        if done.returncode != 0:
            raise BenchFailed(f"{pathlib.Path(arguments[0]).name}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def stop(self, process: subprocess.Popen) -> int:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.running:
            self.running.remove(process)
        return process.returncode

    def stop_all(self) -> None:
        for process in reversed(self.running[:]):
            self.stop(process)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")[-3000:]


def wait_listening(name: str, port: int, process: subprocess.Popen, processes: Processes,
                   ready_s: float = READY_S) -> None:
    end = time.monotonic() + ready_s
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchFailed(f"{name} does not listen on port {port}:\n{processes.log(name)}")
