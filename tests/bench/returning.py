# SPDX-License-Identifier: Apache-2.0
"""A crowd in a process of its own: python3 -m tests.bench.returning, a job as JSON on its first line of input. Each further
line is a moment of the monotonic clock; answered by one JSON object when each client was served on a connection that it made
after that: `at`, when each was, and `logins`, how many there were since the last question."""

import json
import ssl
import sys
import threading
import time

from tests.integration.crowd import Crowd

PATIENCE_S = 60


def context(job: dict) -> ssl.SSLContext | None:
    if not job["ca"]:
        return None
    made = ssl.create_default_context(cafile=job["ca"])
    made.load_cert_chain(job["chain"], job["key"])
    return made


def returned(crowd: Crowd, since: float) -> list[float]:
    deadline = time.monotonic() + PATIENCE_S
    while any(at <= since for at in crowd.returned):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sum(at <= since for at in crowd.returned)} clients did not come back")
        time.sleep(0.02)
    return crowd.returned[:]


def main() -> int:
    threading.stack_size(256 * 1024)
    job = json.loads(sys.stdin.readline())
    crowd = Crowd(job["port"], job["count"], tuple(job["login"]) if job["login"] else None, job["topic"],
                  job["partition"], job["pause_s"], context(job), backoff_s=tuple(job["backoff_s"]))
    before = 0
    for line in sys.stdin:
        at = returned(crowd, float(line))
        logins = sum(crowd.logins)
        print(json.dumps({"at": at, "logins": logins - before, "wrong": crowd.wrong[:3]}), flush=True)
        before = logins
    crowd.ending.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
