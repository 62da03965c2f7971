# SPDX-License-Identifier: Apache-2.0
"""A Kafka client of a few requests in plain Python, and sockets that misbehave: what attack tests are made of.

`Body` writes request bodies and `Answer` reads answers, both in the old and the flexible form. `Raw` is a socket that
tells how it was ended; `Client` is the client that has done nothing wrong.
"""

import base64
import functools
import hashlib
import hmac
import os
import select
import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, FIND_COORDINATOR = 0, 1, 2, 3, 10
HANDSHAKE, API_VERSIONS = 17, 18
INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH, END_TXN, AUTHENTICATE, DESCRIBE_CLUSTER = 22, 23, 26, 36, 60
FLEXIBLE_SINCE = {PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 9, FIND_COORDINATOR: 3, API_VERSIONS: 3,
                  INIT_PRODUCER_ID: 2, OFFSET_FOR_LEADER_EPOCH: 4, END_TXN: 3, AUTHENTICATE: 2, DESCRIBE_CLUSTER: 0}
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


def flexible(key: int, version: int) -> bool:
    return version >= FLEXIBLE_SINCE.get(key, 1 << 15)


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> bytes:
    return uvarint(value << 1 if value >= 0 else (-value << 1) - 1)


class Closed(ConnectionError):
    """The peer ended the connection."""


class Body:
    """Bytes in Kafka's order. Every method returns the body, so that calls can be chained."""

    def __init__(self, compact: bool = False):
        self.compact = compact
        self.data = bytearray()

    def put(self, data: bytes) -> "Body":
        self.data += data
        return self

    def pack(self, layout: str, *values) -> "Body":
        return self.put(struct.pack(">" + layout, *values))

    def array(self, count: int) -> "Body":
        return self.put(uvarint(count + 1)) if self.compact else self.pack("i", count)

    def text(self, value: str | bytes | None) -> "Body":
        data = value.encode() if isinstance(value, str) else value
        if data is None:
            return self.put(b"\0") if self.compact else self.pack("h", -1)
        self.put(uvarint(len(data) + 1)) if self.compact else self.pack("h", len(data))
        return self.put(data)

    def bytes(self, data: bytes) -> "Body":
        self.put(uvarint(len(data) + 1)) if self.compact else self.pack("i", len(data))
        return self.put(data)

    def tags(self) -> "Body":
        return self.put(b"\0") if self.compact else self


class Answer:
    """A cursor over a response, behind its header."""

    def __init__(self, data: bytes, compact: bool = False):
        self.data, self.compact, self.at = data, compact, 0

    def take(self, layout: str):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values[0] if len(values) == 1 else values

    def raw(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("answer too short")
        return self.data[self.at - count:self.at]

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def array(self) -> int:
        return self.uvarint() - 1 if self.compact else self.take("i")

    def text(self) -> str | None:
        length = self.uvarint() - 1 if self.compact else self.take("h")
        return None if length < 0 else self.raw(length).decode()

    def bytes(self) -> bytes | None:
        length = self.uvarint() - 1 if self.compact else self.take("i")
        return None if length < 0 else self.raw(length)

    def tags(self) -> dict[int, bytes]:
        if not self.compact:
            return {}
        found = {}
        for _ in range(self.uvarint()):
            number = self.uvarint()
            found[number] = self.raw(self.uvarint())
        return found


def header(key: int, version: int, correlation_id: int, client_id: str | bytes | None = "test") -> bytes:
    body = Body().pack("hhi", key, version, correlation_id).text(client_id)
    return bytes(body.data) + (b"\0" if flexible(key, version) else b"")


def frame(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


def request(key: int, version: int, body: bytes = b"", correlation_id: int = 1,
            client_id: str | bytes | None = "test") -> bytes:
    return frame(header(key, version, correlation_id, client_id) + body)


# --- bodies ---

def api_versions_body(version: int, software: str = "setu-tests", release: str = "1") -> bytes:
    return b"" if version < 3 else bytes(Body(True).text(software).text(release).tags().data)


def handshake_body(mechanism: str) -> bytes:
    return bytes(Body().text(mechanism).data)


def authenticate_body(token: bytes, version: int = 1) -> bytes:
    body = Body(version >= 2)
    return bytes(body.bytes(token).tags().data)


def metadata_body(version: int, topics: list[str | bytes] | None = None, create: bool = True) -> bytes:
    body = Body(version >= 9)
    body.array(-1 if topics is None and version >= 1 else len(topics or []))
    for topic in topics or []:
        if version >= 10:
            body.put(bytes(16))
        body.text(topic).tags()
    if version >= 4:
        body.pack("?", create)
    if 8 <= version <= 10:
        body.pack("?", False)
    if version >= 8:
        body.pack("?", False)
    return bytes(body.tags().data)


def topic_id(name: str) -> bytes:
    """As the test broker makes them."""
    return hashlib.sha256(name.encode()).digest()[:16]


def produce_body(version: int, topic: str, partitions: dict[int, bytes], acks: int = 1) -> bytes:
    body = Body(version >= 9)
    body.text(None).pack("hi", acks, 30000).array(1)
    body.put(topic_id(topic)) if version >= 13 else body.text(topic)
    body.array(len(partitions))
    for index, records in partitions.items():
        body.pack("i", index).bytes(records).tags()
    return bytes(body.tags().tags().data)


def fetch_body(version: int, topic: str, offsets: dict[int, int], wait_ms: int = 0, bytes_min: int = 1,
               bytes_max: int = 1 << 30, replica_id: int = -1) -> bytes:
    body = Body(version >= 12)
    if version < 15:
        body.pack("i", replica_id)
    body.pack("iiib", wait_ms, bytes_min, bytes_max, 0)
    if version >= 7:
        body.pack("ii", 0, -1)
    body.array(1)
    body.put(topic_id(topic)) if version >= 13 else body.text(topic)
    body.array(len(offsets))
    for index, offset in offsets.items():
        body.pack("i", index)
        if version >= 9:
            body.pack("i", -1)
        body.pack("q", offset)
        if version >= 12:
            body.pack("i", -1)
        if version >= 5:
            body.pack("q", -1)
        body.pack("i", bytes_max).tags()
    body.tags()
    if version >= 7:
        body.array(0)
    if version >= 11:
        body.text("")
    if version >= 15 and replica_id != -1:
        state = struct.pack(">iq", replica_id, -1) + b"\0"
        return bytes(body.data) + b"\x01" + uvarint(1) + uvarint(len(state)) + state
    return bytes(body.tags().data)


def list_offsets_body(version: int, topic: str, partition: int, timestamp: int, replica_id: int = -1) -> bytes:
    body = Body(version >= 6).pack("i", replica_id)
    if version >= 2:
        body.pack("b", 0)
    body.array(1).text(topic).array(1).pack("i", partition)
    if version >= 4:
        body.pack("i", -1)
    body.pack("q", timestamp)
    if version == 0:
        body.pack("i", 1)
    body.tags().tags()
    if version >= 10:
        body.pack("i", 30000)
    return bytes(body.tags().data)


# --- records ---

@functools.lru_cache(maxsize=1)
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def crc32c(data: bytes) -> int:
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def batch(values: list[bytes]) -> bytes:
    """A record batch of magic 2 at offset 0."""
    records = b""
    for i, value in enumerate(values):
        record = b"\0" + zigzag(0) + zigzag(i) + zigzag(-1) + zigzag(len(value)) + value + zigzag(0)
        records += zigzag(len(record)) + record
    now_ms = 1600000000000
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, now_ms, now_ms, -1, -1, -1, len(values)) + records
    return struct.pack(">qiibI", 0, 9 + len(tail), 0, 2, crc32c(tail)) + tail


def batches(records: bytes) -> list[tuple[int, int, bool]]:
    """(base offset, records, whether its checksum holds) of each whole batch."""
    found, at = [], 0
    while at + 61 <= len(records):
        base, length = struct.unpack_from(">qi", records, at)
        if at + 12 + length > len(records):
            break
        crc, count = struct.unpack_from(">I", records, at + 17)[0], struct.unpack_from(">i", records, at + 57)[0]
        found.append((base, count, crc32c(records[at + 21:at + 12 + length]) == crc))
        at += 12 + length
    return found


# --- SCRAM, the client's end (RFC 5802) ---

@functools.lru_cache(maxsize=None)
def _salted(name: str, password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac(name, password.encode(), salt, iterations)


class Scram:
    """first() and final(challenge) are the two tokens; check(last) that the server knows the password too."""

    def __init__(self, mechanism: str, user: str, password: str):
        self.hash, self.password = HASHES[mechanism], password
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user},r={self.nonce}"

    def first(self) -> bytes:
        return f"n,,{self.bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce), "nonce"
        salted = _salted(self.hash, self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", self.hash)
        stored_key = hashlib.new(self.hash, client_key).digest()
        without_proof = f"c=biws,r={fields['r']}"
        text = f"{self.bare},{challenge.decode()},{without_proof}".encode()
        signature = hmac.digest(stored_key, text, self.hash)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", self.hash)
        self.expected = b"v=" + base64.b64encode(hmac.digest(server_key, text, self.hash))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, last: bytes) -> None:
        assert last == self.expected, "the server did not prove itself"


# --- sockets ---

class Raw:
    """A connection on which anything may be sent; everything that comes is kept."""

    def __init__(self, port: int, timeout_s: float = 20, tls=None, host: str = "127.0.0.1", narrow: bool = False):
        """`narrow`: little lies between the peer and who reads here slowly, neither in our buffer nor in the peer's."""
        self.timeout_s = timeout_s
        self.received = b""
        self.socket = self._narrow(host, port) if narrow else socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def _narrow(self, host: str, port: int) -> socket.socket:
        found = socket.socket()
        found.settimeout(self.timeout_s)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)  # the kernel gives a sender room for some segments
        found.connect((host, port))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> "Raw":
        self.socket.sendall(data)
        return self

    def send_anyway(self, data: bytes) -> "Raw":
        """The peer may have ended already."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass
        return self

    def _more(self, deadline: float) -> bytes:
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            return self.socket.recv(1 << 18)
        except TimeoutError:
            raise TimeoutError(f"nothing came for {self.timeout_s:g} s") from None
        finally:
            self.socket.settimeout(self.timeout_s)

    def take(self, count: int) -> bytes:
        deadline = time.monotonic() + self.timeout_s
        pieces, have = [self.received], len(self.received)
        while have < count:
            try:
                piece = self._more(deadline)
            except ConnectionError as error:
                raise Closed(str(error)) from None
            if not piece:
                raise Closed("end of stream")
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self.received = data[count:]
        return data[:count]

    def frame(self) -> bytes:
        """The next response without its size."""
        return self.take(struct.unpack(">i", self.take(4))[0])

    def ended(self, timeout_s: float | None = None) -> bytes:
        """Waits until the peer ends the connection, one way or the other; what came before. TimeoutError if not."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            try:
                piece = self._more(deadline)
            except ConnectionError:
                return self.received
            if not piece:
                return self.received
            self.received += piece

    def quiet(self, for_s: float = 0.2) -> bool:
        """Nothing comes, and the connection stays."""
        return not select.select([self.socket], [], [], for_s)[0]


class Client(Raw):
    """One connection of a client that behaves."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None,
                 mechanism: str = "SCRAM-SHA-512", timeout_s: float = 20, tls=None, client_id: str | None = "good",
                 host: str = "127.0.0.1", narrow: bool = False):
        super().__init__(port, timeout_s, tls, host, narrow)
        self.correlation_id = 0
        self.client_id = client_id
        self.lifetime_ms = 0  # of the login, as told with its last token
        try:
            if user is not None:
                self.log_in(user, password, mechanism)
        except BaseException:
            self.close()
            raise

    def ask(self, key: int, version: int, body: bytes = b"") -> int:
        """Sends only; the correlation id."""
        self.correlation_id += 1
        self.send(request(key, version, body, self.correlation_id, self.client_id))
        return self.correlation_id

    def answer(self, key: int, version: int, correlation_id: int) -> Answer:
        payload = self.frame()
        found = struct.unpack_from(">i", payload)[0]
        if found != correlation_id:
            raise AssertionError(f"correlation id {found}, not {correlation_id}")
        compact = flexible(key, version)
        answer = Answer(payload[4:], compact)
        if compact and key != API_VERSIONS:
            answer.tags()
        return answer

    def call(self, key: int, version: int, body: bytes = b"") -> Answer:
        return self.answer(key, version, self.ask(key, version, body))

    # --- login ---

    def authenticate(self, token: bytes, version: int = 1) -> bytes:
        answer = self.call(AUTHENTICATE, version, authenticate_body(token, version))
        error, text = answer.take("h"), answer.text()
        if error:
            raise PermissionError(error, text)
        token = answer.bytes()
        self.lifetime_ms = answer.take("q") if version >= 1 else 0
        return token

    def handshake(self, mechanism: str, version: int = 1) -> None:
        answer = self.call(HANDSHAKE, version, handshake_body(mechanism))
        error = answer.take("h")
        if error:
            raise PermissionError(error, "mechanism")

    def log_in(self, user: str, password: str, mechanism: str = "SCRAM-SHA-512") -> None:
        self.handshake(mechanism)
        if mechanism == "PLAIN":
            self.authenticate(f"\0{user}\0{password}".encode())
            return
        scram = Scram(mechanism, user, password)
        scram.check(self.authenticate(scram.final(self.authenticate(scram.first()))))

    # --- requests ---

    def api_versions(self, version: int = 3) -> dict[int, tuple[int, int]]:
        answer = self.call(API_VERSIONS, version, api_versions_body(version))
        error = answer.take("h")
        if error:
            raise PermissionError(error, "ApiVersions")
        found = {}
        for _ in range(answer.array()):
            key, low, high = answer.take("hhh")
            answer.tags()
            found[key] = (low, high)
        return found

    def metadata(self, topics: list[str] | None = None, version: int = 9, create: bool = True):
        """node id → (host, port), topic → leaders in order of partitions."""
        answer = self.call(METADATA, version, metadata_body(version, topics, create))
        if version >= 3:
            answer.take("i")
        brokers, leaders = {}, {}
        for _ in range(answer.array()):
            node = answer.take("i")
            brokers[node] = (answer.text(), answer.take("i"))
            if version >= 1:
                answer.text()
            answer.tags()
        if version >= 2:
            answer.text()
        if version >= 1:
            answer.take("i")
        for _ in range(answer.array()):
            answer.take("h")
            name = answer.text()
            if version >= 10:
                answer.raw(16)
            if version >= 1:
                answer.take("b")
            leaders[name] = self._partitions(answer, version)
            if version >= 8:
                answer.take("i")
            answer.tags()
        return brokers, leaders

    @staticmethod
    def _partitions(answer: Answer, version: int) -> list[int]:
        rows = {}
        for _ in range(answer.array()):
            _, index, leader = answer.take("hii")
            rows[index] = leader
            if version >= 7:
                answer.take("i")
            for _ in range(3 if version >= 5 else 2):
                for _ in range(answer.array()):
                    answer.take("i")
            answer.tags()
        return [rows[index] for index in sorted(rows)]

    def produce(self, topic: str, partition: int, records: bytes, version: int = 7, acks: int = 1) -> tuple[int, int]:
        """(error, base offset)."""
        answer = self.call(PRODUCE, version, produce_body(version, topic, {partition: records}, acks))
        return produced(answer, version)[partition]

    def fetch(self, topic: str, partition: int, offset: int = 0, version: int = 11, **options) -> tuple[int, bytes]:
        """(error, records)."""
        answer = self.call(FETCH, version, fetch_body(version, topic, {partition: offset}, **options))
        return fetched(answer, version)[0][partition]

    def offset(self, topic: str, partition: int, timestamp: int = -1, version: int = 5) -> int:
        answer = self.call(LIST_OFFSETS, version, list_offsets_body(version, topic, partition, timestamp))
        if version >= 2:
            answer.take("i")
        answer.array(), answer.text(), answer.array()
        _, error, _, offset = answer.take("ihqq")
        if error:
            raise PermissionError(error, "ListOffsets")
        return offset


def produced(answer: Answer, version: int) -> dict[int, tuple[int, int]]:
    """partition → (error, base offset) of an answer with one topic."""
    found = {}
    answer.array()
    answer.raw(16) if version >= 13 else answer.text()
    for _ in range(answer.array()):
        index, error, base = answer.take("ihq")
        if version >= 2:
            answer.take("q")
        if version >= 5:
            answer.take("q")
        if version >= 8:
            answer.array(), answer.text()
        answer.tags()
        found[index] = (error, base)
    answer.tags()
    if version >= 1:
        answer.take("i")
    return found


def fetched(answer: Answer, version: int) -> tuple[dict[int, tuple[int, bytes]], dict[int, bytes]]:
    """partition → (error, records) of an answer with one topic, and the answer's own tags."""
    found = {}
    answer.take("i")
    if version >= 7:
        answer.take("hi")
    for _ in range(answer.array()):
        answer.raw(16) if version >= 13 else answer.text()
        for _ in range(answer.array()):
            index, error = answer.take("ih")
            answer.take("qq")
            if version >= 5:
                answer.take("q")
            for _ in range(max(0, answer.array())):
                answer.take("qq")
                answer.tags()
            if version >= 11:
                answer.take("i")
            found[index] = (error, answer.bytes() or b"")
            answer.tags()
        answer.tags()
    return found, answer.tags()


def endpoints(tag: bytes) -> dict[int, tuple[str, int]]:
    """node id → (host, port) of a NodeEndpoints tag."""
    answer, found = Answer(tag, True), {}
    for _ in range(answer.array()):
        node = answer.take("i")
        found[node] = (answer.text(), answer.take("i"))
        answer.text()
        answer.tags()
    return found
