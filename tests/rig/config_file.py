# SPDX-License-Identifier: Apache-2.0
"""Files that Setu reads: YAML from a tree, and files that nobody else may read."""

import json
import pathlib


def yaml(value, indent: int = 0) -> str:
    """Block-style YAML of dicts, lists and scalars. Strings are double-quoted, which JSON and YAML write alike."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            nested = isinstance(item, (dict, list)) and item
            lines.append(f"{pad}{key}:\n{yaml(item, indent + 1)}" if nested else f"{pad}{key}: {yaml(item)}")
        return "\n".join(lines) if lines else "{}"
    if isinstance(value, list):
        if not value:
            return "[]"
        rows = []
        for item in value:
            text = yaml(item, indent + 1)
            rows.append(f"{pad}- {text.lstrip()}")
        return "\n".join(rows)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, pathlib.Path):
        return json.dumps(str(value))
    return json.dumps(value, ensure_ascii=False)


def private_file(path: pathlib.Path, text: str) -> pathlib.Path:
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)
    return path
