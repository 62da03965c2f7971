#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House style that the compiler does not check: comments, #pragma once, goto, tabs, widths, lengths, braces."""

import re

import sources

# Code keeps to 100 columns; a comment may go on to 120.
WIDTH, COMMENT_WIDTH, LONG_FILE, TOO_LONG_FILE = 100, 120, 700, 1000
GOTO = re.compile(r"\bgoto\s+(?!out\s*;)(\w+)")
BARE = re.compile(r"^\s*(?:\}\s*)?(?:if|for|while)\b.*\)\s*$|^\s*(?:\}\s*)?else\s*$")
LINE_COMMENT = re.compile(r"(?<!:)//")


def check(path, text: str, findings) -> None:
    lines, plain = text.splitlines(), sources.code(text).splitlines()
    if path.suffix == ".h" and "#pragma once" not in text:
        findings.add(path, 1, "no #pragma once")
    if len(lines) > TOO_LONG_FILE:
        findings.add(path, 1, f"{len(lines)} lines: more than {TOO_LONG_FILE}, split it")
    elif len(lines) > LONG_FILE:
        print(f"{path}:1: warning: {len(lines)} lines: think about splitting it")
    without_strings = sources.TOKEN.sub(
        lambda m: m[0] if m[0].startswith("//") else re.sub(r"[^\n]", " ", m[0]), text).splitlines()
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            findings.add(path, number, "tab")
        if line != line.rstrip():
            findings.add(path, number, "trailing blanks")
        wide = WIDTH if plain[number - 1].strip() else COMMENT_WIDTH
        if len(line) > wide:
            findings.add(path, number, f"{len(line)} columns: more than {wide}")
        if LINE_COMMENT.search(without_strings[number - 1]):
            findings.add(path, number, "// comment: use /* */")
        match = GOTO.search(plain[number - 1])
        if match:
            findings.add(path, number, f"goto {match[1]}: the only label is out")
    for number, line in enumerate(plain, 1):
        if BARE.match(line) and line.count("(") == line.count(")"):
            following = next((later for later in plain[number:] if later.strip()), "")
            if not following.strip().startswith(("{", "&&", "||")):
                findings.add(path, number, "no braces")


def main() -> None:
    top, findings = sources.root(), sources.Findings()
    for path in sources.files(top, ".c", ".h"):
        check(path, (top / path).read_text(errors="replace"), findings)
    findings.leave()


if __name__ == "__main__":
    main()
