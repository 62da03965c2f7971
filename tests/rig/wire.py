# SPDX-License-Identifier: Apache-2.0
"""The few Kafka requests that tell whether somebody answers on a local port, and what a broker knows."""

import socket
import struct
from typing import NamedTuple


class Broken(ConnectionError):
    """The peer closed early or answered with something else."""


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


class Answer:
    """A cursor over a response."""

    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    def take(self, layout: str):
        values = struct.unpack_from(">" + layout, self._data, self._at)
        self._at += struct.calcsize(">" + layout)
        return values[0] if len(values) == 1 else values

    def numbers(self) -> list[int]:
        count = self.take("i")
        return [self.take("i") for _ in range(count)]

    def text(self) -> str:
        length = max(0, self.take("h"))
        self._at += length
        return self._data[self._at - length:self._at].decode()


class Partition(NamedTuple):
    """As a broker knows it; leader -1 is none."""
    topic: str
    partition: int
    leader: int
    replicas: list[int]
    in_sync: list[int]


class Connection:
    """A plaintext connection to a local port, one request at a time; with `login` = (name, password) SASL PLAIN."""

    def __init__(self, port: int, login: tuple[str, str] | None = None, timeout_s: float = 5):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        try:
            if login:
                self._log_in(*login)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise Broken("closed early")
            data += piece
        return data

    def request(self, key: int, version: int, body: bytes) -> Answer:
        head = struct.pack(">hhi", key, version, 1) + _text(b"rig")
        self._socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        answer = Answer(self._take(struct.unpack(">i", self._take(4))[0]))
        if answer.take("i") != 1:
            raise Broken("wrong correlation id")
        return answer

    def _log_in(self, name: str, password: str) -> None:
        if self.request(17, 1, _text(b"PLAIN")).take("h"):
            raise Broken("no SASL PLAIN here")
        token = f"\0{name}\0{password}".encode()
        if self.request(36, 0, struct.pack(">i", len(token)) + token).take("h"):
            raise Broken("login refused")

    def api_versions(self) -> dict[int, tuple[int, int]]:
        """api key → (lowest, highest version), by ApiVersions v0."""
        answer = self.request(18, 0, b"")
        error, count = answer.take("hi")
        if error:
            raise Broken(f"ApiVersions error {error}")
        return {key: (low, high) for key, low, high in (answer.take("hhh") for _ in range(count))}

    def _metadata(self, topics: tuple[str, ...] | None) -> tuple[dict[int, tuple[str, int]], int, list[Partition]]:
        """By Metadata v1; no topics at all when there are none, every topic for None."""
        body = struct.pack(">i", -1 if topics is None else len(topics))
        answer = self.request(3, 1, body + b"".join(_text(t.encode()) for t in topics or ()))
        brokers, rows = {}, []
        for _ in range(answer.take("i")):
            node = answer.take("i")
            brokers[node] = (answer.text(), answer.take("i"))
            answer.text()  # rack
        controller = answer.take("i")
        for _ in range(answer.take("i")):
            answer.take("h")
            name = answer.text()
            answer.take("b")
            for _ in range(answer.take("i")):
                _, partition, leader = answer.take("hii")
                replicas, in_sync = answer.numbers(), answer.numbers()
                rows.append(Partition(name, partition, leader, replicas, in_sync))
        return brokers, controller, sorted(rows)

    def metadata(self, *topics: str) -> tuple[dict[int, tuple[str, int]], int, dict[str, list[int]]]:
        """Node id → (host, port), the controller's id, topic → leaders in order of partitions."""
        brokers, controller, rows = self._metadata(topics)
        leaders = {}
        for row in rows:
            leaders.setdefault(row.topic, []).append(row.leader)
        return brokers, controller, leaders

    def partitions(self) -> list[Partition]:
        """Those of all topics."""
        return self._metadata(None)[2]


def listens(port: int) -> bool:
    """True when somebody accepts connections on this local port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    except OSError:
        return False


def answers(port: int) -> bool:
    """True when the peer on this local port answers ApiVersions."""
    try:
        with Connection(port) as connection:
            return bool(connection.api_versions())
    except (OSError, struct.error):
        return False


def knows(port: int, nodes: set[int], login: tuple[str, str] | None = None) -> bool:
    """True when the broker on this local plaintext port lists at least these nodes and a controller."""
    try:
        with Connection(port, login) as connection:
            found, controller, _ = connection.metadata()
        return nodes <= set(found) and controller in found
    except (OSError, struct.error):
        return False
