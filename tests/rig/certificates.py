# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one cluster, made with the openssl program. Keys are P-256, all files PEM."""

import os
import pathlib
import subprocess

ORGANISATION = "OU=services,O=Setu rig"


def _openssl(*arguments) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


class Certificate:
    """`chain` (leaf first, then the CA), `key`, and `store`: both in one file, as Java's PEM stores want it."""

    def __init__(self, directory: pathlib.Path, name: str):
        self.name = name
        self.chain = directory / f"{name}.pem"
        self.key = directory / f"{name}.key"
        self.store = directory / f"{name}.store.pem"

    @property
    def subject(self) -> str:
        """The subject as RFC 2253 prints it, for example `CN=orders,OU=services,O=Setu rig`."""
        return _openssl("x509", "-in", self.chain, "-noout", "-subject", "-nameopt", "RFC2253").strip() \
            .removeprefix("subject=")

    @property
    def fingerprint(self) -> str:
        text = _openssl("x509", "-in", self.chain, "-noout", "-fingerprint", "-sha256")
        return text.strip().partition("=")[2].replace(":", "").lower()


class Authority:
    def __init__(self, directory: pathlib.Path, name: str = "ca"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.certificate = self.directory / f"{name}.pem"
        self.key = self.directory / f"{name}.key"
        if not self.certificate.exists():
            self._new_key(self.key)
            _openssl("req", "-x509", "-new", "-key", self.key, "-days", "30", "-sha256",
                     "-subj", f"/O=Setu rig/CN=Setu rig {name}", "-out", self.certificate)

    @staticmethod
    def _new_key(path: pathlib.Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        path.chmod(0o600)

    def issue(self, name: str, common_name: str | None = None, server: bool = False, days: int = 30) -> Certificate:
        """A client's certificate, or with `server` that of a broker on 127.0.0.1 and localhost that may also dial."""
        made = Certificate(self.directory, name)
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        usage = "serverAuth,clientAuth" if server else "clientAuth"
        text = f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
        if server:
            text += "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n"
        extensions.write_text(text)
        self._new_key(made.key)
        _openssl("req", "-new", "-key", made.key, "-out", request,
                 "-subj", f"/O=Setu rig/OU=services/CN={common_name or name}")
        leaf = _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                        "-days", days, "-sha256", "-extfile", extensions)
        made.chain.write_text(leaf + self.certificate.read_text())
        made.store.touch(0o600)
        made.store.write_text(made.key.read_text() + made.chain.read_text())
        request.unlink()
        extensions.unlink()
        return made
