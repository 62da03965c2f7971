# SPDX-License-Identifier: Apache-2.0
"""Many clients at once that write to one node, come back when they are thrown out, and remember when they were served."""

import threading
import time

from tests.integration import kafka_client
from tests.integration.kafka_client import Client

BACKOFF_S = 0.05  # reconnect.backoff.ms of Kafka's own clients


class Crowd:
    """`count` clients of one port. Each writes one record, waits a little, writes the next."""

    def __init__(self, port: int, count: int, login: tuple[str, str], topic: str, partition: int, pause_s: float = 0.02,
                 tls=None, mechanism: str = "SCRAM-SHA-512"):
        self.port, self.login, self.topic, self.partition = port, login, topic, partition
        self.pause_s, self.tls, self.mechanism = pause_s, tls, mechanism
        self.served = [0.0] * count  # when each was answered last
        self.drops = [0] * count
        self.wrong: list[str] = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._live, args=(i,), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _live(self, i: int) -> None:
        while not self.ending.is_set():
            try:
                with Client(self.port, *self.login, self.mechanism, tls=self.tls) as client:
                    while not self.ending.is_set():
                        error, _ = client.produce(self.topic, self.partition, kafka_client.batch([b"x"]))
                        if error:
                            self.wrong.append(f"Produce error {error}")
                        self.served[i] = time.monotonic()
                        self.ending.wait(self.pause_s)
            except PermissionError as error:
                self.wrong.append(str(error))
                self.ending.wait(1)
            except OSError:
                self.drops[i] += 1
                self.ending.wait(BACKOFF_S)

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
