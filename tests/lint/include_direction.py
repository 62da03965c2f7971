#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the folders use each other in one direction only, and headers form no cycle."""

import re

import sources

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)
GENERATED = re.compile(r"\.pb-c\.h$")

# folder → folders it may use beside itself
FOLDERS = {
    "protocol": set(),
    "conf": set(),
    "auth": {"protocol", "conf"},
    "proxy": {"protocol", "conf", "auth"},
    "deploy": {"protocol", "conf", "auth"},
    "tests": {"protocol", "conf", "auth", "proxy", "deploy"},
}
# inside proxy: a part uses its own level and those below
LEVELS = {"io": 0, "ops": 0, "cluster": 1, "session": 2, "admin": 3, "": 3, "cli": 4}


def level(path: str) -> int:
    parts = path.split("/")
    if parts[-1] == "main.c":
        return LEVELS["cli"]
    return LEVELS.get(parts[1] if len(parts) > 2 else "", 3)


def forbidden(user: str, used: str) -> str | None:
    """Why `user` may not include `used`; None when it may."""
    source, target = user.split("/")[0], used.split("/")[0]
    if source == "proxy" and target == "deploy" and user.startswith("proxy/cli/"):
        return None
    if target not in FOLDERS:
        return f'"{used}" is not in a folder of this project'
    if source != target and target not in FOLDERS.get(source, set()):
        return f"{source}/ must not use {target}/"
    if source == target == "proxy" and level(used) > level(user):
        return f'"{used}" is above {user}'
    return None


def own_header(path, names: list[str], exists) -> str | None:
    own = str(path.with_suffix(".h"))
    if path.suffix == ".c" and exists(own) and names[:1] != [own]:
        return f'"{own}" comes first'
    return None


def cycles(graph: dict[str, list[str]]):
    """Yields one closed walk for each header that can reach itself first."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]):
        if name in trail:
            yield trail[trail.index(name):] + [name]
        elif name not in done:
            for used in graph.get(name, []):
                yield from visit(used, trail + [name])
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, [])


def main() -> None:
    top, findings, graph = sources.root(), sources.Findings(), {}
    for path in sources.files(top, ".c", ".h"):
        text = sources.code((top / path).read_text(errors="replace"), keep_strings=True)
        found = [(match[1], text.count("\n", 0, match.start()) + 1) for match in INCLUDE.finditer(text)]
        for name, line in found:
            if not (top / name).is_file() and not GENERATED.search(name):
                findings.add(path, line, f'"{name}" is no path from the root of the project')
                continue
            reason = forbidden(str(path), name)
            if reason:
                findings.add(path, line, reason)
        late = own_header(path, [name for name, _ in found], lambda name: (top / name).is_file())
        if late:
            findings.add(path, 1, late)
        if path.suffix == ".h":
            graph[str(path)] = [name for name, _ in found if name.endswith(".h")]
    for walk in cycles(graph):
        findings.add(walk[0], 1, "headers include each other: " + " → ".join(walk))
    findings.leave()


if __name__ == "__main__":
    main()
