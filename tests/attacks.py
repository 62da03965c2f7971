# SPDX-License-Identifier: Apache-2.0
"""Attacks by number: what each is (tests/attacks.txt), and which tests carry it. Without arguments it prints them.

A test carries a number in its name (`test_t52_…`, `Test(suite, t52_…)`, `test_t23_and_t24_…`) or in the first words
above or inside it: a docstring \"\"\"T52: …\"\"\", a comment /* T52: … */ or /* T52, T53 */ right above `Test(`. A number
that has no test because it does not apply has a row in the table of SECURITY.md that says why.
"""

import ast
import pathlib
import re
import signal
import sys

FIRST, LAST = 1, 84
NAMED = re.compile(r"(?:^|_)t(\d\d)(?=_|$)")
SAID = re.compile(r"\s*(T\d\d(?:(?:, | and )T\d\d)*)\s*(?::|$)")
C_TEST = re.compile(r"(?m)((?:/\*(?:[^*]|\*(?!/))*\*/[ \t]*\n)?)^Test\(\s*(\w+)\s*,\s*(\w+)")
REASON = re.compile(r"(?m)^\| (T\d\d) \| (.+?) \|$")


def titles(root: pathlib.Path) -> dict[str, str]:
    rows = (line.partition(" ") for line in (root / "tests" / "attacks.txt").read_text().splitlines()
            if not line.startswith("#"))
    return {number: title for number, _, title in rows}


def numbers(name: str, said: str) -> list[str]:
    """Of a test's name and of what is said first about it."""
    found = [f"T{digits}" for digits in NAMED.findall(name)]
    match = SAID.match(said)
    return sorted({*found, *re.findall(r"T\d\d", match[1] if match else "")})


def c_tests(path: pathlib.Path):
    for comment, suite, name in C_TEST.findall(path.read_text()):
        yield f"{suite}:{name}", numbers(name, comment.strip()[2:-2])


def python_tests(path: pathlib.Path):
    for node in ast.parse(path.read_text()).body:
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(part, ast.FunctionDef) and part.name.startswith("test"):
                yield f"{path.stem}.{node.name}.{part.name}", numbers(part.name, ast.get_docstring(part) or "")


def carried(root: pathlib.Path) -> dict[str, list[str]]:
    """Number → the tests that carry it."""
    found: dict[str, list[str]] = {}
    tests = root / "tests"
    for reader, paths in ((c_tests, tests.glob("unit/test_*.c")), (python_tests, tests.glob("integration/test_*.py"))):
        for path in sorted(paths):
            for test, its in reader(path):
                for number in its:
                    found.setdefault(number, []).append(f"{path.parent.name}/{test}")
    return found


def reasons(root: pathlib.Path) -> dict[str, str]:
    """Number → why it does not apply."""
    return dict(REASON.findall((root / "SECURITY.md").read_text()))


def main() -> None:
    root = pathlib.Path(__file__).resolve().parents[1]
    tests, why = carried(root), reasons(root)
    lines = []
    for number, title in titles(root).items():
        lines += [f"{number}  {title}", *(f"       {test}" for test in tests.get(number, ()))]
        lines += [f"       does not apply: {why[number]}"] if number in why else []
    print("\n".join(lines))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads the beginning alone is no error
    sys.exit(main())
