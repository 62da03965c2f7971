# SPDX-License-Identifier: Apache-2.0
"""The clients of the rehearsal: processes that write and read all the time, and what they have said so far."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import threading
import time
from typing import Iterator

from tests.rig import census, java_tools, paths
from tests.rig.clients import Login
from tests.rig.process import Process, tail, wait_until

SMALL_JVM = ["-Xshare:auto", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
COUNT_MAX = 1 << 30
FURTHER = 20  # records after which a client counts as going on: a transaction
SETTINGS = {
    census.IDEMPOTENT: {"acks": "all", "enable.idempotence": "true", "linger.ms": "5"},
    census.TRANSACTIONAL: {"acks": "all", "enable.idempotence": "true", "linger.ms": "5",
                           "transaction.timeout.ms": "60000"},
    census.PLAIN: {"acks": "all", "enable.idempotence": "false", "linger.ms": "5",
                   "max.in.flight.requests.per.connection": "1"},
}
READER = {"auto.offset.reset": "earliest", "isolation.level": "read_committed", "enable.auto.commit": "true",
          "auto.commit.interval.ms": "1000"}


@dataclasses.dataclass(frozen=True)
class Part:
    """A client to be. `version` is that of the Java client; None is librdkafka."""
    name: str
    role: str                  # write, transact, read, read-all
    version: str | None
    topics: tuple[str, ...]    # a writer has one
    kind: str | None = None    # of a writer
    partitions: int = 0
    rate: int = 0
    count: int = COUNT_MAX
    isolation: str = "read_committed"
    settings: dict = dataclasses.field(default_factory=dict)  # beside those of its kind, in its own client's words

    @property
    def client(self) -> str:
        return f"Java {self.version}" if self.version else "librdkafka"


class Player:
    """One client and what it says; look() may be called by any thread."""

    def __init__(self, part: Part, login: Login, directory: pathlib.Path):
        self.part, self.name = part, part.name
        self.claims = census.Claims(part.name, part.kind, part.topics[0]) if part.kind else None
        self.read = 0
        self.fatal: list[str] = []
        self.done = False
        self.told_to_end = False
        self.says = directory / f"{part.name}.says"
        self.says.touch()
        self._at = 0
        self._lock = threading.RLock()
        log = directory / f"{part.name}.log"
        if part.version:
            self.process = Process(part.name, self._java(login, directory), log, stdin=subprocess.PIPE).start()
        else:
            self.process = Process(part.name, [sys.executable, "-m", "tests.rig.rehearsal_client"], log,
                                   stdin=subprocess.PIPE, env={"PYTHONPATH": str(paths.ROOT)}).start()
            self.process.popen.stdin.write(json.dumps(self._job(login)).encode() + b"\n")
            self.process.popen.stdin.flush()

    def _settings(self) -> dict[str, str]:
        part, own = self.part, {"client.id": self.part.name}
        if part.kind:
            own |= SETTINGS[part.kind] | part.settings
            if part.kind == census.TRANSACTIONAL:
                own["transactional.id"] = f"orders-{part.name}"
            return own
        own |= READER | {"group.id": f"orders-{part.name}", "isolation.level": part.isolation}
        if part.role == "read-all":
            own |= {"enable.auto.commit": "false"}
        return own

    def _java(self, login: Login, directory: pathlib.Path) -> list[str]:
        part = self.part
        config = login.java_file(directory / f"{part.name}.properties",
                                 **{k.replace(".", "_"): v for k, v in self._settings().items()})
        options = {"role": part.role, "name": part.name, "config": config, "says": self.says, "count": part.count,
                   "topic": part.topics[0], "topics": ",".join(part.topics), "partitions": part.partitions,
                   "rate": part.rate}
        return java_tools.command(part.version, "RehearsalClient",
                                  *(word for k, v in options.items() for word in (f"--{k}", v)), options=SMALL_JVM)

    def _job(self, login: Login) -> dict:
        part = self.part
        return {"role": part.role, "name": part.name, "says": str(self.says), "topic": part.topics[0],
                "topics": part.topics, "partitions": part.partitions, "rate": part.rate, "count": part.count,
                "settings": login.librdkafka() | self._settings()}

    # --- what it says ---

    def look(self) -> "Player":
        with self._lock:
            with open(self.says, "rb") as file:
                file.seek(self._at)
                lines = file.read().rpartition(b"\n")[0]
            if lines:
                self._at += len(lines) + 1
                for line in lines.split(b"\n"):
                    self._take(line)
        return self

    def _take(self, line: bytes) -> None:
        if line.startswith(b"fatal "):
            self.fatal.append(line[6:].decode(errors="replace"))
        elif line.startswith(b"done "):
            self.done = True
            if self.claims:
                self.claims.take(line.decode())
        elif self.claims:
            self.claims.take(line.decode(errors="replace"))
        else:
            self.read += 1

    @property
    def progress(self) -> int:
        """Records that have got through: acknowledged, of transactions those committed; read."""
        if not self.claims:
            return self.read
        return len(self.claims.committed if self.part.kind == census.TRANSACTIONAL else self.claims.acked)

    @property
    def errors(self) -> int:
        with self._lock:
            return len(self.fatal) + (self.claims.errors() if self.claims else 0) + self.died

    @property
    def died(self) -> bool:
        """Ended before it was told to, or badly."""
        status = self.process.popen.poll()
        if status is None or self.told_to_end and status == 0:
            return False
        return status != 0 or not self.look().done

    def records(self) -> Iterator[census.Seen]:
        """What a reader has read, in its order."""
        with open(self.says, encoding="utf-8") as file:
            for line in file:
                if not line.startswith(("fatal ", "done ")):
                    yield census.Seen.parse(line.rstrip("\n"))

    # --- life ---

    def end(self) -> None:
        """Writers write no more; readers go on until nothing comes."""
        self.told_to_end = True
        try:
            self.process.popen.stdin.close()
        except OSError:
            pass

    def finish(self, timeout_s: float = 150) -> None:
        self.end()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.fatal.append(f"did not end within {timeout_s:g} s")
            self.process.kill()
        self.look()

    def report(self) -> dict:
        row = {"name": self.name, "client": self.part.client, "kind": self.part.kind or "reader",
               "stayed_up": not self.died and not self.fatal and (self.done or not self.told_to_end)}
        if self.claims:
            row |= {"acknowledged": self.progress, "errors": self.claims.errors(),
                    "longest_pause_s": round(self.claims.longest_pause_ms / 1000, 2)}
            if self.part.kind == census.TRANSACTIONAL:
                row["transactions"] = dict(self.claims.transactions)
        else:
            row["read"] = self.read
        if self.fatal:
            row["fatal"] = self.fatal
        return row


class Players:
    """All of them."""

    def __init__(self):
        self.all: list[Player] = []

    def add(self, *players: Player) -> None:
        self.all += players

    @property
    def writers(self) -> list[Player]:
        return [p for p in self.all if p.claims]

    @property
    def readers(self) -> list[Player]:
        return [p for p in self.all if not p.claims]

    def look(self) -> "Players":
        for player in self.all:
            player.look()
        return self

    def acknowledged(self) -> int:
        return sum(p.progress for p in self.writers)

    def read(self) -> int:
        return sum(p.progress for p in self.readers)

    def errors(self) -> int:
        return sum(p.errors for p in self.all)

    def check(self) -> None:
        """Raises when one of them is not up any more."""
        for player in self.all:
            if player.died or player.fatal:
                raise RuntimeError(f"client {player.name} is not up: {'; '.join(player.fatal) or 'it ended'}\n"
                                   f"{tail(player.process.log, 8)}")

    def wait_further(self, what: str, timeout_s: float = 60) -> float:
        """Until each of those that run has got on; the seconds that took."""
        began = time.monotonic()
        running = [p for p in self.look().all if not p.done]
        before = {p.name: p.progress for p in running}

        def rest() -> list[str]:
            return [p.name for p in running if not p.look().done and p.progress < before[p.name] + FURTHER]

        def further():
            self.check()
            return not rest()

        try:
            wait_until(further, timeout_s, "", 0.2)
        except TimeoutError:
            raise TimeoutError(f"{what}: {', '.join(rest())} did not get on within {timeout_s:g} s") from None
        return time.monotonic() - began

    def kill(self) -> None:
        for player in self.all:
            player.process.kill()
