# SPDX-License-Identifier: Apache-2.0
"""An issuer of bearer tokens (JWT): its key is made, and its tokens are signed, by the openssl program."""

import base64
import json
import pathlib
import subprocess
import time

from tests.rig.config_file import private_file

AUDIENCE = "kafka"


def url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _openssl(*arguments, data: bytes | None = None) -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def unsecured(principal: str, lifetime_s: float = 3600, **claims) -> str:
    """A token that nobody has signed."""
    now = time.time()
    body = {"sub": principal, "iat": int(now), "exp": int(now + lifetime_s)} | claims
    return ".".join((url64(b'{"alg":"none"}'), url64(json.dumps(body).encode()), ""))


class Issuer:
    """`jwks` is the file with its public key."""

    def __init__(self, directory: pathlib.Path, name: str = "https://login.rig.example"):
        self.directory, self.name = directory, name
        directory.mkdir(parents=True)
        self.key, self.jwks = directory / "issuer.key", directory / "jwks.json"
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        modulus = _openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2]
        self.jwks.write_text(json.dumps({"keys": [{
            "kty": "RSA", "kid": "rig-1", "use": "sig", "alg": "RS256",
            "n": url64(bytes.fromhex(modulus)), "e": url64(b"\1\0\1")}]}))

    def token(self, principal: str, lifetime_s: float = 3600, **claims) -> str:
        """Signed, for our audience; claims given as None are left out."""
        now = time.time()
        body = {"sub": principal, "iss": self.name, "aud": AUDIENCE, "iat": int(now), "exp": int(now + lifetime_s),
                "scope": "kafka.use", "jti": f"{now}"} | claims
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": "RS256", "kid": "rig-1", "typ": "JWT"}
        text = f"{url64(json.dumps(head).encode())}.{url64(json.dumps(body).encode())}"
        signature = _openssl("dgst", "-sha256", "-sign", self.key, "-binary", data=text.encode())
        return f"{text}.{url64(signature)}"

    def token_file(self, principal: str, token: str | None = None) -> pathlib.Path:
        """A file with a token of this principal, readable by nobody else."""
        return private_file(self.directory / f"{principal}.jwt", token or self.token(principal))
