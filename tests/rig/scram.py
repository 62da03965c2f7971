# SPDX-License-Identifier: Apache-2.0
"""SCRAM records (RFC 5802) in the text form in which Kafka stores them, from Python's own hashlib."""

import base64
import hashlib
import hmac

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


def record(mechanism: str, password: str, salt: bytes, iterations: int) -> str:
    """`salt=…,stored_key=…,server_key=…,iterations=…`, base64, as kafka-configs shows it."""
    name = HASHES[mechanism]
    salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", name)
    server_key = hmac.digest(salted, b"Server Key", name)
    stored_key = hashlib.new(name, client_key).digest()
    parts = {"salt": salt, "stored_key": stored_key, "server_key": server_key}
    return ",".join(f"{k}={base64.b64encode(v).decode()}" for k, v in parts.items()) + f",iterations={iterations}"
