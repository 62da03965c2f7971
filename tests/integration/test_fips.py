# SPDX-License-Identifier: Apache-2.0
"""A whole Setu in FIPS mode, under OpenSSL's own fips provider and nothing else: every login towards clients and brokers, the
signed audit log, reload and takeover, and what `setu doctor` says there."""

import json
import os
import ssl
import subprocess
import unittest

from tests.integration.kafka_client import Client
from tests.integration.stage import PASSWORDS, broker_program, setu_program
from tests.integration.test_audit import AuditStage
from tests.rig import fips, tokens
from tests.rig.paths import Missing
from tests.rig.process import wait_until

NO_EXTENDED_MASTER_SECRET = 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET of OpenSSL 3, which Python has no name for


class FipsStage(AuditStage):
    """`environment` is for Setu alone: brokers and clients are those of a machine that is not in FIPS mode."""

    def __init__(self, provider):
        super().__init__()
        self.environment = fips.environment(self.directory, provider)
        self.wrap = ["env", *(f"{name}={value}" for name, value in self.environment.items())]
        self.issuer = tokens.Issuer(self.directory / "issuer")
        self.config["oauth"] = {"jwks_file": self.issuer.jwks, "issuer": self.issuer.name, "audience": tokens.AUDIENCE}
        self.config["crypto"] = {"fast_aes": "auto"}
        clients, secure = self.config["listeners"]
        clients["mechanisms"] += ["OAUTHBEARER"]
        secure["tls"] |= {"client_ca": self.authority.certificate, "client_auth": "required",
                          "principal_mapping_rules": "RULE:^CN=([^,]+),.*$/$1/"}
        secure["mechanisms"] = []
        secure.pop("allow_plain_without_tls")

    def successor(self, config_file=None, before=None):
        return super().successor(config_file, before or self.wrap)

    def certified(self, user: str) -> ssl.SSLContext:
        context, own = self.tls(), self.certificates[user]
        context.load_cert_chain(own.chain, own.key)
        return context

    def doctor(self) -> dict[str, dict]:
        done = subprocess.run([self.program, "doctor", "-c", self.config_file, "-o", "json"], capture_output=True, text=True,
                              timeout=60, env=os.environ | self.environment)
        return {row["check"]: row for row in json.loads(done.stdout)["findings"]}


class Fips(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                raise unittest.SkipTest(f"{needed} is not built")
        try:
            cls.provider = fips.module()
        except Missing as error:
            raise unittest.SkipTest(str(error)) from error
        cls.stage = FipsStage(cls.provider)
        cls.addClassCleanup(lambda: cls._ended(cls.stage.close()))
        cls.stage.start()

    @staticmethod
    def _ended(wrong: list[str]) -> None:
        if wrong:
            raise AssertionError("\n".join(wrong))

    def everybody(self) -> None:
        """Each login, to the broker that wants a password and to the one that wants a certificate."""
        for node in (1, 2):
            mark = self.stage.brokers[node].mark()
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"):
                with self.stage.client(node, "orders", mechanism) as client:
                    client.metadata(["good"])
            with Client(self.stage.node_port(node)) as client:
                client.handshake("OAUTHBEARER")
                client.authenticate(f"n,,\1auth=Bearer {self.stage.issuer.token('orders')}\1\1".encode())
                client.metadata(["good"])
            for minimum in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = self.stage.certified("orders")
                context.minimum_version = context.maximum_version = minimum
                with Client(self.stage.node_port(node, tls=True), tls=context) as client:
                    client.metadata(["good"])
            seen = {name for name, _ in self.stage.brokers[node].logins(mark)}
            self.assertEqual(seen, {"orders"} if node == 1 else {"CN=orders,OU=services,O=Setu rig"})
        with self.assertRaises(PermissionError):
            Client(self.stage.port, "orders", "not " + PASSWORDS["orders"])

    def test_every_login_over_reload_and_takeover(self):
        """T56: OpenSSL leaves nothing but its fips provider; nothing of Setu needs more."""
        self.everybody()
        self.assertEqual(self.stage.command("reload")[0], 0)
        self.stage.take_over()
        self.everybody()
        verdict = self.stage.verified()
        self.assertTrue(verdict["ok"], verdict)
        self.assertGreater(verdict["signatures"]["confirmed"], 0, verdict)
        self.assertEqual({row["why"] for row in self.stage.told(name="aes")},
                         {"OpenSSL is in FIPS mode: no AES is used but that of its fips provider"})

    def test_the_doctor_says_so(self):
        """T56: FIPS mode and its algorithms are found, AES is measured in it, and fast_aes is said to be out of it."""
        found = self.stage.doctor()
        self.assertEqual({name: found[name]["status"] for name in ("fips", "algorithms")}, {"fips": "ok", "algorithms": "ok"}, found)
        self.assertGreater(found["aes"]["values"]["openssl_aes256_gb_per_s"], 0.05, found["aes"])
        self.assertIn("FIPS mode", found["fast_aes"]["what"], found["fast_aes"])

    def test_peers_without_extended_master_secret(self):
        """T56: a provider that insists on it refuses TLS 1.2 without it, and the log says why; others let it pass."""
        context = self.stage.certified("orders")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.options |= NO_EXTENDED_MASTER_SECRET
        mark = self.stage.mark()
        if not fips.knows_master_secrets(self.provider):
            with Client(self.stage.tls_port, tls=context) as client:
                client.metadata(["good"])
            return
        with self.assertRaises((OSError, ssl.SSLError)):
            Client(self.stage.tls_port, tls=context)
        wait_until(lambda: any("extended master secret" in row.get("client_error", "") for row in self.stage.events(mark)), 60, "the log says why")


if __name__ == "__main__":
    unittest.main()
