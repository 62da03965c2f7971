# SPDX-License-Identifier: Apache-2.0
"""System calls put into a process that runs, as whoever has broken into it would make them (x86-64)."""

import ctypes
import os
import pathlib
import platform
import signal
import unittest

GETREGS, SETREGS, ATTACH, DETACH, SINGLESTEP, PEEK, POKE = 12, 13, 16, 17, 9, 1, 4
WALL = 0x40000000
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es "
         "fs gs").split()
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES]


def ptrace(request: int, pid: int, address: int = 0, data=None) -> int:
    ctypes.set_errno(0)
    answer = LIBC.ptrace(request, pid, address, data)
    number = ctypes.get_errno()
    if number:
        raise OSError(number, f"ptrace {request}: {os.strerror(number)}")
    return answer


class Held:
    """One thread of a child of ours stands still meanwhile, as if in an endless loop."""

    def __init__(self, pid: int):
        self.pid = pid

    def __enter__(self) -> None:
        try:
            ptrace(ATTACH, self.pid)
        except PermissionError as error:
            raise unittest.SkipTest(f"NOT TESTED: nobody may trace here: {error}") from None
        os.waitpid(self.pid, WALL)

    def __exit__(self, *_) -> None:
        ptrace(DETACH, self.pid)


class Killed(Exception):
    """By this signal."""


class Tracer:
    """Of one thread of a child of ours; SkipTest where nobody may trace."""

    def __init__(self, pid: int):
        if platform.machine() != "x86_64":
            raise unittest.SkipTest("NOT TESTED: system calls are put in on x86-64 only")
        self.pid = pid
        try:
            ptrace(ATTACH, pid)
        except PermissionError as error:
            raise unittest.SkipTest(f"NOT TESTED: nobody may trace here: {error}") from None
        self._wait()
        self.before = self._registers()
        # It waits in a system call: the two bytes behind us are the instruction.
        self.at = self.before.rip - 2
        if self._word(self.at) & 0xffff != 0x050f:
            raise AssertionError("it was not stopped in a system call")

    def _wait(self) -> None:
        _, status = os.waitpid(self.pid, WALL)
        if os.WIFSIGNALED(status):
            raise Killed(signal.Signals(os.WTERMSIG(status)))

    def _registers(self) -> Registers:
        registers = Registers()
        ptrace(GETREGS, self.pid, 0, ctypes.cast(ctypes.byref(registers), ctypes.c_void_p))
        return registers

    def _word(self, address: int) -> int:
        return ptrace(PEEK, self.pid, address) & 0xffffffffffffffff

    def text(self, value: bytes) -> int:
        """Below its stack; the address."""
        at, value = self.before.rsp - 4096, value + bytes(8 - len(value) % 8)
        for i in range(0, len(value), 8):
            ptrace(POKE, self.pid, at + i, int.from_bytes(value[i:i + 8], "little"))
        return at

    def call(self, number: int, *arguments: int) -> int:
        """What the kernel answers: negative is an errno. Killed: it does not."""
        registers = self._registers()
        registers.rip, registers.rax, registers.orig_rax = self.at, number, 0xffffffffffffffff
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), (*arguments, 0, 0, 0, 0, 0, 0)):
            setattr(registers, name, value & 0xffffffffffffffff)
        ptrace(SETREGS, self.pid, 0, ctypes.cast(ctypes.byref(registers), ctypes.c_void_p))
        ptrace(SINGLESTEP, self.pid)
        self._wait()
        return ctypes.c_longlong(self._registers().rax).value

    def detach(self) -> None:
        """As it was."""
        ptrace(SETREGS, self.pid, 0, ctypes.cast(ctypes.byref(self.before), ctypes.c_void_p))
        ptrace(DETACH, self.pid)
