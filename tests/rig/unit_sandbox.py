# SPDX-License-Identifier: Apache-2.0
"""Starts a program as a systemd unit would, where systemd does not run: python3 -m tests.rig.unit_sandbox UNIT USER
WRITABLE PROGRAM ARGUMENTS… as root.

Read from the unit and done: SystemCallFilter, RestrictAddressFamilies, MemoryDenyWriteExecute, CapabilityBoundingSet,
NoNewPrivileges, PrivateUsers, ProtectSystem=strict (but for WRITABLE), ProtectProc and ProcSubset, UMask, LimitCORE. Not done:
what only takes away more of what the filter takes already (namespaces, realtime, setuid bits), devices, control groups.
"""

import ctypes
import os
import pathlib
import pwd
import resource
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWUSER = 0x20000, 0x10000000
CAPBSET_DROP, SET_NO_NEW_PRIVS, CAPABILITIES = 24, 38, 64
ALLOW, EPERM = 0x7fff0000, 0x00050001
EQUAL, MASKED = 4, 7
WRITE, EXECUTE = 2, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(unit: pathlib.Path) -> dict[str, list[str]]:
    """Key → values, in order; an empty one forgets those before."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith(("#", ";")):
            found[key] = [*found.get(key, []), value] if value else []
    return found


def members(name: str) -> set[str]:
    """Of a group of system calls, as this machine's systemd has it; a name stands for itself."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], capture_output=True, text=True,
                          check=True).stdout
    words = [line.strip() for line in told.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(members(word) for word in words)) if words else set()


def allowed_calls(lines: list[str]) -> set[str]:
    allowed = members("@default")
    for line in lines:
        taken = line.startswith("~")
        for word in line.removeprefix("~").split():
            allowed = allowed - members(word) if taken else allowed | members(word)
    return allowed


def prctl(option: int, argument: int) -> None:
    if LIBC.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def filter_calls(unit: dict[str, list[str]], calls: set[str]) -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(EPERM))

    def rule(name: str, *compares: Compare) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        array = (Compare * max(1, len(compares)))(*compares)
        if number >= 0 and library.seccomp_rule_add_array(context, ALLOW, number, len(compares), array) != 0:
            raise OSError(f"seccomp: {name}")

    families = unit.get("RestrictAddressFamilies", [""])[-1].split()
    guarded = {"mmap", "mprotect", "socket"} if unit["MemoryDenyWriteExecute"] == ["yes"] else {"socket"}
    for name in sorted(calls - guarded):
        rule(name)
    for family in families:
        rule("socket", Compare(0, EQUAL, FAMILIES[family], 0))
    if "mmap" in guarded:
        rule("mmap", Compare(2, MASKED, WRITE, 0))
        rule("mmap", Compare(2, MASKED, WRITE | EXECUTE, WRITE))
        rule("mprotect", Compare(2, MASKED, EXECUTE, 0))
    if library.seccomp_load(context) != 0:
        raise OSError("seccomp_load")


def mount(*words) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def close_files(unit: dict[str, list[str]], writable: pathlib.Path) -> None:
    if LIBC.unshare(NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    mount("--bind", writable, writable)
    if unit["ProtectSystem"] == ["strict"]:
        mount("-o", "remount,bind,ro", "/")
    mount("-t", "proc", "-o", f"hidepid={unit['ProtectProc'][0]},subset={unit['ProcSubset'][0]}", "proc", "/proc")


def own_users(user: int, group: int) -> None:
    """Root and the user are who they are; everybody else is nobody."""
    told, asked = os.pipe(), os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        os.read(asked[0], 1)
        for name, number in (("uid_map", user), ("gid_map", group)):
            pathlib.Path(f"/proc/{parent}/{name}").write_text(f"0 0 1\n{number} {number} 1\n")
        os.write(told[1], b"x")
        os._exit(0)
    if LIBC.unshare(NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(asked[1], b"x")
    os.read(told[0], 1)
    os.wait()


def main() -> None:
    unit, who = settings(pathlib.Path(sys.argv[1])), pwd.getpwnam(sys.argv[2])
    calls = allowed_calls(unit["SystemCallFilter"])
    writable, command = pathlib.Path(sys.argv[3]), sys.argv[4:]
    close_files(unit, writable)
    os.chdir("/")
    os.umask(int(unit["UMask"][0], 8))
    resource.setrlimit(resource.RLIMIT_CORE, (int(unit["LimitCORE"][0]),) * 2)
    if unit["CapabilityBoundingSet"]:
        raise SystemExit("this knows an empty CapabilityBoundingSet only")
    os.setgroups([])
    own_users(who.pw_uid, who.pw_gid)
    for capability in range(CAPABILITIES):
        if LIBC.prctl(CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    os.setresgid(who.pw_gid, who.pw_gid, who.pw_gid)
    os.setresuid(who.pw_uid, who.pw_uid, who.pw_uid)
    prctl(SET_NO_NEW_PRIVS, 1)
    filter_calls(unit, calls)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
