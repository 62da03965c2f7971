# SPDX-License-Identifier: Apache-2.0
"""The certificate that speaks for a principal depends on where it goes: what brokers see, what the audit log and the
commands say, and whom a reload ends."""

import copy
import json
import subprocess
import unittest

from tests.integration.life import LifeStage
from tests.integration.stage import broker_program, setu_program
from tests.rig.process import wait_until

RULES = [
    {"name": "orders-old", "principal": "orders", "when": {"generation": "old"}, "certificate": "orders"},
    {"name": "orders-new", "principal": "orders", "when": {"generation": "new"}, "certificate": "payments"},
    {"name": "payments", "principal": "payments", "when": {"generation": "new", "listener": ["clients", "secure"],
                                                            "mechanism": "SCRAM-SHA-512"}, "certificate": "payments"},
]


class Mapping(unittest.TestCase):
    longMessage = True

    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        self.stage = LifeStage(setu_program())
        self.addCleanup(lambda: self.assertEqual(self.stage.close(), []))
        generation = self.stage.config["clusters"][0]["generations"][1]
        self.stage.brokers[1].door = "--ssl"
        self.stage.brokers[1].make()
        self.stage.config["clusters"][0]["generations"] = [generation | {"name": "old", "match": {"node_ids": "1"}},
                                                           generation | {"name": "new"}]
        self.stage.config["mapping"] = copy.deepcopy(RULES)
        self.stage.start()

    def map(self, verb: str, *options) -> tuple[int, dict]:
        done = subprocess.run([setu_program(), "map", verb, "-c", self.stage.config_file, "-o", "json", *options],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, json.loads(done.stdout)

    def taken_for(self, node: int, user: str) -> str:
        """As whom the node's broker takes a client of Setu."""
        broker = self.stage.brokers[node]
        mark = broker.mark()
        with self.stage.client(node, user) as client:
            client.metadata(["good"])
        return next(principal for principal, mechanism in broker.logins(mark) if mechanism == "SSL")

    def test_the_certificate_follows_the_generation_that_is_dialled(self):
        seen = {node: self.taken_for(node, "orders") for node in (1, 2)}
        self.assertIn("CN=orders", seen[1])
        self.assertIn("CN=payments", seen[2])
        for node, principal in seen.items():
            status, answer = self.map("explain", "orders", "--broker", str(node))
            self.assertEqual(status, 0)
            case, = answer["principals"][0]["cases"]
            self.assertEqual([row["principal"] for row in case["predicted"]], [principal], "predicted, and seen")
        mark = self.stage.mark()
        self.assertIn("CN=payments", self.taken_for(2, "payments"))
        # No rule speaks for it at old brokers: the denial is that of a wrong password.
        with self.assertRaises(Exception) as denied:
            self.stage.client(1, "payments").close()
        with self.assertRaises(Exception) as wrong:
            self.stage.client(2, "payments", mechanism="SCRAM-SHA-256").close()
        self.assertEqual(str(denied.exception), str(wrong.exception))
        reasons = [row["reason"] for row in self.stage.told(mark, "mapping_denied")]
        self.assertEqual(reasons, ["unmapped", "unmapped"])
        decided = {(row["generation"], row["rule"].rpartition(" ")[2])
                   for row in self.stage.told(0, "mapping_decided")}
        self.assertEqual(decided, {("old", "orders-old"), ("new", "orders-new"), ("new", "payments")})

    def test_a_reload_ends_whom_it_concerns_and_nobody_else(self):
        mark = self.stage.mark()
        before = self.stage.status()["mapping_hash"]
        with self.stage.client(1, "orders") as old, self.stage.client(2, "orders") as new, \
                self.stage.client(2, "payments") as payments:
            self.stage.config["mapping"][1]["certificate"] = "orders"
            self.stage.write_config()
            status, answer, error = self.stage.command("reload")
            self.assertEqual(status, 0, error)
            self.assertIn("mapping: changed", answer["changes"])
            new.ended(5)
            old.metadata(["good"])
            payments.metadata(["good"])
            self.assertIn("CN=orders", self.taken_for(2, "orders"))
            wait_until(lambda: self.stage.closes(mark)["identity_changed"] == 1, 20, "the reason is told")
            # a rule that no longer holds for the mechanism it came by
            self.stage.config["mapping"][2]["when"]["mechanism"] = "SCRAM-SHA-256"
            self.stage.write_config()
            self.assertEqual(self.stage.command("reload")[0], 0)
            payments.ended(5)
            old.metadata(["good"])
        after = self.stage.status()["mapping_hash"]
        self.assertNotEqual(before, after)
        shown = self.stage.fresh_stats()["mapping_info"]
        self.assertEqual(shown, [({"hash": after}, 1.0)])
        self.assertEqual(self.map("list")[1]["mapping_hash"], after)
        reloaded = self.stage.told(mark, "reloaded")
        self.assertEqual(reloaded[-1]["mapping_hash"], after)

    def test_what_is_used_is_read_from_the_audit_log(self):
        self.taken_for(1, "orders")
        self.taken_for(2, "payments")
        wait_until(lambda: self.map("unused", "--days", "1")[1]["decisions"] >= 2, 20, "two decisions are on disk")
        status, answer = self.map("unused", "--days", "1")
        self.assertEqual(status, 1)
        self.assertEqual([row["name"] for row in answer["unused"]], ["orders-new"])
        self.assertEqual(answer["decisions"], 2)
        self.taken_for(2, "orders")
        wait_until(lambda: self.map("unused", "--days", "1")[0] == 0, 20, "the third one is on disk")
        rows = {row["rule"]: row for row in self.map("export")[1]["rows"]}
        self.assertEqual(rows["orders-old"]["uses"], 1)
        self.assertTrue(rows["payments"]["last_source"].startswith("127.0.0.1:"))
