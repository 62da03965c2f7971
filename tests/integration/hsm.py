# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 token for tests: SoftHSM in a directory of its own."""

import os
import pathlib
import subprocess

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LABEL, PIN = "setu", "4711-pin"


class Token:
    """Made empty. `env` is what a process needs to find it."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        (directory / "tokens").mkdir(parents=True)
        config = directory / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\n")
        self.env = {"SOFTHSM2_CONF": str(config)}
        self._util("--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "12345678")

    def _util(self, *arguments) -> None:
        subprocess.run(["softhsm2-util", *map(str, arguments)], env=os.environ | self.env, check=True, timeout=60,
                       stdout=subprocess.DEVNULL)

    def take(self, key: pathlib.Path, label: str, number: int) -> str:
        """Imports a PEM key; its URI."""
        self._util("--import", key, "--token", LABEL, "--label", label, "--id", f"{number:02x}", "--pin", PIN)
        return f"pkcs11:token={LABEL};object={label};type=private"
