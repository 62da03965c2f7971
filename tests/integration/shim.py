# SPDX-License-Identifier: Apache-2.0
"""tests/shim before a command: a wall clock that is stepped, and stops at moments that are too short to be met."""

import contextlib
import os
import pathlib
import struct

from tests.integration.stage import broker_program

DAY_S = 86400


def library() -> pathlib.Path:
    """Of the build that has the test broker; SETU_SHIM names another."""
    return pathlib.Path(os.environ.get("SETU_SHIM") or broker_program().parents[1] / "shim/setu-shim.so")


def environment(**more: str) -> dict[str, str]:
    # The sanitizer wants to be first among the libraries; that it is not does no harm here.
    sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
    return {"LD_PRELOAD": str(library()), "ASAN_OPTIONS": sanitizer, **more}


def before(**more: str) -> list[str]:
    """What a command line is put behind."""
    return ["env", *(f"{name}={value}" for name, value in environment(**more).items())]


class Sync:
    """A disk that hangs when it is told to, for those who are started behind `before()`."""

    def __init__(self, file: pathlib.Path):
        self.file = file
        self.hang(False)

    def hang(self, hangs: bool) -> None:
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", hangs))

    def before(self) -> list[str]:
        return before(SETU_SHIM_SYNC=str(self.file))


class Clock:
    """The wall clock of those that are started behind `before()`."""

    def __init__(self, file: pathlib.Path, seconds: int = 0):
        self.file = file
        self.file.write_bytes(struct.pack("=q", seconds))

    def step(self, seconds: int) -> None:
        """So far from the right time from now on."""
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def before(self) -> list[str]:
        return before(SETU_SHIM_CLOCK=str(self.file))

    @contextlib.contextmanager
    def lent(self):
        """Whatever is started meanwhile has this clock."""
        mine = environment(SETU_SHIM_CLOCK=str(self.file))
        kept = {name: os.environ.get(name) for name in mine}
        os.environ.update(mine)
        try:
            yield
        finally:
            for name, value in kept.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
