#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each attack of tests/attacks.txt is carried by a test that runs, or SECURITY.md says why it does not apply; never both."""

import pathlib
import re
import sys

import sources

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import attacks  # noqa: E402

# Not there yet. A number leaves this list with its test.
OWED: set[str] = set()


def main() -> None:
    top, findings = sources.root(), sources.Findings()
    here, listing = pathlib.Path(__file__).name, "tests/attacks.txt"
    titles, tests, reasons = attacks.titles(top), attacks.carried(top), attacks.reasons(top)
    wanted = [f"T{n:02}" for n in range(attacks.FIRST, attacks.LAST + 1)]
    if list(titles) != wanted:
        findings.add(listing, 1, f"not {wanted[0]} to {wanted[-1]} in order")
    for number in sorted({*wanted, *titles, *tests, *reasons}):
        carriers = tests.get(number, [])
        if number not in wanted:
            findings.add(listing, 1, f"there is no attack {number}: {carriers or 'SECURITY.md'}")
        elif number in OWED and (carriers or number in reasons):
            findings.add(here, 1, f"{number} is there ({(carriers or ['SECURITY.md'])[0]}): take it out of OWED")
        elif carriers and number in reasons:
            findings.add("SECURITY.md", 1, f"{number} is said not to apply, and {carriers[0]} carries it")
        elif not carriers and number not in reasons and number not in OWED:
            findings.add(listing, 1, f"no test carries {number} ({titles.get(number)}), and SECURITY.md gives no reason")
    built = re.findall(r"(?m)^setu_unit\((\w+)", (top / "tests/unit/CMakeLists.txt").read_text())
    for path in sorted((top / "tests/unit").glob("test_*.c")):
        if path.stem not in built and any(its for _, its in attacks.c_tests(path)):
            findings.add(path.relative_to(top), 1, "carries an attack and is not in CMakeLists.txt")
    findings.leave()


if __name__ == "__main__":
    main()
