#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps the tables in proxy/session/README.md in step with the lists they are made from.

    generated_docs.py            compare; exit 1 and say what differs
    generated_docs.py --write    write them anew

Sources: proxy/session/states.def and proxy/session/close_reason.def.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "proxy/session/README.md"


def rows(name: str, macro: str) -> list[list[str]]:
    """The arguments of every use of macro in a .def file, texts without quotes."""
    text = (ROOT / "proxy/session" / name).read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    found = []
    for body in re.findall(rf"^{macro}\((.*?)\)\n", text + "\n", flags=re.S | re.M):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"|[^,"]+', body)
        parts = [p.strip() for p in parts if p.strip()]
        found.append([p[1:-1] if p.startswith('"') else p for p in parts])
    return found


def states() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> secure"]
    states = rows("states.def", "SESSION_STATE")
    names = {row[0]: row[1] for row in states}
    for _, name, moves, _ in states:
        for to in re.findall(r"M\((\w+)\)", moves):
            lines.append(f"    {name} --> {names[to]}")
    lines += ["    closed --> [*]", "    note right of closed: reached from every state", "```", ""]
    lines += ["| state | what happens there |", "|---|---|"]
    lines += [f"| {name} | {meaning} |" for _, name, _, meaning in states]
    return "\n".join(lines)


def reasons() -> str:
    lines = ["| reason | logged as | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {level.lower()} | {meaning} |" for _, name, level, meaning in
              rows("close_reason.def", "CLOSE_REASON")]
    return "\n".join(lines)


def generate(page: str) -> str:
    for mark, text in (("states", states()), ("reasons", reasons())):
        page, count = re.subn(rf"(<!-- {mark}: generated -->\n).*?(\n<!-- end -->)",
                              lambda m, text=text: m.group(1) + text + m.group(2), page, flags=re.S)
        if count != 1:
            sys.exit(f"{PAGE.relative_to(ROOT)}: no single block '{mark}: generated'")
    return page


def main() -> int:
    page = PAGE.read_text()
    new = generate(page)
    if "--write" in sys.argv:
        PAGE.write_text(new)
        return 0
    if new != page:
        print(f"{PAGE.relative_to(ROOT)}: out of step with its sources (run tests/lint/generated_docs.py --write)")
        return 1
    return 0


sys.exit(main())
