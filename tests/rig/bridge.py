# SPDX-License-Identifier: Apache-2.0
"""The Setu through which the brokers of a cluster reach each other: one listener of role brokers before each broker.

    node 1, legacy ── SASL, replicator ───▶ bridge_port of node 3 ── certificate, CN=replicator ─▶ node 3, Ajna
    node 3, Ajna ──── certificate, node3 ─▶ bridge_port of node 1 ── SASL, replicator ───────────▶ node 1, legacy

A node may change its generation under its ports: Setu finds out by looking.
"""

import os
import pathlib

from tests.rig import node, paths
from tests.rig.config_file import private_file, yaml
from tests.rig.process import Process, ProcessFailed, tail

MECHANISM = "SCRAM-SHA-512"
ALL_CERTIFICATES = "RULE:^CN=([^,]+),.*$/$1/"


class Bridge:
    """`config` is its configuration as a tree: change it before start(). configuration() is made of parts() that also
    go into the configuration of a Setu for clients."""

    def __init__(self, cluster, binary: pathlib.Path | None = None, name: str = "bridge"):
        self.cluster = cluster
        self.directory = cluster.directory / name
        self.directory.mkdir(parents=True)
        self.log = self.directory / "setu.log"
        self.audit = self.directory / "audit.log"
        self.stats = self.directory / "stats.prom"
        self.config_file = self.directory / "setu.yaml"
        self.certificate = cluster.authority.issue(node.REPLICATOR)
        self.own = cluster.authority.issue(f"{name}-listener", "setu bridge", server=True)
        self.peers = [node.REPLICATOR, *(broker.peer_name for broker in cluster.nodes.values())]
        self.config = self.configuration()
        self.binary = binary
        self.process = Process(name, [], self.log)

    # --- configuration ---

    def configuration(self) -> dict:
        return {
            "workers": int(os.environ.get("SETU_WORKERS") or 1),
            "log": {"level": "info", "format": "logfmt", "file": "-"},
            # A disk that a busy machine lets wait is not what is tested here.
            "audit": {"file": self.audit, "on_failure": "deny", "unsynced_max_ms": 60000},
            "users": {"file": private_file(self.directory / "users.yaml", yaml({"users": self.users()}) + "\n")},
        } | self.parts()

    def parts(self) -> dict[str, list]:
        """The lists of a configuration with what bridging needs in each."""
        setu = self.cluster.certificates["setu"]
        return {
            "certificates": [{"name": made.name, "chain": made.chain, "key": made.key}
                             for made in (self.certificate, setu)],
            "mapping": [{"principal": peer, "certificate": self.certificate.name} for peer in self.peers],
            "clusters": [self._cluster(broker) for broker in self.cluster.nodes.values()],
            "listeners": [self._listener(broker) for broker in self.cluster.nodes.values()],
        }

    def users(self) -> list[dict]:
        """Whom the bridge can verify: who brokers are to each other, and one who is no broker."""
        return [{"name": user, MECHANISM.lower(): self.cluster.scram_record(user, MECHANISM)}
                for user in (node.REPLICATOR, "stranger")]

    def _credentials(self) -> pathlib.Path:
        password = private_file(self.directory / "replicator.password", self.cluster.passwords[node.REPLICATOR])
        rows = [{"principal": peer, "username": node.REPLICATOR, "password_file": password} for peer in self.peers]
        return private_file(self.directory / "credentials.yaml", yaml({"credentials": rows}) + "\n")

    def _cluster(self, broker) -> dict:
        password = private_file(self.directory / "setu.password", self.cluster.passwords["setu"])
        return {
            "name": broker.peer_name, "bootstrap": [broker.address("REPLICATION")], "follow": False, "refresh_ms": 1000,
            "identity": {"certificate": "setu", "sasl": {"mechanism": MECHANISM, "username": "setu",
                                                         "password_file": password}},
            "generations": [
                {"name": "legacy", "match": {"probe": True}, "protocol": "SASL_PLAINTEXT", "login": "sasl",
                 "sasl": {"mechanism": MECHANISM, "credentials_file": self._credentials()}},
                {"name": "ajna", "match": {"probe": True}, "protocol": "SSL", "login": "mapped-certificate",
                 "tls": {"ca": self.cluster.authority.certificate}}],
        }

    def _listener(self, broker) -> dict:
        return {
            "name": f"bridge-{broker.peer_name}", "role": "brokers", "cluster": broker.peer_name, "bind": "127.0.0.1",
            "port": broker.bridge_port, "peers": self.peers, "mechanisms": [MECHANISM],
            "tls": {"chain": self.own.chain, "key": self.own.key, "client_ca": self.cluster.authority.certificate,
                    "client_auth": "required", "optional": True, "principal_mapping_rules": ALL_CERTIFICATES},
        }

    # --- life ---

    def start(self) -> "Bridge":
        """It may start before the brokers: each port opens when the broker behind it has answered once."""
        private_file(self.config_file, yaml(self.config) + "\n")
        self.process.argv = [str(argument) for argument in (
            self.binary or paths.setu_binary(), "run", "-c", self.config_file, "--stats-file", self.stats)]
        self.process.start()
        return self

    def stop(self) -> None:
        """Ends it; it must not have ended by itself, nor with a bad status."""
        by_itself = self.process.popen.poll()
        status = self.process.stop(40)
        if by_itself is not None or status != 0:
            raise ProcessFailed(f"bridge: by itself {by_itself}, status {status}:\n{tail(self.log)}")
