# SPDX-License-Identifier: Apache-2.0
"""Nobody finds out who exists: bytes, and the moment of the answer. The full measurement is `enumeration.py`; here is its
short form, whose bounds hold on a busy machine."""

import collections
import random
import re
import unittest

from tests.integration import enumeration as measure
from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import Client
from tests.integration.stage import broker_program, setu_program
from tests.rig.config_file import private_file, yaml

DELAY_MS = 100
COUNT = 4


class Enumeration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in (setu_program(), broker_program()):
            if not program.is_file():
                raise unittest.SkipTest(f"{program} is not built")
        realm = cls.enterClassContext(measure.realm())
        cls.stage, cls.cast = measure.stage(setu_program(), DELAY_MS, realm)
        cls.addClassCleanup(cls._close)
        cls.stage.start()

    @classmethod
    def _close(cls):
        wrong = cls.stage.close()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def challenge(self, mechanism: str, name: str) -> tuple[str, str]:
        """Salt and iterations of that name."""
        with Client(self.stage.port) as client:
            client.handshake(mechanism)
            said = client.authenticate(f"n,,n={name},r=fyko+d2lbbFgONRv9qkxdawL".encode()).decode()
        return re.fullmatch(r"r=[^,]{56},s=([^,]*),i=(\d+)", said).groups()

    def test_t28_salts_stay_over_restarts_and_are_those_of_another_instance(self):
        """T28: a phantom whose salt changed would give itself away."""
        names = ["orders", "nobody", "narrow", *measure.GHOSTS]

        def all_of_them():
            return {(mechanism, name): self.challenge(mechanism, name)
                    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512") for name in names}

        seen = all_of_them()
        self.assertEqual(seen, all_of_them())
        self.assertEqual(len({salt for (_, name), (salt, _) in seen.items() if name in measure.GHOSTS}), 12)
        self.assertEqual({(len(salt), rounds) for salt, rounds in seen.values()}, {(24, "4096")})
        elsewhere = self.stage.directory / "elsewhere.yaml"
        private_file(elsewhere, (self.stage.directory / "users.yaml").read_text())
        config = self.stage.config
        config["users"]["file"] = elsewhere
        for part, key in (("certificates", "name"), ("mapping", "certificate")):  # what has expired is not taken at a start
            config[part] = [row for row in config[part] if row[key] != "tardy1"]
        private_file(self.stage.config_file, yaml(self.stage.config) + "\n")
        self.stage.kill_and_restart()
        self.assertEqual(seen, all_of_them())

    def test_t28_every_denial_is_the_same_and_none_comes_before_its_time(self):
        """T28: every class of login that must fail, at random: equal bytes, and all late."""
        measure.wait_for_expiry(self.stage)
        mark = self.stage.mark()
        done = measure.run(self.cast, self.stage.port, measure.cases(False) * COUNT, 60)
        self.assertEqual(measure.bytes_differ(done), [])
        self.assertTrue(measure.sees_one_byte(done))
        for login in done:
            answers = login.case.answers
            refusal = len(answers) - (login.case.mechanism == "OAUTHBEARER")  # the error object comes late
            waited_ns = login.took[refusal] if len(login.took) > refusal else login.end_ns
            self.assertGreaterEqual(waited_ns, DELAY_MS * 1000000, str(login.case))
        told = collections.Counter(row["reason"] for row in self.stage.told(mark, "login_denied"))
        self.assertEqual(set(told), {"unknown_user", "bad_password", "unmapped", "mechanism_not_allowed",
                                     "certificate_expired", "token_signature", "token_expired", "token_audience",
                                     "kerberos_ticket", "kerberos_name", "authzid_mismatch"})
        self.assertEqual(told.total(), len(done), "each denial is on record")

    def test_statistics_see_what_is_there_and_nothing_else(self):
        dice = random.Random(1)
        one, same = ([dice.gauss(1000, 60) for _ in range(1000)] for _ in range(2))
        later = [x + 20 for x in same]
        wider = [1000 + 3 * (x - 1000) for x in same]
        for test in (measure.kolmogorov_smirnov, measure.mann_whitney):
            self.assertGreater(test(one, same), 0.05)
            self.assertLess(test(one, later), 1e-6)
            self.assertEqual(test(one, one), 1)
        self.assertLess(measure.kolmogorov_smirnov(one, wider), 1e-6)
        low = [test([dice.random() for _ in range(50)], [dice.random() for _ in range(50)]) < 0.05
               for test in (measure.kolmogorov_smirnov, measure.mann_whitney) for _ in range(500)]
        self.assertTrue(20 < sum(low) < 80, f"{sum(low)} of 1000 by chance, 50 expected")
        self.assertEqual(measure.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])


if __name__ == "__main__":
    unittest.main()
