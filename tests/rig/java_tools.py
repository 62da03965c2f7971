# SPDX-License-Identifier: Apache-2.0
"""Java programs: Kafka's command line tools of any version, and the rig's own classes, compiled once into the cache."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

from tests.rig import paths
from tests.rig.process import Process, ProcessFailed, tail

# Short-lived tools: the first compiler only, one collector thread, a small heap.
BRIEF = ["-Xshare:auto", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"]
# Load generators: full speed.
LOAD = ["-Xshare:auto", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-Xmx1g"]


def quiet_logging(version: str) -> list[str]:
    """Options that make a client or tool log warnings and errors only, to standard error."""
    if version == paths.KRAFT:
        return [f"-Dlog4j2.configurationFile={paths.RIG / 'logging' / 'tools-log4j2.properties'}"]
    return [f"-Dlog4j.configuration=file:{paths.RIG / 'logging' / 'tools-log4j.properties'}"]


def compiled() -> pathlib.Path:
    """The directory of the rig's own classes; compiles them when their sources changed."""
    sources = sorted((paths.RIG / "java").glob("*.java"))
    digest = hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:16]
    target = paths.cache() / f"rig-classes-{digest}"
    if target.is_dir():
        return target
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    done = subprocess.run(["javac", "-J-XX:TieredStopAtLevel=1", "-J-XX:-UsePerfData", "-proc:none", "-d", fresh,
                           "-cp", paths.classpath(paths.AJNA), *sources], capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(fresh)
        raise ProcessFailed(f"javac: {done.stderr}")
    try:
        fresh.rename(target)
    except OSError:
        shutil.rmtree(fresh)  # somebody else compiled the same sources meanwhile
    return target


def archive(version: str) -> pathlib.Path:
    """Where the class data archive of a broker of this version is kept: with it a broker starts in half the CPU time.
    The JVM checks by itself that it fits its jars, and does without when not."""
    lock = (paths.RIG / "pinned" / f"kafka-{version}.lock").read_bytes()
    return paths.cache() / f"kafka-{version}-{hashlib.sha256(lock).hexdigest()[:8]}.jsa"


def command(version: str, main: str, *arguments, options: list[str] | None = None) -> list[str]:
    """The command line of a class from the jars of one version, or of one of the rig's own."""
    own = [] if "." in main else [compiled()]
    return [paths.java(), *(BRIEF if options is None else options), *quiet_logging(version),
            "-cp", paths.classpath(version, *own), main, *map(str, arguments)]


def run(version: str, main: str, *arguments, stdin: str | None = None, timeout_s: float = 120,
        check: bool = True, options: list[str] | None = None) -> subprocess.CompletedProcess:
    """Runs a tool to its end and returns what it printed. `options` are the JVM's, beside the usual ones."""
    jvm = [*BRIEF, *(options or [])]
    done = subprocess.run(command(version, main, *arguments, options=jvm), input=stdin, capture_output=True, text=True,
                          timeout=timeout_s)
    if check and done.returncode != 0:
        raise ProcessFailed(f"{main} ({version}) ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


class Admin:
    """The cluster's administrator, one JVM that answers JSON lines (java/RigAdmin.java)."""

    def __init__(self, log: pathlib.Path):
        self._process = Process("admin", command(paths.AJNA, "RigAdmin"), log,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE).start()

    def __call__(self, verb: str, /, **fields):
        pipes = self._process.popen
        try:
            pipes.stdin.write(json.dumps({"do": verb, **fields}).encode() + b"\n")
            pipes.stdin.flush()
            line = pipes.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise ProcessFailed(f"admin ended during {verb}:\n{tail(self._process.log)}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"admin {verb}: {answer['error']}")
        return answer["ok"]

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.popen.stdin, self._process.popen.stdout):
            try:
                pipe.close()
            except OSError:
                pass
