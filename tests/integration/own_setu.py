# SPDX-License-Identifier: Apache-2.0
"""A Setu whose configuration or life is the test's own business: RigTest.setu() wants one life and loopback."""

import collections
import re

from tests.rig import Setu
from tests.rig.process import wait_until


def assert_clean(case, setu: Setu) -> None:
    """No sanitizer spoke in any of its lives."""
    text = setu.log.read_text(errors="replace")
    case.assertNotIn("Sanitizer", text, f"sanitizer report in {setu.log}")
    case.assertNotIn("runtime error:", text, f"undefined behaviour in {setu.log}")


def start(case, setu: Setu, ends_by_itself: bool = False) -> Setu:
    """Starts it; it is ended and looked at after the test. `ends_by_itself`: the test may have ended it before."""
    def finish():
        if setu.process.popen is None:
            return
        before = setu.process.popen.poll()
        status = setu.process.stop(40)
        assert_clean(case, setu)
        if not ends_by_itself:
            case.assertIsNone(before, f"{setu.log}: ended by itself with {before}")
        case.assertEqual(status, 0, f"{setu.log}: exit status after SIGTERM")

    case.addCleanup(finish)
    setu.start()
    return setu


def assert_ends(case, setu: Setu, *reasons: str) -> collections.Counter:
    """Connections ended for no other reasons than these; how many for each."""
    text = setu.said()
    found = collections.Counter(re.findall(r"event=session_closed .*? reason=(\w+)", text))
    case.assertLessEqual(set(found), set(reasons), f"{setu.log}: {found}")
    return found


def stats(setu: Setu) -> dict[str, float]:
    """Counters as in the stats file, `name{labels}` → number."""
    found = {}
    for line in setu.stats.read_text().splitlines():
        name, _, number = line.rpartition(" ")
        if name and not line.startswith("#"):
            found[name.removeprefix("setu_")] = float(number)
    return found


def fresh_stats(setu: Setu) -> dict[str, float]:
    """Counted after this call began."""
    seen = [setu.stats.stat().st_ino]

    def rewritten_twice():
        inode = setu.stats.stat().st_ino
        if inode != seen[-1]:
            seen.append(inode)
        return len(seen) > 2  # the one under way may have been counted earlier

    wait_until(rewritten_twice, 10, "the stats file is rewritten")
    return stats(setu)
