# SPDX-License-Identifier: Apache-2.0
"""How many tests passed, failed and were skipped, out of the logs of test runners. Prints three numbers.

  counts.py ctest LAST_TEST_LOG CTEST_OUTPUT   each Criterion test counts, and each other ctest entry
  counts.py line LOG                           the last line `N passed, N failed, N skipped` of LOG
  counts.py failures LOG                       the parts of a unittest log that tell of failures
"""

import re
import sys

SYNTHESIS = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")
LINE = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
CLOSING = re.compile(r"tests? passed, (\d+) tests? failed out of (\d+)")


def read(path: str) -> str:
    with open(path, errors="replace") as file:
        return re.sub(r"\x1b\[[0-9;]*m", "", file.read())


def ctest(last_log: str, output: str) -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for part in re.split(r"(?m)^\d+/\d+ Testing: ", read(last_log))[1:]:
        found = SYNTHESIS.search(part)
        good = "\nTest Passed." in part
        if found:
            _, passing, failing, crashing = map(int, found.groups())
            passed += passing
            failed += failing + crashing
            # A sanitizer's report after the last test fails the program, not a test.
            failed += not good and failing + crashing == 0
            skipped += len(re.findall(r"(?m)^SKIPPED: ", part))
        elif "\nTest Skipped" in part:
            skipped += 1
        else:
            passed += good
            failed += not good
    # ctest's own view: entries that never ran leave nothing in the log.
    closing = CLOSING.search(read(output))
    if closing and int(closing[1]) and not failed:
        failed = int(closing[1])
    if not closing and "No tests were found" not in read(output):
        failed = max(failed, 1)
    return passed, failed, skipped


def line(path: str) -> tuple[int, int, int]:
    for text in reversed(read(path).splitlines()):
        match = LINE.match(text)
        if match:
            return int(match[1]), int(match[2]), int(match[3] or 0)
    raise SystemExit(f"{path}: no line of counts")


def failures(path: str) -> str:
    text = read(path)
    start = text.find("\n======")
    return text[start:][:20000] if start >= 0 else "\n".join(text.splitlines()[-60:])


def main() -> None:
    verb, *paths = sys.argv[1:]
    if verb == "failures":
        print(failures(*paths))
    else:
        print(*{"ctest": ctest, "line": line}[verb](*paths))


if __name__ == "__main__":
    main()
