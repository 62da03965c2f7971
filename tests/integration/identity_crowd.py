# SPDX-License-Identifier: Apache-2.0
"""Thousands of short connections of two services, interleaved: logins of every mechanism, renewals, and every way to be cut off.

Each connection has a client.id of its own that names its service; so has each part of it that a renewal divides. What it writes
is that id.
"""

import collections
import concurrent.futures
import dataclasses
import heapq
import random
import socket
import ssl
import threading
import time

from tests.integration import gssapi
from tests.integration import kafka_client as kafka
from tests.rig import kdc

NODES, SERVICES = (1, 2, 3), ("orders", "payments")
THREADS = 12
TCP_REPAIR = 19
STAY_S = 9.5  # longer than a login lasts at the brokers' listener RENEW
# How a connection ends, and how many in a hundred do so.
ENDINGS = {"whole": 50, "renews": 10, "renews_as_another": 4, "stays": 2, "reset_in_login": 10, "reset_in_request": 8,
           "reset_behind_request": 7, "vanishes": 7, "hangs": 2}
MECHANISMS = {"SCRAM-SHA-512": 30, "SCRAM-SHA-256": 20, "PLAIN": 10, "OAUTHBEARER": 15, "GSSAPI": 10, "mTLS": 15}
RENEWING = 15  # in a hundred come to brokers whose logins end


@dataclasses.dataclass(frozen=True)
class Job:
    number: int
    service: str
    node_id: int
    ending: str
    mechanism: str
    door: str  # the listener of Setu's

    @property
    def id(self) -> str:
        return f"{self.service}-{self.number:06}"


def jobs(count: int, dice: random.Random) -> list[Job]:
    endings = [name for name, share in ENDINGS.items() for _ in range(count * share // 100)]
    endings += ["whole"] * (count - len(endings))
    dice.shuffle(endings)
    found = []
    for i, ending in enumerate(endings):
        mechanism = dice.choices(list(MECHANISMS), MECHANISMS.values())[0]
        door = "renewing" if ending == "stays" or dice.randrange(100) < RENEWING else "clients"
        if ending in ("reset_in_login", "hangs"):
            mechanism = "SCRAM-SHA-512"  # it is known where its login stops
        elif ending in ("renews", "renews_as_another", "stays") and mechanism == "mTLS":
            mechanism = "PLAIN"
        if mechanism == "mTLS":
            door = "certificates"
        elif mechanism == "GSSAPI" and door == "renewing":
            mechanism = "SCRAM-SHA-256"
        found.append(Job(i, SERVICES[i % 2], NODES[i // 2 % 3], ending, mechanism, door))
    dice.shuffle(found)
    # Those that stay begin behind the middle, where Setu is killed when that is done once, and are not waited for long.
    rest = [job for job in found if job.ending != "stays"]
    for job in found:
        if job.ending == "stays":
            rest.insert(dice.randrange(count * 5 // 10, count * 7 // 10), job)
    return rest


class Keys:
    """What the two services prove themselves with."""

    def __init__(self, cluster):
        self.passwords = cluster.passwords
        self.tickets = {service: cluster.kdc.kinit(service) for service in SERVICES}
        self.messages = {service: f"n,,\x01auth=Bearer {cluster.issuer.token(service)}\x01\x01".encode()
                         for service in SERVICES}
        self.contexts = {}
        for service in SERVICES:
            context = ssl.create_default_context(cafile=cluster.authority.certificate)
            own = cluster.certificates[service]
            context.load_cert_chain(own.chain, own.key)
            self.contexts[service] = context

    def connect(self, port: int, job: Job, client_id: str) -> kafka.Client:
        """Not logged in yet, unless the certificate is its login."""
        tls = self.contexts[job.service] if job.mechanism == "mTLS" else None
        if job.mechanism == "GSSAPI":
            client = gssapi.Client(port)
            client.timeout_s, client.client_id = 60, client_id
        else:
            client = kafka.Client(port, client_id=client_id, timeout_s=60, tls=tls)
        client.correlation_id = job.number * 100  # an answer to somebody else would be noticed
        return client

    def log_in(self, client: kafka.Client, service: str, mechanism: str) -> None:
        if mechanism == "GSSAPI":
            client.prove(self.tickets[service])
        elif mechanism == "OAUTHBEARER":
            client.handshake(mechanism)
            if client.authenticate(self.messages[service]) != b"":
                client.authenticate(b"\x01")  # an error object: what follows is the refusal
                raise AssertionError("let in behind an error object")
        elif mechanism != "mTLS":
            client.log_in(service, self.passwords[service], mechanism)


class Crowd:
    """`doors`: listener → its port for node 0. run() from the main thread, which also kills Setu, `kills` times."""

    def __init__(self, setu, doors: dict[str, int], topics: dict[str, str], count: int, seed: int):
        self.setu, self.doors, self.topics, self.dice = setu, doors, topics, random.Random(seed)
        self.keys = Keys(setu.cluster)
        self.jobs = jobs(count, self.dice)
        self.steps = {job.number: self.dice.randrange(4) for job in self.jobs}
        self.lock = threading.Lock()
        self.held: list[kafka.Client] = []
        self.parked: list[tuple] = []  # (when, number, life, client, job, id)
        self.acknowledged = {service: set() for service in SERVICES}
        self.counts = collections.Counter()
        self.life, self.up = 0, threading.Event()
        self.up.set()

    # --- the whole ---

    def run(self, kills: int = 0) -> None:
        every = len(self.jobs) // (kills + 1) + 1
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            waiting = [pool.submit(self._one, job) for job in self.jobs]
            for i, done in enumerate(concurrent.futures.as_completed(waiting), 1):
                try:
                    done.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                if i % every == 0:
                    self._kill()
            for done in [pool.submit(self._look_after_parked, True) for _ in range(THREADS)]:
                done.result()

    def _kill(self) -> None:
        self.up.clear()
        self.setu.process.kill()
        self.life += 1
        self.counts["kills"] += 1
        self.setu.start()
        self.up.set()

    def release(self) -> None:
        for client in (*self.held, *(row[3] for row in self.parked)):
            client.close()

    def _one(self, job: Job) -> None:
        self._look_after_parked()
        for attempt in range(100):
            life = self.life
            self.up.wait()
            client, client_id = None, f"{job.id}.{attempt}"
            try:
                client = self.keys.connect(self.doors[job.door] + job.node_id, job, client_id)
                getattr(self, f"_{job.ending}")(client, job, client_id)
                self.counts[job.ending] += 1
                self.counts[job.mechanism] += 1
                return
            except OSError as error:
                if client:
                    client.close()
                if isinstance(error, ConnectionRefusedError) and life > 0:
                    time.sleep(0.2)  # it serves again, but not at each port yet
                elif isinstance(error, PermissionError) or life == self.life and self.up.is_set():
                    raise AssertionError(f"{job}: {error!r}") from error
                self.counts["repeated after a kill"] += 1
            except BaseException as error:
                raise AssertionError(f"{job}: {error!r}") from error
        raise AssertionError(f"{job}: never done")

    # --- steps ---

    def _log_in(self, client: kafka.Client, job: Job) -> None:
        self.keys.log_in(client, job.service, job.mechanism)

    def _body(self, client: kafka.Client, job: Job) -> bytes:
        records = kafka.batch([client.client_id.encode()])
        return kafka.produce_body(7, self.topics[job.service], {job.node_id - 1: records}, acks=1)

    def _write(self, client: kafka.Client, job: Job) -> None:
        answer = client.call(kafka.PRODUCE, 7, self._body(client, job))
        error, _ = kafka.produced(answer, 7)[job.node_id - 1]
        if error:
            raise AssertionError(f"Produce error {error}")
        with self.lock:
            self.acknowledged[job.service].add(client.client_id)

    def _half_a_request(self, client: kafka.Client, job: Job) -> None:
        client.send(kafka.request(kafka.PRODUCE, 7, self._body(client, job), 1, client.client_id)[:-20])

    # --- endings ---

    def _whole(self, client: kafka.Client, job: Job, _client_id: str) -> None:
        self._log_in(client, job)
        self._write(client, job)
        brokers, _ = client.metadata([self.topics[job.service]])
        if brokers != {node: (kdc.HOST, self.doors[job.door] + node) for node in NODES}:
            raise AssertionError(f"brokers {brokers}")
        client.close()

    def _renews(self, client: kafka.Client, job: Job, client_id: str) -> None:
        self._log_in(client, job)
        self._write(client, job)
        self._log_in(client, job)
        self.counts["renewals by clients"] += 1
        client.client_id = f"{client_id}.again"
        self._write(client, job)
        client.close()

    def _renews_as_another(self, client: kafka.Client, job: Job, _client_id: str) -> None:
        self._log_in(client, job)
        self._write(client, job)
        other = SERVICES[1 - SERVICES.index(job.service)]
        try:
            self.keys.log_in(client, other, job.mechanism)
        except PermissionError:
            client.ended()
            client.close()
            return
        raise AssertionError(f"is {other} now")

    def _stays(self, client: kafka.Client, job: Job, client_id: str) -> None:
        """Until its login at the broker is over: Setu has to renew that."""
        self._log_in(client, job)
        self._write(client, job)
        with self.lock:
            heapq.heappush(self.parked, (time.monotonic() + STAY_S, job.number, self.life, client, job, client_id))

    def _look_after_parked(self, wait: bool = False) -> None:
        while True:
            with self.lock:
                due = self.parked[0][0] - time.monotonic() if self.parked else None
                row = heapq.heappop(self.parked) if due is not None and due <= 0 else None
            if row:
                self._return(*row[2:])
            elif due is None or not wait:
                return
            else:
                time.sleep(min(0.2, due))

    def _return(self, life: int, client: kafka.Client, job: Job, client_id: str) -> None:
        client.client_id = f"{client_id}.late"
        try:
            self._write(client, job)
            self.counts["came back"] += 1
        except OSError as error:
            if life == self.life and self.up.is_set():
                raise AssertionError(f"{job} came back: {error!r}") from error
            self.counts["cut by a kill"] += 1
        client.close()

    def _reset_in_login(self, client: kafka.Client, job: Job, client_id: str) -> None:
        scram = kafka.Scram("SCRAM-SHA-512", job.service, self.keys.passwords[job.service])
        step = self.steps[job.number]
        if step == 0:
            client.send(kafka.request(kafka.HANDSHAKE, 1, kafka.handshake_body("SCRAM-SHA-512"), 1, client_id)[:9])
        else:
            client.handshake("SCRAM-SHA-512")
        if step > 1:
            final = scram.final(client.authenticate(scram.first()))
            client.ask(kafka.AUTHENTICATE, 1, kafka.authenticate_body(final))
        if step > 2:
            client.frame()  # logged in here; the broker is being dialled
        client.reset()

    def _reset_in_request(self, client: kafka.Client, job: Job, _client_id: str) -> None:
        self._log_in(client, job)
        self._half_a_request(client, job)
        client.reset()

    def _reset_behind_request(self, client: kafka.Client, job: Job, _client_id: str) -> None:
        self._log_in(client, job)
        client.ask(kafka.PRODUCE, 7, self._body(client, job))
        client.reset()

    def _vanishes(self, client: kafka.Client, job: Job, _client_id: str) -> None:
        """The machine of the client is switched off: no end, no reset."""
        self._log_in(client, job)
        client.ask(kafka.PRODUCE, 7, self._body(client, job))
        # An answer that comes when nobody is there any more: by that alone Setu notices.
        client.ask(kafka.FETCH, 11, kafka.fetch_body(11, self.topics[job.service], {job.node_id - 1: 0}, wait_ms=1000,
                                                     bytes_min=1 << 30))
        try:
            client.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            client.reset()
        client.close()

    def _hangs(self, client: kafka.Client, job: Job, _client_id: str) -> None:
        """Stays, in the middle of its login or of a request."""
        if self.steps[job.number] % 2:
            client.handshake("SCRAM-SHA-512")
        else:
            self._log_in(client, job)
            self._half_a_request(client, job)
        with self.lock:
            self.held.append(client)
