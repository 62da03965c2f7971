# SPDX-License-Identifier: Apache-2.0
"""A Kerberos KDC (MIT) of its own: database, configuration and ports belong to one run, nothing of the machine's is touched.

Services are named by `localhost`, the one name that every client resolves here: `kafka/localhost` is Setu's,
`broker/localhost` the brokers'.
"""

import os
import pathlib
import socket
import subprocess

from tests.rig import ports
from tests.rig.process import Process

REALM = "RIG.TEST"
HOST = "localhost"
SETU_SERVICE, BROKER_SERVICE = "kafka", "broker"


def jaas(principal: str, keytab: pathlib.Path, accepts: bool = False) -> str:
    """JAAS text of Java's Kerberos login."""
    keys = "storeKey=true " if accepts else ""
    return (f"com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true {keys}"
            f'keyTab="{keytab}" principal="{principal}";')


class Kdc:
    """Use as a context manager, or call start() and stop(). `principals` get random keys. With `home`, a KDC that runs,
    this is a second realm without services of its own: the home's, which trusts it, are for its principals too."""

    def __init__(self, directory: pathlib.Path, principals=(), lifetime: str = "10h", realm: str = REALM,
                 home: "Kdc | None" = None):
        self.directory, self.realm, self.home = directory, realm, home
        self.directory.mkdir(parents=True)
        self.port = ports.free_port()
        self.configuration = directory / "krb5.conf"
        self._write(lifetime)
        services = [] if home else [f"{SETU_SERVICE}/{HOST}", f"{BROKER_SERVICE}/{HOST}"]
        self._principals = [*services, *principals]
        self.log = directory / "kdc.log"
        self.process = Process("kdc", ["krb5kdc", "-n", "-r", realm], self.log, env=self.env)

    def _write(self, lifetime: str) -> None:
        self.write_client_configuration(self.configuration)
        (self.directory / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n {self.realm} = {{\n"
            f"  database_name = {self.directory}/principal\n  key_stash_file = {self.directory}/stash\n"
            f"  acl_file = {self.directory}/acl\n  max_life = {lifetime}\n"
            "  supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n }\n")

    def write_client_configuration(self, path: pathlib.Path, port: int | None = None, **settings) -> pathlib.Path:
        """A krb5.conf for this realm; `settings` go to [libdefaults], `port` in place of the KDC's own."""
        lines = {"default_realm": self.realm, "dns_lookup_kdc": "false", "dns_lookup_realm": "false", "rdns": "false",
                 "dns_canonicalize_hostname": "false", "udp_preference_limit": 1} | settings
        realms = {self.realm: port or self.port} | ({self.home.realm: self.home.port} if self.home else {})
        path.write_text("[libdefaults]\n" + "".join(f" {k} = {v}\n" for k, v in lines.items()) + "[realms]\n"
                        + "".join(f" {realm} = {{\n  kdc = 127.0.0.1:{at}\n }}\n" for realm, at in realms.items())
                        + (f"[domain_realm]\n {HOST} = {self.home.realm}\n" if self.home else ""))
        return path

    @property
    def env(self) -> dict[str, str]:
        return {"KRB5_CONFIG": str(self.configuration), "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf"),
                "KRB5CCNAME": f"FILE:{self.directory}/nobody.ccache", "KRB5RCACHEDIR": str(self.directory),
                "LANG": "C.UTF-8"}

    def _run(self, *argv, stdin: str = "") -> str:
        done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True, timeout=60,
                              env=os.environ | self.env)
        if done.returncode != 0:
            raise RuntimeError(f"{argv[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def kadmin(self, *commands: str) -> str:
        return self._run("kadmin.local", "-r", self.realm, stdin="".join(f"{line}\n" for line in commands))

    # --- life ---

    def start(self) -> "Kdc":
        if not (self.directory / "stash").exists():
            self._run("kdb5_util", "-r", self.realm, "create", "-s", "-P", "rig", "-W")
            self.kadmin(*(f"addprinc -randkey -requires_preauth {name}" for name in self._principals))
            for trusting in (self, self.home) if self.home else ():
                trusting.kadmin(f"addprinc -pw trust krbtgt/{self.home.realm}@{self.realm}")
        self.process.start()
        self.process.wait_ready(self._answers, 30)
        return self

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def stop(self) -> None:
        self.process.kill()

    def __enter__(self) -> "Kdc":
        return self.start()

    def __exit__(self, *_error) -> None:
        self.stop()

    # --- keys and tickets ---

    def add(self, principal: str, options: str = "") -> None:
        self.kadmin(f"addprinc -randkey {options} {principal}")

    def keytab(self, *principals: str, name: str | None = None) -> pathlib.Path:
        """A file with the keys of these; asking again gives the same keys."""
        path = self.directory / f"{name or principals[0].replace('/', '-')}.keytab"
        if not path.exists():
            self.kadmin(*(f"ktadd -norandkey -k {path} {principal}" for principal in principals))
            path.chmod(0o600)
        return path

    def kinit(self, principal: str, lifetime: str = "1h") -> dict[str, str]:
        """Takes a ticket; the environment in which clients find it."""
        cache = self.directory / f"{principal.replace('/', '-')}.{lifetime}.ccache"
        self._run("kinit", "-l", lifetime, "-k", "-t", self.keytab(principal), "-c", f"FILE:{cache}", principal)
        return self.env | {"KRB5CCNAME": f"FILE:{cache}"}

    def java_options(self) -> list[str]:
        return [f"-Djava.security.krb5.conf={self.configuration}"]
