# SPDX-License-Identifier: Apache-2.0
"""What a demo tells while it runs."""

import sys
import time


class Teller:
    """Progress on standard output, one line at a time, with the time since the start."""

    def __init__(self):
        self._began = time.monotonic()
        self._told = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def __call__(self, text: str) -> None:
        """May be called by any thread."""
        sys.stdout.write(f"[{self.elapsed_s:6.1f} s] {text}\n")
        sys.stdout.flush()

    def head(self, text: str) -> None:
        self("")
        self(f"== {text}")

    def written(self, total: int):
        def progress(done: int, rate: float) -> None:
            self(f"   {done:>9,} of {total:,} acknowledged ({done / total:4.0%}), {rate:>9,.0f} records/s")
        return progress

    def read(self, total: int):
        def progress(done: int) -> None:
            if time.monotonic() - self._told >= 4:
                self._told = time.monotonic()
                self(f"   {done:>9,} of {total:,} read ({done / total:4.0%})")
        return progress
