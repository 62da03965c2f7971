# SPDX-License-Identifier: Apache-2.0
"""Tour.java once more, through confluent-kafka: python3 tour_librdkafka.py, a job as JSON on its input."""

import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

RECORDS, TIMEOUT_S = 30, 40


def describe(admin: AdminClient, topic: str) -> dict:
    """A broker may take a moment to hear of a new topic."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return admin.describe_configs([resource])[resource].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def administer(settings: dict, topic: str) -> dict:
    admin = AdminClient(settings)
    cluster = admin.describe_cluster(request_timeout=TIMEOUT_S).result()
    made = admin.create_topics([NewTopic(topic, 3, replica_assignment=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])])
    made[topic].result()
    configuration = describe(admin, topic)
    return {"brokers": {str(node.id): f"{node.host}:{node.port}" for node in cluster.nodes},
            "controller": cluster.controller.id, "min.insync.replicas": configuration["min.insync.replicas"].value}


class Writes:
    """Counts what is acknowledged; fails with what is not."""

    def __init__(self):
        self.count = 0

    def __call__(self, error, _message) -> None:
        if error:
            raise SystemExit(f"not written: {error}")
        self.count += 1


def consumer(settings: dict, group: str) -> Consumer:
    return Consumer(settings | {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                                "isolation.level": "read_committed"})


def take(reader: Consumer, count: int) -> list[str]:
    values = []
    while True:
        message = reader.poll(TIMEOUT_S if len(values) < count else 1)
        if message is None:
            return values
        if message.error():
            raise SystemExit(f"not read: {message.error()}")
        values.append(message.value().decode())


def main() -> int:
    job = json.load(sys.stdin)
    settings, topic = job["settings"], job["topic"]
    told = administer(settings, topic)
    writes = Writes()
    producer = Producer(settings | {"enable.idempotence": True})
    for i in range(RECORDS):
        producer.produce(topic, f"record-{i}", partition=i % 3, on_delivery=writes)
    producer.flush(TIMEOUT_S)
    told["written"] = writes.count
    reader = consumer(settings, topic)
    reader.subscribe([topic])
    told["read"] = len(take(reader, RECORDS))
    reader.commit(asynchronous=False)
    producer = Producer(settings | {"transactional.id": topic})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for partition in range(3):
        producer.produce(topic, f"committed-{partition}", partition=partition)
    producer.commit_transaction(TIMEOUT_S)
    told["committed_read"] = len(take(reader, 3))
    producer.begin_transaction()
    positions = reader.position(reader.assignment())
    producer.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), TIMEOUT_S)
    producer.commit_transaction(TIMEOUT_S)
    producer.begin_transaction()
    for partition in range(3):
        producer.produce(topic, f"aborted-{partition}", partition=partition)
    producer.flush(TIMEOUT_S)
    producer.abort_transaction(TIMEOUT_S)
    committed = reader.committed([TopicPartition(topic, partition) for partition in range(3)], TIMEOUT_S)
    told["committed"] = sum(at.offset for at in committed)
    reader.close()
    again = consumer(settings, f"{topic}-again")
    again.subscribe([topic])
    values = take(again, RECORDS + 3)
    again.close()
    told |= {"read_again": len(values), "aborted_read": sum(value.startswith("aborted") for value in values)}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
