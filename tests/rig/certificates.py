# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one cluster, made with the openssl program. Keys are P-256, all files PEM."""

import datetime
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

    def key_store(self, password: str) -> pathlib.Path:
        """Certificate and key as PKCS#12, for Java clients that read no PEM."""
        made = self.store.with_suffix(".p12")
        if not made.exists():
            made.touch(0o600)
            _openssl("pkcs12", "-export", "-in", self.chain, "-inkey", self.key, "-out", made, "-passout", f"pass:{password}")
        return made

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

    def _sign(self, request: pathlib.Path, extensions: pathlib.Path, days: int) -> str:
        return _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                        "-days", days, "-sha256", "-extfile", extensions)

    def _sign_until(self, request: pathlib.Path, extensions: pathlib.Path, ends: datetime.datetime,
                    begins: datetime.datetime | None) -> str:
        """`x509 -req` counts in days only."""
        config, index = self.directory / "ca.cnf", self.directory / "index.txt"
        index.write_text("")
        config.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\nnew_certs_dir={self.directory}\n"
                          "rand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n"
                          "[p]\norganizationName=supplied\norganizationalUnitName=supplied\ncommonName=supplied\n")
        start = ["-startdate", begins.strftime("%Y%m%d%H%M%SZ")] if begins else []
        return _openssl("ca", "-batch", "-notext", *start, "-config", config, "-in", request, "-cert", self.certificate,
                        "-keyfile", self.key, "-extfile", extensions, "-preserveDN",
                        "-enddate", ends.strftime("%Y%m%d%H%M%SZ"))

    def revocation_list(self, path: pathlib.Path, revoked: list[pathlib.Path] = (), number: int = 1,
                        made: str = "20260101000000Z", ends: str = "20990101000000Z") -> pathlib.Path:
        """A list with these certificates on it, under its name all at once."""
        config, index = self.directory / "crl.cnf", self.directory / "crl.txt"
        (self.directory / "crl.number").write_text(f"{number:04d}\n")
        rows = []
        for chain in revoked:
            serial = _openssl("x509", "-in", chain, "-noout", "-serial").strip().partition("=")[2]
            rows.append(f"R\t990101000000Z\t260101000000Z\t{serial}\tunknown\t/CN=revoked\n")
        index.write_text("".join(rows))
        config.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\ncrlnumber={self.directory / 'crl.number'}\n"
                          "default_md=sha256\nunique_subject=no\n")
        fresh = path.with_name(path.name + ".new")
        _openssl("ca", "-gencrl", "-config", config, "-cert", self.certificate, "-keyfile", self.key, "-out", fresh,
                 "-crl_lastupdate", made, "-crl_nextupdate", ends)
        fresh.chmod(0o644)
        return fresh.rename(path)

    def issue(self, name: str, common_name: str | None = None, server: bool = False, days: int = 30,
              ends: datetime.datetime | None = None, begins: datetime.datetime | None = None,
              also: str = "127.0.0.1") -> Certificate:
        """A client's certificate, or with `server` that of a broker on 127.0.0.1 and localhost, and `also` an address
        beside these, that may also dial. `ends`, UTC, to the second, in place of `days`; `begins`, with it, in place of now."""
        made = Certificate(self.directory, name)
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        usage = "serverAuth,clientAuth" if server else "clientAuth"
        text = f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
        if server:
            more = "" if also == "127.0.0.1" else f",IP:{also}"
            text += f"subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost{more}\n"
        extensions.write_text(text)
        self._new_key(made.key)
        _openssl("req", "-new", "-key", made.key, "-out", request,
                 "-subj", f"/O=Setu rig/OU=services/CN={common_name or name}")
        leaf = self._sign_until(request, extensions, ends, begins) if ends else self._sign(request, extensions, days)
        made.chain.write_text(leaf + self.certificate.read_text())
        made.store.touch(0o600)
        made.store.write_text(made.key.read_text() + made.chain.read_text())
        request.unlink()
        extensions.unlink()
        return made
