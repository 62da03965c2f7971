# SPDX-License-Identifier: Apache-2.0
"""Many clients at once that write to one node, come back when they are thrown out, and remember when they were served."""

import random
import threading
import time

from tests.integration import kafka_client
from tests.integration.kafka_client import Client

EAGER = (0.05, 0.05)  # reconnect.backoff.ms of Kafka's own clients, and nothing more however often it is in vain
KAFKA = (0.05, 1.0)  # doubled up to reconnect.backoff.max.ms, which Kafka's own clients have by default


class Crowd:
    """`count` clients of one port. Each writes one record, waits a little, writes the next. login: None, by certificate
    alone. backoff_s: shortest and longest; as with Kafka's own clients a login that succeeds makes it the shortest again."""

    def __init__(self, port: int, count: int, login: tuple[str, str] | None, topic: str, partition: int,
                 pause_s: float = 0.02, tls=None, mechanism: str = "SCRAM-SHA-512",
                 backoff_s: tuple[float, float] = EAGER):
        self.port, self.login, self.topic, self.partition = port, login or (None, None), topic, partition
        self.pause_s, self.tls, self.mechanism, self.backoff_s = pause_s, tls, mechanism, backoff_s
        self.served = [0.0] * count  # when each was answered last
        self.returned = [0.0] * count  # when each was answered first on the connection that it has now
        self.logins = [0] * count
        self.drops = [0] * count
        self.wrong: list[str] = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._live, args=(i,), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _backoff_s(self, failures: int) -> float:
        shortest, longest = self.backoff_s
        return min(shortest * 2 ** min(failures, 20), longest) * random.uniform(0.8, 1.2)

    def _stay(self, i: int, client: Client) -> None:
        first = True
        while not self.ending.is_set():
            error, _ = client.produce(self.topic, self.partition, kafka_client.batch([b"x"]))
            if error:
                self.wrong.append(f"Produce error {error}")
            self.served[i] = time.monotonic()
            if first:
                self.returned[i], first = self.served[i], False
            self.ending.wait(self.pause_s)

    def _live(self, i: int) -> None:
        failures = 0
        while not self.ending.is_set():
            try:
                with Client(self.port, *self.login, self.mechanism, tls=self.tls) as client:
                    failures = 0
                    self.logins[i] += 1
                    self._stay(i, client)
            except PermissionError as error:
                self.wrong.append(str(error))
                self.ending.wait(1)
            except OSError:
                self.drops[i] += 1
                self.ending.wait(self._backoff_s(failures))
                failures += 1

    def wait_served(self, since: float, timeout_s: float = 20) -> float:
        """Until each was served after `since`; how long that took."""
        deadline = time.monotonic() + timeout_s
        while any(at <= since for at in self.served):
            if time.monotonic() > deadline:
                late = sum(at <= since for at in self.served)
                raise TimeoutError(f"{late} of {len(self.served)} clients were not served within {timeout_s:g} s")
            time.sleep(0.005)
        return time.monotonic() - since

    def end(self) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(30)
