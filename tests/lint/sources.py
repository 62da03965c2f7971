# SPDX-License-Identifier: Apache-2.0
"""What the lints read: the project's files, and C text without its comments and strings."""

import os
import pathlib
import re
import sys

SKIPPED = {".git", "build", ".cache", "__pycache__", "node_modules", "corpus", "vectors"}


def root() -> pathlib.Path:
    """The tree to look at: the first argument, or this checkout."""
    return pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()


def files(top: pathlib.Path, *suffixes: str):
    """Relative paths of all files, sorted; with suffixes only those that end so."""
    found = []
    for directory, names, leaves in os.walk(top):
        names[:] = [n for n in names if n not in SKIPPED]
        found += [(pathlib.Path(directory) / leaf).relative_to(top) for leaf in leaves]
    return sorted(p for p in found if not suffixes or p.suffix in suffixes)


def is_script(path: pathlib.Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text: str, keep_strings: bool = False) -> str:
    """C text with comments (and strings) blanked out; lines keep their numbers."""
    def blank(match: re.Match) -> str:
        found = match[0]
        if found[0] in "\"'":
            return found if keep_strings else found[0] + found[0]
        return re.sub(r"[^\n]", " ", found)
    return TOKEN.sub(blank, text)


class Findings:
    """Collects `path:line: text` and ends the program: 1 when there are any."""

    def __init__(self):
        self._lines = []

    def add(self, path, line: int, text: str) -> None:
        self._lines.append(f"{path}:{line}: {text}")

    def leave(self) -> None:
        for line in self._lines:
            print(line)
        sys.exit(1 if self._lines else 0)
