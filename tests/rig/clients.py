# SPDX-License-Identifier: Apache-2.0
"""Who a client is and how the clients of each kind are told so: Java properties, librdkafka settings."""

import dataclasses
import pathlib

from tests.rig import kdc, node


@dataclasses.dataclass(frozen=True)
class Login:
    """A way to reach a cluster: addresses, and a SASL login, a certificate or neither. `ca` is for TLS servers."""
    bootstrap: str
    user: str | None = None
    password: str | None = None
    mechanism: str = "SCRAM-SHA-512"
    certificate: object | None = None
    ca: pathlib.Path | None = None

    @property
    def protocol(self) -> str:
        return ("SASL_" if self.user else "") + ("SSL" if self.ca else "PLAINTEXT")

    def java(self) -> dict[str, str]:
        settings = {"bootstrap.servers": self.bootstrap, "security.protocol": self.protocol}
        if self.user:
            module = "org.apache.kafka.common.security.scram.ScramLoginModule required"
            jaas = f'{module} username="{self.user}" password="{self.password}";'
            if self.mechanism == "PLAIN":
                jaas = node.plain_jaas({}, (self.user, self.password))
            settings |= {"sasl.mechanism": self.mechanism, "sasl.jaas.config": jaas}
        if self.ca:
            settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.ca)}
        if self.certificate:
            settings |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(self.certificate.store)}
        return settings

    def java_file(self, path: pathlib.Path, **more) -> pathlib.Path:
        """Writes java() and `more` (underscores stand for dots) as a properties file."""
        return node.write_properties(path, self.java() | {k.replace("_", "."): v for k, v in more.items()})

    def librdkafka(self) -> dict[str, str]:
        settings = {"bootstrap.servers": self.bootstrap, "security.protocol": self.protocol}
        if self.user:
            settings |= {"sasl.mechanisms": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        if self.ca:
            settings["ssl.ca.location"] = str(self.ca)
        if self.certificate:
            settings |= {"ssl.certificate.location": str(self.certificate.chain),
                         "ssl.key.location": str(self.certificate.key)}
        return settings

    def kcat_file(self, path: pathlib.Path, **more) -> pathlib.Path:
        """The same for kcat -F, so that no password stands on a command line."""
        return node.write_properties(path, self.librdkafka() | {k.replace("_", "."): v for k, v in more.items()})


@dataclasses.dataclass(frozen=True)
class KerberosLogin(Login):
    """`user` is a principal without its realm, `service` what it asks a ticket for."""
    mechanism: str = "GSSAPI"
    keytab: pathlib.Path | None = None
    service: str = kdc.SETU_SERVICE

    def java(self) -> dict[str, str]:
        return {"bootstrap.servers": self.bootstrap, "security.protocol": self.protocol, "sasl.mechanism": "GSSAPI",
                "sasl.kerberos.service.name": self.service,
                "sasl.jaas.config": kdc.jaas(f"{self.user}@{kdc.REALM}", self.keytab)}

    def librdkafka(self) -> dict[str, str]:
        """Its ticket has been taken before (Kdc.kinit): no program is to be run for one."""
        return {"bootstrap.servers": self.bootstrap, "security.protocol": self.protocol, "sasl.mechanisms": "GSSAPI",
                "sasl.kerberos.service.name": self.service, "sasl.kerberos.principal": f"{self.user}@{kdc.REALM}",
                "sasl.kerberos.keytab": str(self.keytab), "sasl.kerberos.kinit.cmd": "true"}
