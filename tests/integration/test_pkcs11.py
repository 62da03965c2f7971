# SPDX-License-Identifier: Apache-2.0
"""Keys on a PKCS#11 token (SoftHSM) in a whole Setu: under its seccomp filter, over reloads and takeovers."""

import os
import unittest
from unittest import mock

from tests.integration import hsm
from tests.integration.life import LifeStage, gone
from tests.integration.stage import broker_program, setu_program
from tests.rig.process import wait_until
from tests.rig.setu import private_file


class Pkcs11(unittest.TestCase):
    def stage(self) -> LifeStage:
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        stage = LifeStage(setu_program(), workers=2)
        self.addCleanup(lambda: self.assertEqual(stage.close(), []))
        self.token = hsm.Token(stage.directory / "hsm")
        mocked = mock.patch.dict(os.environ, self.token.env)
        mocked.start()
        self.addCleanup(mocked.stop)
        self.pin_file = private_file(stage.directory / "token.pin", hsm.PIN + "\n")
        stage.config["pkcs11"] = {"module": hsm.MODULE, "pin_file": self.pin_file}
        for number, row in enumerate(stage.config["certificates"]):
            row["key"] = self.token.take(row["key"], row["name"], number)
        tls = stage.config["listeners"][1]["tls"]
        tls["key"] = self.token.take(tls["key"], "listener", 99)
        for key in stage.directory.glob("ca/*.key"):
            if key.stem not in ("ca", "broker"):
                key.unlink()
        return stage

    def good(self, stage: LifeStage) -> None:
        """Through the listener whose key is on the token, to the broker that wants a certificate whose key is too."""
        mark = stage.brokers[2].mark()
        with stage.client(2, "payments", tls=True) as client:
            client.metadata(["good"])
        self.assertIn(("CN=payments,OU=services,O=Setu rig", "SSL"), stage.brokers[2].logins(mark))
        stage.check_good_client(self)

    def test_keys_on_a_token_serve_over_reload_and_takeover(self):
        stage = self.stage().start()
        self.good(stage)
        self.assertEqual(stage.command("reload")[0], 0)
        self.good(stage)
        stage.usr2()
        self.good(stage)
        # T52: what is wrong with the PIN's file is told, and the old keys go on.
        self.refused(stage, hsm.PIN, 0o644, "is not safe")
        stage.config["certificates"][0]["key"] = "pkcs11:token=setu;object=nothing"
        self.refused(stage, hsm.PIN, 0o600, "no such key")
        self.good(stage)
        text = stage.log.read_text() + stage.audit_bytes().decode(errors="replace")
        self.assertNotIn(hsm.PIN, text)
        self.hand_back(stage)

    def refused(self, stage: LifeStage, pin: str, mode: int, why: str) -> None:
        self.pin_file.unlink()
        self.pin_file.write_text(pin + "\n")
        self.pin_file.chmod(mode)
        stage.write_config()
        status, _, error = stage.command("reload", "--socket", stage.socket)
        self.assertEqual(status, 78, error)
        wait_until(lambda: [row for row in stage.events(name="reload_problem") if why in row["text"] and row["line"] > 0],
                   20, f"the log has {why!r} too")
        self.pin_file.chmod(0o600)

    def hand_back(self, stage: LifeStage) -> None:
        """The child of a process that has ended is nobody's: the last one is ours again."""
        stage.config["certificates"][0]["key"] = "pkcs11:token=setu;object=setu"
        stage.write_config()
        before, mark = stage.status()["pid"], stage.mark()
        after = stage.successor()
        after.wait_ready(lambda: stage.events(mark, "took_over"), 60)
        wait_until(lambda: gone(before), 60, "the last predecessor has ended")
        stage.process = after
        self.good(stage)

    def test_a_wrong_pin_ends_the_start_and_is_tried_once(self):
        stage = self.stage()
        private_file(stage.directory / "token.pin", "wrong-4242\n")
        stage.write_config()
        status, answer, _ = stage.command("check")
        told = [row for row in answer["problems"] if row["severity"] == "error"]
        self.assertEqual(status, 78, answer)
        self.assertEqual(sum("does not take this PIN" in row["text"] for row in told), 1, told)
        self.assertEqual(sum("has refused this PIN before" in row["text"] for row in told), 3, told)
        self.assertTrue(all(row["line"] > 0 and row["column"] > 0 for row in told), told)
        self.assertNotIn("4242", str(answer))


if __name__ == "__main__":
    unittest.main()
