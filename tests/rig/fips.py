# SPDX-License-Identifier: Apache-2.0
"""FIPS mode for one process: OpenSSL's fips provider, which Debian leaves out and deploy/install-dependencies builds, and a
configuration of OpenSSL that lets nothing else in, named by the environment."""

import os
import pathlib
import re
import subprocess

from tests.rig.paths import Missing, cache


def module() -> pathlib.Path:
    """The provider: $SETU_FIPS_MODULE, or the one of the OpenSSL that is installed."""
    named = os.environ.get("SETU_FIPS_MODULE")
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    found = pathlib.Path(named) if named else cache() / f"fips-{version}" / "fips.so"
    if not found.is_file():
        raise Missing(f"no fips provider at {found}: run deploy/install-dependencies fips")
    return found


def knows_master_secrets(provider: pathlib.Path) -> bool:
    """Can this provider refuse TLS 1.2 without extended master secret? Since OpenSSL 3.1; those of RHEL 9.2 and later do."""
    return b"tls1-prf-ems-check" in provider.read_bytes()


def environment(directory: pathlib.Path, provider: pathlib.Path) -> dict[str, str]:
    """What a process needs to be in FIPS mode, with what it checks switched on."""
    installed, configuration = directory / "fipsmodule.cnf", directory / "fips.cnf"
    subprocess.run(["openssl", "fipsinstall", "-quiet", "-module", provider, "-out", installed], check=True, timeout=60)
    if knows_master_secrets(provider):
        text = installed.read_text()
        installed.write_text(re.sub("(?m)^activate = 1$", "activate = 1\ntls1-prf-ems-check = 1", text))
    configuration.write_text(
        f"openssl_conf = init\nconfig_diagnostics = 1\n.include {installed}\n"
        "[init]\nproviders = providers\nalg_section = algorithms\n"
        "[providers]\nfips = fips_sect\nbase = base_sect\n[base_sect]\nactivate = 1\n"
        "[algorithms]\ndefault_properties = fips=yes\n")
    return {"OPENSSL_CONF": str(configuration), "OPENSSL_MODULES": str(provider.parent)}
