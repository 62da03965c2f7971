#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exported audit records, as the unit test's golden files have them, against what OCSF and ECS demand of them; CEF and CSV
by their own grammar."""

import csv
import json
import re
import sys

import sources

try:
    import jsonschema
except ImportError:
    print("audit_exports: SKIPPED, python3-jsonschema is not installed")
    sys.exit(77)

CEF = re.compile(r"CEF:0(\|(?:[^|\\]|\\[|\\])*){5}\|\d+\|(?:\w+=(?:[^=\\]|\\[=\\])*(?: |$))+")


def lines(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(enumerate(file.read().split("\n")[:-1], 1))


def check_json(folder, form: str, findings) -> None:
    schema = json.loads((folder / f"{form}.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    path = folder / f"records.{form}"
    for number, line in lines(path):
        for error in validator.iter_errors(json.loads(line)):
            findings.add(path, number, f"{'/'.join(str(part) for part in error.path)}: {error.message[:200]}")


def main() -> None:
    top, findings = sources.root(), sources.Findings()
    folder = top / "tests/unit/vectors/audit"
    for form in ("ocsf", "ecs"):
        check_json(folder, form, findings)
    count = len(lines(folder / "records.jsonl"))
    for form, more in (("ocsf", 0), ("ecs", 0), ("cef", 0), ("csv", 1), ("text", 0)):
        found = len(lines(folder / f"records.{form}"))
        if found != count + more:
            findings.add(folder / f"records.{form}", 1, f"{found} lines for {count} records")
    for number, line in lines(folder / "records.cef"):
        if not CEF.fullmatch(line):
            findings.add(folder / "records.cef", number, "not as CEF 0 is written")
    with open(folder / "records.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            findings.add(folder / "records.csv", number, f"{len(row)} cells, not {len(rows[0])}")
    findings.leave()


if __name__ == "__main__":
    main()
