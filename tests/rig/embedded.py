# SPDX-License-Identifier: Apache-2.0
"""The demo without Java: three built-in test brokers instead of Apache Kafka, and a client in plain Python.

It shows Setu at work where Kafka cannot run. It proves less: the test broker shares code with Setu, and has no ACLs.
"""

import collections
import ctypes
import ctypes.util
import dataclasses
import itertools
import pathlib
import re
import secrets
import shutil
import struct
import tempfile
import time

from tests.integration import kafka_client
from tests.rig import certificates, paths, ports, scram, setu
from tests.rig.cluster import ITERATIONS, SERVICES, USERS
from tests.rig.process import Process, tail

TOPIC, PARTITIONS = "orders-demo", 6
BATCH, IN_FLIGHT = 500, 4
PRODUCE_VERSION, FETCH_VERSION = 7, 4
FETCH_BYTES = 1 << 20
LOGIN = re.compile(r"^login principal=(?P<principal>.*?) (?:mechanism|node|peer)=", re.M)


# --- the cluster ---

@dataclasses.dataclass
class Node:
    node_id: int
    generation: str
    version: str
    ports: dict
    process: Process

    def address(self, listener: str = "CLIENT") -> str:
        return f"127.0.0.1:{self.ports[listener]}"


class EmbeddedCluster:
    """What Setu and the demo need of a Cluster: nodes 1 and 2 with SASL, node 3 with client certificates."""

    def __init__(self, broker: pathlib.Path, keep_mib: int, say):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="setu-rig-"))
        self.say = say
        self.kraft, self.kdc = False, None
        self.passwords = {user: secrets.token_hex(12) for user in USERS}
        self.salts = {user: secrets.token_bytes(24) for user in USERS}
        self.authority = certificates.Authority(self.directory / "certificates")
        self.certificates = {name: self.authority.issue(name) for name in (*SERVICES, "setu")}
        users = setu.private_file(self.directory / "broker-users.yaml", setu.yaml({"users": [
            {"name": user, "scram-sha-512": self.scram_record(user, "SCRAM-SHA-512")} for user in USERS]}) + "\n")
        own = self.authority.issue("broker", server=True)
        places = {n: {"CLIENT": ports.free_port(), "DIRECT": ports.free_port()} for n in (1, 2, 3)}
        self.nodes = {}
        for node_id, doors in places.items():
            generation, profile = ("legacy", "2.8") if node_id < 3 else ("ajna", "3.9")
            door = "--sasl" if generation == "legacy" else "--ssl"
            argv = [broker, "--id", node_id, door, f"127.0.0.1:{doors['CLIENT']}",
                    "--plain", f"127.0.0.1:{doors['DIRECT']}", "--users", users, "--profile", profile,
                    "--ca", self.authority.certificate, "--chain", own.chain, "--key", own.key,
                    "--topic", f"{TOPIC}:{PARTITIONS}", "--topic", f"direct-demo:{PARTITIONS}", "--keep", keep_mib]
            for other, theirs in places.items():
                if other != node_id:
                    argv += ["--node", f"{other}=127.0.0.1:{theirs['CLIENT']}"]
            self.nodes[node_id] = Node(node_id, generation, f"test broker, as {profile}", doors,
                                       Process(f"test broker {node_id}", argv, self.directory / f"node{node_id}.log"))

    def scram_record(self, user: str, mechanism: str) -> str:
        return scram.record(mechanism, self.passwords[user], self.salts[user], ITERATIONS)

    def __enter__(self) -> "EmbeddedCluster":
        for node in self.nodes.values():
            node.process.start()
        for node in self.nodes.values():
            node.process.wait_ready(lambda log=node.process.log: "ready node=" in tail(log, 200), 20)
        return self

    def __exit__(self, kind, *_) -> None:
        for node in self.nodes.values():
            node.process.kill()
        if kind:
            self.say(f"logs kept in {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def principals(self, node_id: int) -> set[str]:
        """Everybody whom this broker says it let in on its CLIENT listener."""
        return {match["principal"] for match in LOGIN.finditer(self.nodes[node_id].process.log.read_text())}


# --- records of 100 bytes that all differ, in batches of one shape ---

class Batches:
    """Builds and reads batches of BATCH records. A value is its number in 12 digits, then letters."""

    def __init__(self, size: int):
        self._filler = b"x" * (size - 12)
        library = ctypes.CDLL(ctypes.util.find_library("isal") or "libisal.so.2")
        self._crc = library.crc32_iscsi
        self._crc.restype = ctypes.c_uint32
        self._crc.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32]
        self._heads, self._at, at = [], [], 0
        for i in range(BATCH):
            inner = b"\0\0" + kafka_client.zigzag(i) + b"\x01" + kafka_client.zigzag(size)
            head = kafka_client.zigzag(len(inner) + size + 1) + inner
            self._heads.append(head)
            self._at.append(at + len(head))
            at += len(head) + size + 1
        self._ends = self._filler + b"\0"

    def crc32c(self, data: bytes) -> int:
        return self._crc(data, len(data), 0xFFFFFFFF) ^ 0xFFFFFFFF

    def build(self, first: int, count: int) -> bytes:
        ends = self._ends
        records = b"".join(b"%b%012d%b" % (self._heads[i], first + i, ends) for i in range(count))
        now_ms = 1600000000000
        rest = struct.pack(">hiqqqhii", 0, count - 1, now_ms, now_ms, -1, -1, -1, count) + records
        return struct.pack(">qiibI", 0, 9 + len(rest), 0, 2, self.crc32c(rest)) + rest

    def read(self, data: bytes):
        """Yields (next offset, [numbers], altered) of each whole batch in a fetched record set."""
        at = 0
        while at + 61 <= len(data):
            base, length = struct.unpack_from(">qi", data, at)
            if at + 12 + length > len(data):
                return
            whole = data[at:at + 12 + length]
            crc, count = struct.unpack_from(">I", whole, 17)[0], struct.unpack_from(">i", whole, 57)[0]
            altered = count if self.crc32c(whole[21:]) != crc else 0
            numbers = []
            for value in (61 + self._at[i] for i in range(count)):
                if whole[value + 12:value + 12 + len(self._filler)] == self._filler:
                    numbers.append(int(whole[value:value + 12]))
                else:
                    altered += 1
            yield base + count, numbers, altered
            at += 12 + length


class Writer:
    """One connection to one leader; keeps a few requests in flight."""

    def __init__(self, client: kafka_client.Client, topic: str):
        self._client, self._topic = client, topic
        self._waiting = collections.deque()
        self.acknowledged = 0

    def send(self, partition: int, records: bytes, count: int) -> None:
        body = kafka_client.produce_body(PRODUCE_VERSION, self._topic, {partition: records}, acks=-1)
        self._waiting.append((self._client.ask(kafka_client.PRODUCE, PRODUCE_VERSION, body), count))
        if len(self._waiting) >= IN_FLIGHT:
            self._settle()

    def _settle(self) -> None:
        correlation_id, count = self._waiting.popleft()
        answer = self._client.answer(kafka_client.PRODUCE, PRODUCE_VERSION, correlation_id)
        answer.array(), answer.text(), answer.array()
        _, error = answer.take("ih")
        if error:
            raise RuntimeError(f"Produce error {error}")
        self.acknowledged += count

    def finish(self) -> None:
        while self._waiting:
            self._settle()
        self._client.close()


def leader(partition: int) -> int:
    """As the test broker has it."""
    return (1, 2, 3)[partition % 3]


def write(connect, topic: str, records: int, batches: Batches, progress) -> tuple[int, float]:
    """Writes records 0… to the leaders that `connect(node_id)` reaches; (acknowledged, seconds)."""
    began = told = time.monotonic()
    writers = {node_id: Writer(connect(node_id), topic) for node_id in (1, 2, 3)}
    for first, partition in zip(range(0, records, BATCH), itertools.cycle(range(PARTITIONS))):
        count = min(BATCH, records - first)
        writers[leader(partition)].send(partition, batches.build(first, count), count)
        if time.monotonic() - told > 4:
            told = time.monotonic()
            done = sum(w.acknowledged for w in writers.values())
            progress(done, done / (told - began))
    for writer in writers.values():
        writer.finish()
    return sum(w.acknowledged for w in writers.values()), time.monotonic() - began


def read_all(connect, topic: str, records: int, batches: Batches, progress) -> dict:
    """Reads every partition to its end and accounts for every record."""
    seen, consumed, duplicated, foreign = bytearray(records), 0, 0, 0
    for partition in range(PARTITIONS):
        offset = 0
        with connect(leader(partition)) as client:
            while True:
                body = kafka_client.fetch_body(FETCH_VERSION, topic, {partition: offset}, 100, 1, FETCH_BYTES)
                answer = client.call(kafka_client.FETCH, FETCH_VERSION, body)
                answer.take("i"), answer.array(), answer.text(), answer.array()
                _, error, end, _ = answer.take("ihqq")
                if error:
                    raise RuntimeError(f"Fetch error {error}")
                for _ in range(max(0, answer.array())):
                    answer.take("qq")
                for offset, numbers, altered in batches.read(answer.bytes() or b""):
                    consumed += len(numbers) + altered
                    foreign += altered
                    for number in numbers:
                        duplicated += seen[number]
                        seen[number] = 1
                progress(consumed)
                if offset >= end:
                    break
    return {"consumed": consumed, "lost": seen.count(0), "duplicated": duplicated, "foreign": foreign}


def broker_binary() -> pathlib.Path:
    for preset in ("release", "gcc", "asan"):
        candidate = paths.ROOT / "build" / preset / "tests" / "broker" / "setu-test-broker"
        if candidate.is_file():
            return candidate
    raise paths.Missing("the built-in test broker is not built: cmake --build build/release --target setu-test-broker")


def run(records: int, size: int, tell) -> tuple[dict, bool]:
    """The demo's report, and whether all is well."""
    tell.head("Starting three built-in test brokers: two that want SASL, one that wants a certificate")
    batches = Batches(size)
    keep_mib = (records // PARTITIONS + BATCH) * (size + 12) // (1 << 20) + 1
    with EmbeddedCluster(broker_binary(), 2 * keep_mib, tell) as cluster, setu.Setu(cluster) as proxy:
        tell(f"setu up: process {proxy.process.pid}, port {proxy.port}")

        def direct(node_id: int) -> kafka_client.Client:
            return kafka_client.Client(cluster.nodes[node_id].ports["DIRECT"])

        def through(node_id: int, user: str = "orders") -> kafka_client.Client:
            return kafka_client.Client(proxy.node_base_port + node_id, user, cluster.passwords[user])

        tell.head(f"Writing {records:,} records of {size} bytes without Setu, for comparison")
        _, direct_s = write(direct, "direct-demo", records, batches, tell.written(records))
        tell.head(f"Writing {records:,} records as orders (SCRAM-SHA-512) through Setu")
        acknowledged, setu_s = write(through, TOPIC, records, batches, tell.written(records))
        tell.head("Reading all of them back through Setu, and comparing their contents")
        counted = read_all(through, TOPIC, records, batches, tell.read(records))
        identities = []
        for user in SERVICES:
            for node_id, node in cluster.nodes.items():
                with through(node_id, user) as client:
                    client.call(kafka_client.METADATA, 1, struct.pack(">i", 0))
                subject = proxy.subject(user) if node.generation == "ajna" else None
                # This broker has no mapping rules: to it a certificate's holder is the whole subject.
                seen = cluster.principals(node_id) & {subject or user}
                identities.append({"principal": user, "certificate_subject": subject, "node_id": node_id,
                                   "seen_as": ", ".join(seen) or None})
                tell(f"   {user:<9} → node {node_id} saw {identities[-1]['seen_as']}")
        proxy.process.check()
        mib = size / (1 << 20)
        report = {
            "kafka": [{"node_id": n.node_id, "generation": n.generation, "version": n.version}
                      for n in cluster.nodes.values()],
            "records": {"sent": records, "acknowledged": acknowledged, "consumed": counted["consumed"],
                        "lost": counted["lost"], "duplicated": counted["duplicated"]},
            "throughput": {"direct_records_per_s": records / direct_s, "setu_records_per_s": records / setu_s,
                           "direct_mb_per_s": records * mib / direct_s, "setu_mb_per_s": records * mib / setu_s},
            "setu": {"cpu_s": round(proxy.process.cpu_s(), 2), "rss_peak_bytes": proxy.process.rss_peak_bytes()},
            "identities": identities,
        }
        good = (acknowledged == counted["consumed"] == records
                and not (counted["lost"] or counted["duplicated"] or counted["foreign"])
                and all(row["seen_as"] for row in identities))
    return report, good
