# SPDX-License-Identifier: Apache-2.0
"""SteadyWriter.java once more, through librdkafka (confluent-kafka): python3 steady_writer.py, a job as JSON on its
first line of input. Writes until the input ends or `count` is reached."""

import json
import sys
import threading
import time

from confluent_kafka import Producer

BURST = 10


def main() -> int:
    job = json.loads(sys.stdin.readline())
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

    def told(number: int):
        def delivered(error, message) -> None:
            # None: acknowledged as one that the broker has already; where, it no longer says
            offset = -1 if message.offset() is None else message.offset()
            print(f"failed {number} {error}" if error else f"acked {number} {message.partition()} {offset}", flush=True)
        return delivered

    producer, sent, due = Producer(job["settings"]), 0, time.monotonic()
    while not stop.is_set() and sent < job["count"]:
        for _ in range(BURST):
            producer.produce(job["topic"], f"{job['name']}-{sent}", partition=sent % job["partitions"],
                             on_delivery=told(sent))
            sent += 1
        due = max(due + BURST / job["rate"], time.monotonic())
        while time.monotonic() < due:
            producer.poll(max(0.0, due - time.monotonic()))
    left = producer.flush(120)
    if left:
        print(f"failed -1 {left} records without an answer", flush=True)
    print(f"done {sent}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
