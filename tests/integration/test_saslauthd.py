# SPDX-License-Identifier: Apache-2.0
"""PLAIN judged by saslauthd, the real one, which asks a real KDC; and what happens when it is not there or says nothing."""

import pathlib
import socket
import tempfile
import time

from tests.integration.kafka_client import Client
from tests.integration.stage import StageTest
from tests.rig.kdc import Kdc
from tests.rig.process import Process, wait_until

DENIED = (58, "Authentication failed")


class Saslauthd(StageTest):
    stage_options = {"limits": {"login_failure_delay_ms": 1}}

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="setu-saslauthd-")
        cls.addClassCleanup(directory.cleanup)
        cls.folder = pathlib.Path(directory.name)
        cls.kdc = Kdc(cls.folder / "kdc")
        cls.addClassCleanup(cls.kdc.stop)
        cls.kdc.start()
        cls.kdc.kadmin("addprinc -pw kerberos-secret orders")
        own = sorted({f"host/{name.lower()}" for name in (socket.gethostname(), socket.getfqdn())})
        for service in own:
            cls.kdc.add(service)
        (cls.folder / "saslauthd.conf").write_text(f"krb5_keytab: {cls.kdc.keytab(*own, name='host')}\n")
        cls.daemon = Process("saslauthd", ["saslauthd", "-d", "-a", "kerberos5", "-n", "1", "-m", cls.folder,
                                           "-O", cls.folder / "saslauthd.conf"], cls.folder / "saslauthd.log",
                             env=cls.kdc.env)
        cls.addClassCleanup(cls.daemon.kill)
        cls.daemon.start()
        cls.daemon.wait_ready((cls.folder / "mux").exists, 20)
        super().setUpClass()

    @classmethod
    def arrange(cls, stage):
        stage.config["users"]["saslauthd"] = cls.folder / "mux"

    def denied(self, user: str, password: str, reason: str) -> None:
        with self.assertRaises(PermissionError) as refusal:
            Client(self.stage.port, user, password, "PLAIN")
        self.assertEqual(refusal.exception.args, DENIED)
        self.assertEqual(self.stage.told(self.mark, "login_denied")[-1]["reason"], reason)

    def test_passwords_are_those_behind_saslauthd(self):
        with Client(self.stage.port, "orders", "kerberos-secret", "PLAIN") as client:
            client.metadata(["good"])
        self.denied("orders", "orders-secret", "bad_password")  # that of the users file, where SCRAM looks
        self.denied("nobody", "kerberos-secret", "bad_password")
        self.stage.client(user="orders").close()

    def test_without_it_nobody_gets_in_by_plain_and_others_do(self):
        self.daemon.pause()
        try:
            stuck = [Client(self.stage.port, None) for _ in range(4)]
            for client in stuck:
                client.handshake("PLAIN")
                client.ask(36, 1, b"\0\0\0\x17\0orders\0kerberos-secret")
            began = time.monotonic()
            for _ in range(10):
                self.stage.client(user="payments").close()
            took = time.monotonic() - began
            for client in stuck:
                client.close()
        finally:
            self.daemon.resume()
        print(f"    10 SCRAM logins beside 4 that wait for saslauthd: {took:.2f} s", flush=True)
        self.assertLess(took, 5)
