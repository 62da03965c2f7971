# SPDX-License-Identifier: Apache-2.0
"""RehearsalClient.java once more, through librdkafka (confluent-kafka): python3 -m tests.rig.rehearsal_client, a job as
JSON on its first line of input. Goes on until the input ends; what it says is in census.py.

A job: {"role": "write" | "transact" | "read" | "read-all", "name", "settings": {…}, "says": FILE} and for writers
{"topic", "partitions", "rate", "count"}, for readers {"topics": […]}.
"""

import json
import sys
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.rig import census

BURST = 10
TRANSACTION = 20       # records in a transaction
ABORT_EACH = 10        # one of so many transactions is aborted on purpose
QUIET_S = 3            # a reader that is told to end goes on until nothing has come for so long
PATIENCE_S = 120


class Client:
    def __init__(self, job: dict):
        self.job = job
        self.name = job["name"]
        self.stop = threading.Event()
        self.out = open(job["says"], "w", buffering=1 << 16)
        threading.Thread(target=lambda: (sys.stdin.read(), self.stop.set()), daemon=True).start()

    def say(self, text: str) -> None:
        self.out.write(text + "\n")

    def fatal(self, error) -> None:
        self.say(f"fatal {error}")

    def on_error(self, error: KafkaError) -> None:
        """Brokers that come and go are no errors of the client's; it goes on by itself."""
        print(f"{error.name()}: {error.str()}", file=sys.stderr, flush=True)
        if error.fatal():
            self.fatal(error)

    # --- writers ---

    def delivered(self, number: int):
        def tell(error, message) -> None:
            if error:
                self.say(f"failed {number} {error}")
            else:
                offset = -1 if message.offset() is None else message.offset()
                self.say(f"acked {number} {message.partition()} {offset} {int(time.time() * 1000)}")
        return tell

    def send(self, producer: Producer, number: int, transaction: int) -> None:
        producer.produce(self.job["topic"], census.value(self.name, number, transaction), census.key(number),
                         partition=census.partition(number, transaction, self.job["partitions"]),
                         on_delivery=self.delivered(number))

    def rest(self, producer: Producer, due: float) -> None:
        while time.monotonic() < due:
            producer.poll(max(0.0, due - time.monotonic()))
        self.out.flush()

    def write(self) -> None:
        producer = Producer(self.job["settings"] | {"error_cb": self.on_error})
        sent, due = 0, time.monotonic()
        while not self.stop.is_set() and sent < self.job["count"]:
            for _ in range(min(BURST, self.job["count"] - sent)):
                self.send(producer, sent, 0)
                sent += 1
            due = max(due + BURST / self.job["rate"], time.monotonic())
            self.rest(producer, due)
        if producer.flush(PATIENCE_S):
            self.fatal("records without an answer")
        self.say(f"done {sent}")

    def transact(self) -> None:
        producer = Producer(self.job["settings"] | {"error_cb": self.on_error})
        self.insist(lambda: producer.init_transactions(30))
        sent = transaction = 0
        due = time.monotonic()
        while not self.stop.is_set():
            transaction += 1
            numbers = range(sent, sent + TRANSACTION)
            self.say(f"{self.one(producer, transaction, numbers)} {transaction} {numbers.start} {numbers.stop}")
            sent = numbers.stop
            due = max(due + TRANSACTION / self.job["rate"], time.monotonic())
            self.rest(producer, due)
        self.say(f"done {sent}")

    def one(self, producer: Producer, transaction: int, numbers: range) -> str:
        """A transaction, and how it ended."""
        try:
            producer.begin_transaction()
            for number in numbers:
                self.send(producer, number, transaction)
            if transaction % ABORT_EACH == 0:
                producer.flush(PATIENCE_S)  # aborted records are to be in the log
                self.insist(lambda: producer.abort_transaction(30))
                return "aborted"
            self.insist(lambda: producer.commit_transaction(30))
            return "committed"
        except KafkaException as error:
            if error.args[0].fatal() or not error.args[0].txn_requires_abort():
                raise
            print(f"transaction {transaction}: {error}", file=sys.stderr, flush=True)
            self.insist(lambda: producer.abort_transaction(30))
            return "rolled-back"

    def insist(self, action) -> None:
        """What librdkafka says may be tried again is tried again."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return action()
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
                print(f"once more: {error}", file=sys.stderr, flush=True)

    # --- readers ---

    def tell_record(self, message) -> None:
        self.say(census.Seen.of(message.topic(), message.partition(), message.offset(), message.key(),
                                message.value()).line())

    def read(self) -> None:
        """In a group, until told to end and nothing comes any more."""
        consumer = Consumer(self.job["settings"] | {"error_cb": self.on_error})
        consumer.subscribe(self.job["topics"])
        read, last = 0, time.monotonic()
        while not (self.stop.is_set() and time.monotonic() - last > QUIET_S):
            for message in consumer.consume(500, 0.2):
                if message.error():
                    print(f"read: {message.error()}", file=sys.stderr, flush=True)
                    continue
                self.tell_record(message)
                read, last = read + 1, time.monotonic()
            self.out.flush()
        consumer.close()
        self.say(f"done {read}")

    def read_all(self) -> None:
        """Every partition to the end it has now, without a group."""
        consumer = Consumer(self.job["settings"] | {"error_cb": self.on_error, "enable.partition.eof": True})
        topics = consumer.list_topics(timeout=30).topics
        left = {(topic, p) for topic in self.job["topics"] for p in topics[topic].partitions}
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for topic, p in left])
        read, last = 0, time.monotonic()
        while left:
            for message in consumer.consume(1000, 0.5):
                last = time.monotonic()
                if not message.error():
                    self.tell_record(message)
                    read += 1
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))
            if time.monotonic() - last > PATIENCE_S / 2:
                self.fatal(f"nothing comes of {sorted(left)}")
                break
        consumer.close()
        self.say(f"done {read}")


def main() -> int:
    client = Client(json.loads(sys.stdin.readline()))
    try:
        {"write": client.write, "transact": client.transact, "read": client.read,
         "read-all": client.read_all}[client.job["role"]]()
    except KafkaException as error:
        client.fatal(error)
        return 1
    finally:
        client.out.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
