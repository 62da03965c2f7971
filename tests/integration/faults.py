# SPDX-License-Identifier: Apache-2.0
"""What the tests of the fault list share. Short by default; SETU_LONG_FAULTS=1 lets each fault last as long as it may in
life (about half an hour in all)."""

import os
import unittest

from tests.integration.stage import Stage, broker_program, setu_program

LONG = os.environ.get("SETU_LONG_FAULTS") == "1"
SEED = int(os.environ.get("SETU_FAULT_SEED", "1"))


def either(short, long):
    return long if LONG else short


class Faults(unittest.TestCase):
    """Each test has brokers and a Setu of its own; when they end, nothing is left, and no sanitizer spoke."""

    longMessage = True

    def setUp(self):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")

    def stage(self, prepare=None, **options) -> Stage:
        made = self.made = Stage(**options)

        def close():
            wrong = made.close()
            self.assertEqual(wrong, [], "\n".join(wrong))

        self.addCleanup(close)
        if prepare:
            prepare(made)
        return made.start()

    def enters(self, stage: Stage) -> bool:
        """Whether somebody new is let in."""
        try:
            stage.client(user="payments", timeout_s=5).close()
            return True
        except OSError:
            return False

    def tell(self, text: str) -> None:
        print(f"    {self._testMethodName}: {text}", flush=True)
