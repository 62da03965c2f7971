# SPDX-License-Identifier: Apache-2.0
"""Setu in front of a cluster: its configuration, its process, the way clients reach it."""

import os
import pathlib
import re
import signal

from tests.rig import clients, cluster as cluster_module, paths, ports, wire
from tests.rig.config_file import private_file, yaml
from tests.rig.process import Process, ProcessFailed, tail, wait_until

NODE_PORTS = 20
_STATS = re.compile(rb'event(=|":")stats\b[^\n]*\n')


def hear_out(process: Process) -> None:
    """Waits until the log has all that Setu had to say when this call began: its writer lags behind what others see.
    Where it has ended there is nothing to wait for."""
    if not process.alive:
        return
    mark = process.log.stat().st_size
    process.popen.send_signal(signal.SIGUSR1)  # its counters are logged behind what was logged before

    def told() -> bool:
        process.check()
        with open(process.log, "rb") as log:
            log.seek(mark)
            return _STATS.search(log.read()) is not None

    wait_until(told, 20, "the log's last lines", 0.01)


class Setu:
    """One Setu for one cluster. `config` is its configuration as a tree: change it before start() or reload().

    legacy_login: "sasl" (credentials stored at Setu) or "passthrough" (the client's own exchange goes through).
    probe: Setu finds out by itself which generation each node is of; otherwise it is told by node id.
    ledger: it notes every batch in the directory `ledger`.
    tls: the client listener speaks TLS; `client_auth` "required" makes the client's certificate its login.
    """

    def __init__(self, cluster, legacy_login: str = "sasl", tls: bool = False, client_auth: str = "none",
                 binary: pathlib.Path | None = None, name: str = "setu", prefix: tuple = (), log_level: str = "info",
                 probe: bool = False, ledger: bool = False):
        self.cluster = cluster
        self.probe = probe
        self.binary = binary or paths.setu_binary()
        self.tls = tls
        self.directory = cluster.directory / name
        self.directory.mkdir(parents=True)
        first = ports.free_block(NODE_PORTS)
        self.port, self.node_base_port = first, first + 1
        self.log = self.directory / "setu.log"
        self.audit = self.directory / "audit.log"
        self.stats = self.directory / "stats.prom"
        self.config_file = self.directory / "setu.yaml"
        self.ledger = self.directory / "ledger" if ledger else None
        self.config = self._configuration(legacy_login, tls, client_auth, log_level)
        if self.ledger:
            self.ledger.mkdir()
            self.config["ledger"] = {"directory": self.ledger}
        self.write()
        self.process = Process(name, [*prefix, self.binary, "run", "-c", self.config_file, "--stats-file", self.stats],
                               self.log, env=cluster.kdc.env if cluster.kdc else None)

    # --- configuration ---

    def _configuration(self, legacy_login: str, tls: bool, client_auth: str, log_level: str) -> dict:
        made = self.cluster.certificates
        listener = {
            "name": "clients", "role": "clients", "cluster": "main", "bind": "127.0.0.1", "port": self.port,
            "advertised_host": "127.0.0.1", "node_base_port": self.node_base_port, "node_ports_max": NODE_PORTS - 2,
            "mechanisms": ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], "allow_plain_without_tls": True,
        }
        if tls:
            own = self.cluster.authority.issue(f"{self.directory.name}-listener", "setu listener", server=True)
            listener["tls"] = {"chain": own.chain, "key": own.key, "client_auth": client_auth}
            if client_auth == "required":
                listener["mechanisms"] = []
                listener["tls"] |= {"client_ca": self.cluster.authority.certificate,
                                    "principal_mapping_rules": "RULE:^CN=([^,]+),.*$/$1/"}
        return {
            "workers": int(os.environ.get("SETU_WORKERS") or 1),
            "log": {"level": log_level, "format": "logfmt", "file": "-"},
            # A disk that a busy machine lets wait is not what is tested here.
            "audit": {"file": self.audit, "on_failure": "deny", "unsynced_max_ms": 60000},
            "integrity": {"crc": "observe"},
            "certificates": [{"name": name, "chain": made[name].chain, "key": made[name].key} for name in made],
            "users": {"file": self._users()},
            "mapping": [{"principal": name, "certificate": name, "owner": f"team-{name}"}
                        for name in cluster_module.SERVICES],
            "clusters": [{
                "name": "main",
                "bootstrap": [broker.address() for broker in self.cluster.nodes.values()],
                "refresh_ms": 2000,
                "identity": self._identity(),
                "generations": self._generations(legacy_login),
            }],
            "listeners": [listener],
        }

    def _match(self, generation: str) -> dict:
        """How nodes of this generation are recognised; nothing when there are none."""
        if self.probe:
            return {"probe": True}
        ids = ",".join(str(n) for n, broker in self.cluster.nodes.items() if broker.generation == generation)
        return {"node_ids": ids} if ids else {}

    def _identity(self) -> dict:
        identity = {"certificate": "setu"}
        if self._match("legacy"):
            password = private_file(self.directory / "setu.password", self.cluster.passwords["setu"])
            identity["sasl"] = {"mechanism": "SCRAM-SHA-512", "username": "setu", "password_file": password}
        return identity

    def _generations(self, legacy_login: str) -> list[dict]:
        rows = []
        if self._match("legacy"):
            legacy = {"name": "legacy", "match": self._match("legacy"),
                      "protocol": "SASL_PLAINTEXT", "login": legacy_login}
            if legacy_login == "sasl":
                legacy["sasl"] = {"mechanism": "SCRAM-SHA-512", "credentials_file": self._legacy_credentials()}
            rows.append(legacy)
        if self._match("ajna"):
            rows.append({"name": "ajna", "match": self._match("ajna"), "protocol": "SSL",
                         "login": "mapped-certificate", "tls": {"ca": self.cluster.authority.certificate}})
        return rows

    def _users(self) -> pathlib.Path:
        """Setu's own copy of the SCRAM records, in Kafka's form. No password is in it."""
        rows = [{"name": user,
                 "scram-sha-512": self.cluster.scram_record(user, "SCRAM-SHA-512"),
                 "scram-sha-256": self.cluster.scram_record(user, "SCRAM-SHA-256")}
                for user in cluster_module.USERS if user != "setu"]
        return private_file(self.directory / "users.yaml", yaml({"users": rows}) + "\n")

    def _legacy_credentials(self) -> pathlib.Path:
        rows = []
        for user in cluster_module.SERVICES:
            password = private_file(self.directory / f"{user}.password", self.cluster.passwords[user])
            rows.append({"principal": user, "username": user, "password_file": password})
        return private_file(self.directory / "legacy-credentials.yaml", yaml({"credentials": rows}) + "\n")

    def write(self) -> None:
        private_file(self.config_file, yaml(self.config) + "\n")

    # --- life ---

    def start(self) -> "Setu":
        self.process.start()
        self.process.wait_ready(self._ready, 30)
        return self

    def _ready(self) -> bool:
        """ApiVersions is answered once Setu has seen a broker; behind TLS an open port must do."""
        return wire.listens(self.port) if self.tls else wire.answers(self.port)

    def stop(self, timeout_s: float = 40) -> int | None:
        return self.process.stop(timeout_s)

    def said(self) -> str:
        """The log, with all that Setu had to say when this call began."""
        hear_out(self.process)
        return self.log.read_text(errors="replace")

    def __enter__(self) -> "Setu":
        try:
            return self.start()
        except BaseException:
            self.process.kill()
            raise

    def __exit__(self, kind, _value, _trace) -> None:
        if kind is None and self.process.popen and self.process.popen.poll() is not None:
            raise ProcessFailed(f"setu ended by itself with {self.process.popen.returncode}:\n{tail(self.log)}")
        self.process.stop(10)

    # --- clients ---

    def login(self, user: str | None = "orders", mechanism: str = "SCRAM-SHA-512", password: str | None = None,
              certificate=None) -> clients.Login:
        """How a client reaches the cluster through Setu."""
        if user is not None and password is None:
            password = self.cluster.passwords[user]
        return clients.Login(f"127.0.0.1:{self.port}", user, password, mechanism, certificate,
                             self.cluster.authority.certificate if self.tls else None)

    def subject(self, principal: str) -> str:
        return self.cluster.certificates[principal].subject
