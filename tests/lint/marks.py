#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing unfinished, and nothing of one person's machine: marks, home directories, registry hosts, missing licences."""

import re

import sources

UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
MACHINE = re.compile(r"(?<![\w.~$}])/(home|root|Users)/\w|(?<![\w.$}/])/[w]ork/\w|/tmp/build-\w")
REGISTRY = re.compile(r"(repo\d?\.maven|maven\.org|registry\.npmjs|npmjs\.org|pypi\.org|pythonhosted|proxy\.golang"
                      r"|deb\.debian\.org|repo\.maven\.apache)", re.I)
TEXT = {".c", ".h", ".def", ".py", ".md", ".txt", ".yaml", ".yml", ".json", ".xml", ".java", ".properties", ".lock",
        ".proto", ".cmake", ""}
LICENSED = {".c", ".h", ".def", ".py", ".java", ".proto", ".properties"}


def main() -> None:
    top, findings = sources.root(), sources.Findings()
    for path in sources.files(top):
        if path.suffix not in TEXT or path.name in ("LICENSE", ".git"):  # .git is a file in a worktree
            continue
        text = (top / path).read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            for pattern, what in ((UNFINISHED, "unfinished mark"), (MACHINE, "path of one machine"),
                                  (REGISTRY, "host of a package registry")):
                match = pattern.search(line)
                if match and path.name != "marks.py":
                    findings.add(path, number, f"{what}: {match[0]}")
        needs = path.suffix in LICENSED or sources.is_script(top / path)
        if needs and text.strip() and "SPDX-License-Identifier: Apache-2.0" not in text[:300]:
            findings.add(path, 1, "no SPDX-License-Identifier line")
    findings.leave()


if __name__ == "__main__":
    main()
