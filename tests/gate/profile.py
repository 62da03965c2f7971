# SPDX-License-Identifier: Apache-2.0
"""Runs setu-replay under callgrind and turns what callgrind wrote into figures.

Callgrind counts instructions of each function, calls between each two of them, and system calls, exactly. A function is
Setu's when it lies in setu-replay and was not written for the gate; what the C library does is charged to who called it.
"""

import collections
import json
import pathlib
import re
import subprocess
import tempfile

LIMIT_S = 120
SYSCALLS = {"recv": "recv", "recvfrom": "recv", "recvmsg": "recv", "recvmmsg": "recv", "read": "recv", "readv": "recv",
            "send": "send", "sendto": "send", "sendmsg": "send", "sendmmsg": "send", "write": "send", "writev": "send",
            "epoll_wait": "epoll_wait", "epoll_pwait": "epoll_wait", "epoll_pwait2": "epoll_wait", "epoll_ctl": "epoll_ctl"}
HEAP = {"malloc", "calloc", "realloc", "reallocarray", "free", "aligned_alloc", "memalign", "posix_memalign", "strdup",
        "strndup", "asprintf", "vasprintf"}
OBJECTS = {"setu-replay": "setu", "libssl": "openssl", "libcrypto": "openssl", "libuv": "loop", "libisal": "crc",
           # Where callgrind knows no object, libcrypto's jumps to other libraries are.
           "???": "openssl", "libc": "libc", "ld-linux-x86": "libc", "libpthread": "libc", "libm": "libc"}


class ReplayFailed(Exception):
    pass


# --- callgrind's file ---

def origin(binary: str, source: str) -> str:
    """Whose a function is: setu, openssl, loop, crc, libc, peers, or the library's own name."""
    name = re.sub(r"(-[\d.]+)?\.so.*$", "", pathlib.PurePath(binary).name)
    if name == "setu-replay" and "/tests/" in source and not source.endswith("/tests/gate/waste.c"):
        return "peers"
    return OBJECTS.get(name, name)


def plain(function: str) -> str:
    """recv of __libc_recv@@GLIBC_2.2.5'2."""
    return re.sub(r"^(__libc_|__)", "", re.sub(r"(@.*|'\d+)+$", "", function))


Edge = collections.namedtuple("Edge", "caller callee function count instructions syscalls")


def read(path: pathlib.Path) -> tuple[dict, list[Edge]]:
    """Instructions of each origin's own functions, and the calls between functions."""
    own, edges = collections.Counter(), []
    binary = source = function = ""
    callee_binary, callee, calls = None, "", None
    events = {}
    for line in path.read_text(errors="replace").splitlines():
        key, _, value = line.partition("=")
        if line.startswith("events: "):
            events = {name: at for at, name in enumerate(line.split()[1:], 1)}
        elif key == "ob":
            binary = value
        elif key == "fl":  # fi and fe, of inlined code, hold for lines only
            source = value
        elif key == "fn":
            function = origin(binary, source)
        elif key == "cob":
            callee_binary = value
        elif key == "cfn":
            callee = value
        elif key == "calls":
            calls = int(value.split()[0])
        elif re.match(r"[+\-*\d]", line):
            costs = [int(c) for c in re.sub(r"^\S+", "0", line).split()] + [0] * len(events)
            instructions, syscalls = costs[events["Ir"]], costs[events["sysCount"]]
            if calls is not None:
                to = origin(callee_binary or binary, "")
                if calls and instructions:  # or else under way when callgrind began, or outside of a turn
                    edges.append(Edge(function, to, plain(callee), calls, instructions, syscalls))
                callee_binary, calls = None, None
            else:
                own[function] += instructions
    return own, edges


# --- figures ---

def figures(own: dict, edges: list[Edge], replay: dict) -> dict:
    """Measure → value: system calls a GB; heap calls, calls into OpenSSL and instructions a frame."""
    out = {f"{kind} per GB": 0 for kind in ("recv", "send", "epoll_wait", "epoll_ctl", "other syscalls")}
    heap, into_openssl = collections.Counter(openssl=replay["openssl_heap_calls"]), 0
    spent = collections.Counter({name: count for name, count in own.items() if name not in ("peers", "libc")})
    spent["setu copying"] = 0
    for edge in edges:
        if edge.caller in ("peers", "libc"):
            continue
        if edge.callee == "libc":
            out[f"{SYSCALLS.get(edge.function, 'other syscalls')} per GB"] += edge.syscalls
            nothing = edge.function == "free" and edge.instructions < 10 * edge.count  # free(NULL)
            if edge.function in HEAP and edge.caller != "openssl" and not nothing:
                heap[edge.caller] += edge.count
            copies = edge.caller == "setu" and re.match("mem(p?cpy|move|set)", edge.function)
            spent["setu copying" if copies else edge.caller] += edge.instructions
        elif edge.caller == "setu" and edge.callee == "openssl":
            into_openssl += edge.count
    frames = replay["frames"]
    out = {measure: round(count / replay["bytes"] * 1e9) for measure, count in out.items()}
    for name in ("setu", "openssl", "loop"):
        out[f"heap calls per frame, {name}"] = round(heap[name] / frames, 3)
    out["calls into OpenSSL per frame"] = round(into_openssl / frames, 3)
    for name in sorted(spent, key=lambda name: (not name.startswith("setu"), name)):
        out[f"instructions per frame, {name}"] = round(spent[name] / frames, 1)
    return out


def measure(replay: pathlib.Path, scenario: str, waste: str | None = None) -> dict:
    with tempfile.TemporaryDirectory(prefix="setu-gate-") as directory:
        out = pathlib.Path(directory, "callgrind.out")
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-systime=yes",
                   "--toggle-collect=stand_turn", "--zero-before=replay_begin", "--dump-line=no",
                   "--compress-strings=no", "--compress-pos=no", str(replay)]
        command += ["--waste", waste] if waste else []
        # Nothing of the caller's environment: its size would move the stack, and its settings OpenSSL.
        # Without `rep movsb`, which callgrind counts as one instruction a byte.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LD_BIND_NOW": "1", "OPENSSL_CONF": "/dev/null",
                       "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=1073741824"}
        try:
            done = subprocess.run([*command, scenario], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise ReplayFailed(f"{scenario}: not done after {LIMIT_S} s") from error
        if done.returncode != 0:
            raise ReplayFailed(f"{scenario}: {(done.stderr or done.stdout)[-2000:]}")
        return figures(*read(out), json.loads(done.stdout))
