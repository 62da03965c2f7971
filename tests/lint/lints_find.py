#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lints themselves: each must find what it is there for, and leave good code alone."""

import pathlib
import subprocess
import sys
import tempfile

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"
GOOD = {
    "protocol/a.h": LICENCE + "#pragma once\n/* strcpy(a, b) in a comment, goto nowhere; */\n",
    "protocol/a.c": LICENCE + '#include "protocol/a.h"\n\n#include <string.h>\nconst char *a = "sprintf(x)";\n',
    "auth/b.c": LICENCE + '#include "protocol/a.h"\n',
    "proxy/session/s.h": LICENCE + '#pragma once\n#include "proxy/io/i.h"\n',
    "proxy/io/i.h": LICENCE + "#pragma once\n",
}
BAD = [
    ("include_direction", {"protocol/x.c": '#include "auth/b.h"\n', "auth/b.h": "#pragma once\n"}, "must not use"),
    ("include_direction", {"conf/x.c": '#include "protocol/a.h"\n'}, "must not use"),
    ("include_direction", {"proxy/io/x.c": '#include "proxy/session/s.h"\n'}, "is above"),
    ("include_direction", {"protocol/x.c": '#include "a.h"\n'}, "no path from the root"),
    ("include_direction", {"protocol/x.h": "\n", "protocol/x.c": '#include "protocol/a.h"\n#include "protocol/x.h"\n'},
     "comes first"),
    ("include_direction", {"protocol/x.h": '#include "protocol/y.h"\n', "protocol/y.h": '#include "protocol/x.h"\n'},
     "include each other"),
    ("banned_calls", {"protocol/x.c": "void f(char *a) { strcpy(a, a); }\n"}, "strcpy"),
    ("banned_calls", {"auth/x.c": "int f(void) { return memcmp(stored_key, b, 32); }\n"}, "leaks time"),
    ("marks", {"protocol/x.c": LICENCE + "/* TO" + "DO */\n"}, "unfinished mark"),
    ("marks", {"README.md": "see /ho" + "me/me/x\n"}, "path of one machine"),
    ("marks", {"x.py": "a = 1\n"}, "no SPDX"),
    ("c_style", {"protocol/x.c": "int a; // no\n"}, "// comment"),
    ("c_style", {"protocol/x.h": "int a;\n"}, "pragma once"),
    ("c_style", {"protocol/x.c": "void f(int a)\n{\n    if (a)\n        f(1);\n}\n"}, "no braces"),
    ("c_style", {"protocol/x.c": "int " + "a" * 100 + ";\n"}, "columns"),
    ("c_style", {"protocol/x.c": "void f(void)\n{\n    goto end;\nend:\n    return;\n}\n"}, "goto end"),
]


def run(lint: str, tree: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (GOOD | tree).items():
            path = pathlib.Path(directory) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        program = pathlib.Path(__file__).with_name(f"{lint}.py")
        done = subprocess.run([sys.executable, program, directory], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def main() -> int:
    failures = []
    for lint in sorted({lint for lint, _, _ in BAD}):
        status, printed = run(lint, {})
        if status:
            failures.append(f"{lint} complains about good code:\n{printed}")
    for lint, tree, expected in BAD:
        status, printed = run(lint, tree)
        if status != 1 or expected not in printed:
            failures.append(f"{lint} does not say '{expected}' of {list(tree)}:\n{printed}")
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
