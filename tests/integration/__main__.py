# SPDX-License-Identifier: Apache-2.0
"""python3 -m tests.integration [-k NAME] [--part real|mixed|others|scripted] — runs the tests and closes with
`N passed, N failed, N skipped`."""

import argparse
import pathlib
import sys
import time
import unittest

from tests.integration import helpers
from tests.integration.stage import Stage
from tests.rig import process


class Result(unittest.TextTestResult):
    """One line a test, with its time."""

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        self._began = time.monotonic()

    def _tell(self, test, verdict: str) -> None:
        self.stream.writeln(f"{verdict:<7} {time.monotonic() - self._began:6.1f} s  "
                            f"{test.id().removeprefix('tests.integration.')}")
        self.stream.flush()

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self._tell(test, "ok")

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self._began = getattr(self, "_began", time.monotonic())
        self._tell(test, "ERROR")
        keep_stage(test)

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self._tell(test, "FAILED")
        keep_stage(test)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        self._began = getattr(self, "_began", time.monotonic())
        self._tell(test, f"skipped ({reason})")


def keep_stage(test) -> None:
    """What Setu and the scripted brokers said until now: a stage that ends well takes its logs with it."""
    for stage in (getattr(test, name, None) for name in ("stage", "made")):
        if isinstance(stage, Stage) and stage.directory.exists():
            print(f"    logs: {stage.keep()}", flush=True)


def every_test(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from every_test(test)
        else:
            yield test


def part_of(suite, part: str | None) -> unittest.TestSuite:
    """Tests with real clusters, one cluster after the other (of those the mixed one's, or all others'), or those without:
    processes can run one part each, side by side."""
    tests = list(every_test(suite))
    scripted = [test for test in tests if not isinstance(test, helpers.RigTest)]
    real = [test for test in tests if isinstance(test, helpers.RigTest)]
    real.sort(key=lambda test: helpers.ORDER.index(test.plans))
    mixed = [test for test in real if test.plans == helpers.MIXED]
    others = [test for test in real if test.plans != helpers.MIXED]
    parts = {"real": real, "mixed": mixed, "others": others, "scripted": scripted}
    return unittest.TestSuite(parts.get(part, scripted + real))


class Claimed(unittest.TestSuite):
    """The tests of those classes that no other process with the same directory has claimed before; each is claimed when
    its turn comes."""

    _cleanup = False  # it would look for a test at the place that it had among those that are ours

    def __init__(self, suite, claims: pathlib.Path):
        super().__init__(suite)
        self.claims = claims

    def __iter__(self):
        mine: dict[str, bool] = {}
        for test in super().__iter__():
            name = test.id().rpartition(".")[0]
            if name not in mine:
                mine[name] = self._claim(name)
            if mine[name]:
                yield test

    def _claim(self, name: str) -> bool:
        try:
            (self.claims / name).touch(exist_ok=False)
            return True
        except FileExistsError:
            return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.integration", description=__doc__)
    parser.add_argument("-k", metavar="NAME", action="append", help="only tests whose name contains NAME")
    parser.add_argument("--part", choices=("real", "mixed", "others", "scripted"),
                        help="only tests with real brokers, of these only with the mixed cluster or with others, or only "
                             "those before scripted brokers")
    parser.add_argument("--claims", type=pathlib.Path, metavar="DIR",
                        help="share the tests with other processes that are given this directory, empty at first")
    parser.add_argument("--failfast", action="store_true", help="stop at the first failure")
    parser.add_argument("--keep-logs", type=pathlib.Path, default=pathlib.Path("build/logs/integration"), metavar="DIR",
                        help="where logs go when something fails (default: build/logs/integration)")
    options = parser.parse_args()
    process.exit_on_signals()
    loader = unittest.TestLoader()
    if options.k:
        loader.testNamePatterns = [f"*{name}*" for name in options.k]
    here = pathlib.Path(__file__).parent
    suite = loader.discover(str(here), top_level_dir=str(here.parents[1]))
    suite = part_of(suite, options.part)
    if options.claims:
        suite = Claimed(suite, options.claims)
    result = None
    try:
        runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, failfast=options.failfast)
        result = runner.run(suite)
    finally:
        bad = result is None or not result.wasSuccessful()
        helpers.close_clusters(options.keep_logs if bad else None)
    # A failure in setUpClass counts without a test having run.
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    passed = max(0, result.testsRun - len({test.id() for test, _ in result.failures + result.errors}) - skipped)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or (result.testsRun == 0 and not options.claims) else 0


if __name__ == "__main__":
    sys.exit(main())
