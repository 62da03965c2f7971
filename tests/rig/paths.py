# SPDX-License-Identifier: Apache-2.0
"""Where things are: the project, the cache of jars, the Java program, Setu's binary."""

import os
import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
RIG = ROOT / "tests" / "rig"

LEGACY = "2.8.2"
AJNA = "3.9.2"
KRAFT = "4.4.0"
OLD = "0.10.2.2"  # clients only: of before SaslHandshake v1
VERSIONS = (LEGACY, AJNA, KRAFT)


class Missing(RuntimeError):
    """Something that deploy/install-dependencies installs is not there."""


def cache() -> pathlib.Path:
    return pathlib.Path(os.environ.get("SETU_CACHE") or pathlib.Path.home() / ".cache" / "setu")


def java() -> str:
    program = shutil.which("java")
    if program is None:
        raise Missing("no java on PATH: run deploy/install-dependencies java")
    return program


def classpath(version: str, *first: pathlib.Path) -> str:
    """The jars of one Kafka version in a fixed order (class data archives depend on it), after `first`."""
    jars = sorted((cache() / f"kafka-{version}").glob("*.jar"))
    if not jars:
        raise Missing(f"no jars of Kafka {version}: run deploy/install-dependencies kafka")
    return ":".join(str(p) for p in (*first, *jars))


def setu_binary() -> pathlib.Path:
    """The program under test: $SETU_BINARY, or the release build of this checkout."""
    named = os.environ.get("SETU_BINARY")
    candidates = [pathlib.Path(named)] if named else [
        ROOT / "build" / preset / "proxy" / "setu" for preset in ("release", "gcc", "clang")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise Missing("no setu binary: build it (cmake --preset release && cmake --build --preset release), "
                  "or name one in SETU_BINARY")
