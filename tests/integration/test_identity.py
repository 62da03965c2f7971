# SPDX-License-Identifier: Apache-2.0
"""Two services at once, thousands of short connections, many of them cut off: each is whom the broker takes it for."""

import collections
import concurrent.futures
import dataclasses
import os
import random
import socket
import threading

from tests.integration import kafka_client as kafka
from tests.integration import own_setu
from tests.integration.helpers import RigTest
from tests.rig import evidence
from tests.rig.process import wait_until

NODES, SERVICES = (1, 2, 3), ("orders", "payments")
CONNECTIONS, THREADS = 2400, 12
TCP_REPAIR = 19
# How a connection ends, and how many in a hundred do so.
ENDINGS = {"whole": 64, "reset_in_login": 10, "reset_in_request": 8, "reset_behind_request": 8, "vanishes": 8,
           "hangs": 2}
TOPIC_AUTHORIZATION_FAILED = 29


@dataclasses.dataclass(frozen=True)
class Job:
    number: int
    service: str
    node_id: int
    ending: str

    @property
    def client_id(self) -> str:
        return f"{self.service}-{self.number:06}"


class Crowd:
    """The connections, each with a client.id of its own that names its service."""

    def __init__(self, setu, topics: dict[str, str], seed: int):
        self.setu, self.topics, self.dice = setu, topics, random.Random(seed)
        self.held: list[kafka.Raw] = []
        self.lock = threading.Lock()
        endings = [name for name, share in ENDINGS.items() for _ in range(CONNECTIONS * share // 100)]
        self.dice.shuffle(endings)
        self.jobs = [Job(i, SERVICES[i % 2], NODES[i // 2 % 3], ending) for i, ending in enumerate(endings)]
        self.dice.shuffle(self.jobs)
        self.steps = {job.number: self.dice.randrange(4) for job in self.jobs}

    def run(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for done in concurrent.futures.as_completed([pool.submit(self._one, job) for job in self.jobs]):
                done.result()

    def release(self) -> None:
        for client in self.held:
            client.close()

    def _one(self, job: Job) -> None:
        client = kafka.Client(self.setu.node_base_port + job.node_id, client_id=job.client_id, timeout_s=60)
        client.correlation_id = job.number * 100  # an answer to somebody else would be noticed
        try:
            getattr(self, f"_{job.ending}")(client, job)
        except BaseException as error:
            client.close()
            raise AssertionError(f"{job}: {error!r}") from error

    def _log_in(self, client: kafka.Client, job: Job) -> None:
        client.log_in(job.service, self.setu.cluster.passwords[job.service])

    def _produce(self, job: Job) -> bytes:
        records = kafka.batch([job.client_id.encode()])
        return kafka.produce_body(7, self.topics[job.service], {job.node_id - 1: records}, acks=1)

    def _whole(self, client: kafka.Client, job: Job) -> None:
        self._log_in(client, job)
        answer = client.call(kafka.PRODUCE, 7, self._produce(job))
        error, _ = kafka.produced(answer, 7)[job.node_id - 1]
        if error:
            raise AssertionError(f"Produce error {error}")
        brokers, _ = client.metadata([self.topics[job.service]])
        if brokers != {node: ("127.0.0.1", self.setu.node_base_port + node) for node in NODES}:
            raise AssertionError(f"brokers {brokers}")
        client.close()

    def _reset_in_login(self, client: kafka.Client, job: Job) -> None:
        scram = kafka.Scram("SCRAM-SHA-512", job.service, self.setu.cluster.passwords[job.service])
        step = self.steps[job.number]
        if step == 0:
            client.send(kafka.request(kafka.HANDSHAKE, 1, kafka.handshake_body("SCRAM-SHA-512"), 1, job.client_id)[:9])
        else:
            client.handshake("SCRAM-SHA-512")
        if step > 1:
            final = scram.final(client.authenticate(scram.first()))
            client.ask(kafka.AUTHENTICATE, 1, kafka.authenticate_body(final))
        if step > 2:
            client.frame()  # logged in here; the broker is being dialled
        client.reset()

    def _reset_in_request(self, client: kafka.Client, job: Job) -> None:
        self._log_in(client, job)
        client.send(kafka.request(kafka.PRODUCE, 7, self._produce(job), 1, job.client_id)[:-20])
        client.reset()

    def _reset_behind_request(self, client: kafka.Client, job: Job) -> None:
        self._log_in(client, job)
        client.ask(kafka.PRODUCE, 7, self._produce(job))
        client.reset()

    def _vanishes(self, client: kafka.Client, job: Job) -> None:
        """The machine of the client is switched off: no end, no reset."""
        self._log_in(client, job)
        client.ask(kafka.PRODUCE, 7, self._produce(job))
        try:
            client.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            client.reset()
        client.close()

    def _hangs(self, client: kafka.Client, job: Job) -> None:
        """Stays, in the middle of its login or of a request."""
        if self.steps[job.number] % 2:
            client.handshake("SCRAM-SHA-512")
        else:
            self._log_in(client, job)
            client.send(kafka.request(kafka.PRODUCE, 7, self._produce(job), 1, job.client_id)[:-20])
        with self.lock:
            self.held.append(client)


class Identity(RigTest):
    def requests(self, starts: dict[int, int]) -> list[evidence.Request]:
        """What the brokers logged on the listener that Setu comes to."""
        return [row for node_id, broker in self.cluster.nodes.items()
                for row in evidence.requests(broker, starts[node_id]) if row.listener == "CLIENT"]

    def test_every_connection_reaches_the_broker_as_its_own_service(self):
        seed = int.from_bytes(os.urandom(4), "big")
        setu = own_setu.start(self, self.setu(start=False))
        # kafka_client's records are of 2020: without this the broker deletes them after half a minute.
        topics = {service: self.topic(service, leaders=list(NODES), retention_ms=-1) for service in SERVICES}
        starts = {node_id: evidence.log_end(broker, "request.log") for node_id, broker in self.cluster.nodes.items()}
        self.cluster.log_requests(True)
        self.addCleanup(self.cluster.log_requests, False)
        crowd = Crowd(setu, topics, seed)
        self.addCleanup(crowd.release)
        crowd.run()
        by_id = {job.client_id: job for job in crowd.jobs}
        whole = {job.client_id for job in crowd.jobs if job.ending == "whole"}

        def all_logged():
            return whole <= {row.client_id for row in self.requests(starts) if row.api == "METADATA"}

        wait_until(all_logged, 60, "requests of all whole connections in the brokers' logs", 0.5)
        self.cluster.log_requests(False)
        rows, seen = self.requests(starts), collections.defaultdict(set)
        for row in rows:
            job = by_id.get(row.client_id)
            if job is None:  # Setu's own looks at the brokers
                self.assertEqual(row.principal, "User:setu", row)
                continue
            self.assertEqual((row.principal, row.node_id), (f"User:{job.service}", job.node_id), f"seed {seed}: {row}")
            seen[job.node_id, job.service].add(row.client_id)
        self.check_contents(setu, topics, whole, by_id)
        self.check_nothing_left(setu, crowd)
        counts = {node: {service: len(seen[node, service]) for service in SERVICES} for node in NODES}
        endings = collections.Counter(job.ending for job in crowd.jobs)
        print(f"    {len(crowd.jobs)} connections (" + ", ".join(f"{n} {name}" for name, n in endings.items()) + ")")
        for node, found in counts.items():
            as_whom = ", ".join(f"{n} of {service} as User:{service}" for service, n in found.items())
            print(f"    node {node} saw {as_whom}, none as somebody else", flush=True)
        self.assertGreaterEqual(sum(map(len, seen.values())), len(whole))

    def check_contents(self, setu, topics: dict[str, str], whole: set[str], by_id: dict[str, Job]) -> None:
        """A service's topic holds its own records only, once each, all those that were acknowledged among them."""
        for service, topic in topics.items():
            found = self.kcat_read(setu.login(service), topic)
            self.assertEqual([name for name, n in collections.Counter(found).items() if n > 1], [], "written twice")
            own = {name for name in whole if by_id[name].service == service}
            self.assertEqual(sorted(own - set(found))[:20], [], "acknowledged, but not there")
            self.assertEqual({by_id[name].service for name in found}, {service})

    def check_nothing_left(self, setu, crowd: Crowd) -> None:
        """Setu keeps the connections that hang, and no other; and no broker connection without a client."""
        crowd.release()

        def empty():
            now = own_setu.stats(setu)
            return now["client_connections"] == now["broker_connections"] == now["client_logins_in_progress"] == 0

        wait_until(empty, 30, "Setu without connections", 0.2)
        own_setu.assert_ends(self, setu, "client_closed", "client_reset", "login_timeout")
        accepted = own_setu.stats(setu)['client_connections_total{outcome="accepted"}']
        self.assertGreaterEqual(accepted, CONNECTIONS)

    def test_writes_to_the_topic_of_another_service_are_refused_by_the_broker(self):
        setu = own_setu.start(self, self.setu(start=False))
        topic = self.topic("orders", leaders=list(NODES))
        for node_id in NODES:
            with kafka.Client(setu.node_base_port + node_id, "payments", self.cluster.passwords["payments"]) as client:
                for version in (3, 7):
                    error, _ = client.produce(topic, node_id - 1, kafka.batch([b"x"]), version)
                    self.assertEqual(error, TOPIC_AUTHORIZATION_FAILED)
            with kafka.Client(setu.node_base_port + node_id, "orders", self.cluster.passwords["orders"]) as client:
                error, _ = client.produce(topic, node_id - 1, kafka.batch([b"x"]))
                self.assertEqual(error, 0)
        wait_until(lambda: self.cluster.end_offsets(topic) == [1, 1, 1], 20, "one record in each partition")
        denied = {row.node_id for row in self.cluster.seen("User:payments", topic)
                  if not row.allowed and row.operation == "write"}
        self.assertEqual(denied, set(NODES))
        for line in setu.log.read_text().splitlines():
            if "session_id=" in line:
                self.assertIn("level=info", line)
        counted = own_setu.fresh_stats(setu)
        self.assertEqual(counted['mapping_decisions_total{result="mapped"}'], 2 * len(NODES))
        self.assertEqual(counted['auth_attempts_total{result="denied"}'], 0)
