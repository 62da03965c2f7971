# SPDX-License-Identifier: Apache-2.0
"""The server processes of a cluster: ZooKeeper, brokers of the legacy and the Ajna generation, a KRaft broker."""

import dataclasses
import pathlib
import socket
import uuid
import base64

from tests.rig import java_tools, kdc, paths, ports, tokens, wire
from tests.rig.process import Process

LISTENERS = ("CLIENT", "INTERNAL", "DIRECT", "ADMIN", "APART", "RENEW")
BRIDGED_LISTENERS = ("CLIENT", "REPLICATION", "ADMIN")
RENEW_MS = 8000  # how long a login lasts at the listener RENEW
REPLICATOR = "replicator"  # who brokers are to each other when a bridge stands between them
BROKER_JVM = ["-Xshare:auto", "-XX:-UsePerfData", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC",
              "-XX:+ExitOnOutOfMemoryError"]
BRIEF_JVM = "-XX:TieredStopAtLevel=1"  # for brokers of a test: the better compiler costs more than it ever saves there
PRINCIPAL_RULES = r"RULE:^CN=([^,]+),OU=services,O=Setu rig$/$1/,DEFAULT"


def write_properties(path: pathlib.Path, properties: dict) -> pathlib.Path:
    path.touch(0o600)
    path.write_text("".join(f"{k}={str(v).replace(chr(92), chr(92) * 2)}\n" for k, v in properties.items()))
    return path


def plain_jaas(users: dict[str, str], login: tuple[str, str] | None = None) -> str:
    """JAAS text of a PLAIN listener with these users; with `login` = (name, password) that of a client."""
    words = ["org.apache.kafka.common.security.plain.PlainLoginModule required"]
    if login:
        words.append(f'username="{login[0]}" password="{login[1]}"')
    words += [f'user_{name}="{password}"' for name, password in users.items()]
    return " ".join(words) + ";"


@dataclasses.dataclass(frozen=True)
class Plan:
    """One broker to be: `generation` is "legacy" (SASL) or "ajna" (mutual TLS)."""
    node_id: int
    version: str
    generation: str


class ZooKeeper:
    """Of the newest release that has one: Kafka 3.9 wants at least 3.8.3, and 2.8 brokers get along with it."""

    def __init__(self, directory: pathlib.Path):
        self.port = ports.free_port()
        self.logs = directory
        self.log = directory / "out.log"
        (directory / "data").mkdir(parents=True)
        configuration = write_properties(directory / "zookeeper.properties", {
            "dataDir": directory / "data", "clientPort": self.port, "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false", "maxClientCnxns": 0, "tickTime": 1000, "4lw.commands.whitelist": "ruok"})
        # What is written outlives the process without fsync, and a slow disk cannot make sessions expire.
        options = [*java_tools.BRIEF, f"-Drig.logs={directory}", "-Dzookeeper.forceSync=no"]
        self.process = Process("zookeeper", java_tools.command(
            paths.AJNA, "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration, options=options), self.log)

    def start(self) -> None:
        self.process.start()

    def wait_ready(self) -> None:
        self.process.wait_ready(self._answers)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"ruok")
                return connection.recv(4) == b"imok"
        except OSError:
            return False


class Broker:
    """One Kafka broker with six listeners, or three when the cluster is bridged.

    CLIENT is the one that applications use: SASL_PLAINTEXT on the legacy generation, SSL with required client
    certificates on Ajna. INTERNAL is for the brokers among themselves. DIRECT is plaintext, for comparing Setu with
    nothing; whoever comes there is User:ANONYMOUS. ADMIN is SASL PLAIN for the rig itself. APART is as CLIENT, but its
    name is one that the other generation has not: LEGACY_ONLY here, AJNA_ONLY there. RENEW is SASL_PLAINTEXT on every
    generation, and a login there lasts RENEW_MS (KIP-368).

    Bridged, REPLICATION is in the place of INTERNAL and DIRECT: SASL_PLAINTEXT on the legacy generation, SSL with
    required client certificates on Ajna, advertised at `bridge_port`. No listener is plaintext without a login.
    """

    def __init__(self, plan: Plan, cluster, zookeeper: ZooKeeper | None):
        self.node_id = plan.node_id
        self.zookeeper = zookeeper
        self.directory = cluster.directory / f"node{plan.node_id}"
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True)
        self.ports = {name: ports.free_port() for name in (BRIDGED_LISTENERS if cluster.bridged else LISTENERS)}
        self.bridge_port = ports.free_port() if cluster.bridged else None
        self.controller_port = None if zookeeper else ports.free_port()
        self.admin_login = ("admin", cluster.admin_password)
        self.client_host = cluster.client_host
        common_name = self.peer_name if cluster.bridged else "broker"
        self.certificate = cluster.authority.issue(f"node{plan.node_id}", common_name, server=True)
        self.process: Process | None = None
        self.become(plan, cluster)

    def become(self, plan: Plan, cluster, protocol_version: str = "2.8") -> None:
        """While it is stopped: from the next start on it is this one, with the same ports, certificate and data."""
        if self.process and self.process.alive:
            raise RuntimeError(f"node {self.node_id} still runs")
        self.version = plan.version
        self.generation = plan.generation
        self.protocol_version = protocol_version
        properties = self._common(cluster) | self._client_listeners(cluster)
        if "RENEW" in self.ports:
            properties |= self._sasl_listener(cluster, "renew")
            properties["listener.name.renew.connections.max.reauth.ms"] = RENEW_MS
        if cluster.bridged:
            properties |= self._replication_listener(cluster)
        properties |= self._zookeeper(self.zookeeper) if self.zookeeper else self._kraft()
        self.configuration = write_properties(self.directory / "server.properties",
                                              properties | cluster.broker_properties)
        self.process = Process(f"broker {plan.node_id} ({plan.version})", self._command(cluster), self.logs / "out.log")

    def listener_name(self, key: str) -> str:
        return f"{self.generation.upper()}_ONLY" if key == "APART" else key

    @property
    def peer_name(self) -> str:
        """The common name of this broker's certificate in a bridged cluster: who it is to a bridge when it dials."""
        return f"node{self.node_id}"

    def _common(self, cluster) -> dict:
        count = min(3, len(cluster.plans))
        own = "SASL_PLAINTEXT" if self.generation == "legacy" else "SSL"
        security = {"CLIENT": own, "APART": own, "INTERNAL": "PLAINTEXT", "DIRECT": "PLAINTEXT",
                    "ADMIN": "SASL_PLAINTEXT", "REPLICATION": own, "RENEW": "SASL_PLAINTEXT"}
        security = {name: security[name] for name in self.ports}
        if self.controller_port:
            security["CONTROLLER"] = "PLAINTEXT"
        listeners = self._listeners(self.ports)
        told = self.ports | ({"REPLICATION": self.bridge_port} if cluster.bridged else {})
        admin = {"admin": cluster.admin_password}
        return {
            "log.dirs": self.directory / "data",
            "listeners": listeners,
            "advertised.listeners": self._listeners(told, {"CLIENT": cluster.client_host}),
            "listener.security.protocol.map": ",".join(f"{self.listener_name(k)}:{v}" for k, v in security.items()),
            "inter.broker.listener.name": "REPLICATION" if cluster.bridged else "INTERNAL",
            "listener.name.admin.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.admin.plain.sasl.jaas.config": plain_jaas(admin),
            **self._bearer(cluster, "admin"),
            "super.users": f"User:admin;User:{REPLICATOR}" if cluster.bridged else "User:admin",
            "allow.everyone.if.no.acl.found": "false",
            "auto.create.topics.enable": "false",
            "auto.leader.rebalance.enable": "false",
            "default.replication.factor": count,
            "min.insync.replicas": max(1, count - 1),
            "offsets.topic.replication.factor": count,
            "offsets.topic.num.partitions": 6,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": max(1, count - 1),
            "transaction.state.log.num.partitions": 6,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            "num.recovery.threads.per.data.dir": 1,
        }

    def _bearer(self, cluster, listener: str) -> dict:
        """OAUTHBEARER besides PLAIN: 2.8 believes unsecured tokens only, 3.9 those of the rig's issuer."""
        if self.version == paths.KRAFT:
            return {}
        module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
        rows = {f"listener.name.{listener}.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
                f"listener.name.{listener}.oauthbearer.sasl.jaas.config": module}
        if self.version == paths.AJNA:
            handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
            own = f"listener.name.{listener}.sasl.oauthbearer"
            rows |= {f"listener.name.{listener}.oauthbearer.sasl.server.callback.handler.class": handler,
                     f"{own}.jwks.endpoint.url": cluster.issuer.jwks.as_uri(),
                     f"{own}.expected.audience": tokens.AUDIENCE, f"{own}.expected.issuer": cluster.issuer.name}
        return rows

    def _listeners(self, where: dict[str, int], hosts: dict[str, str] | None = None) -> str:
        return ",".join(f"{self.listener_name(key)}://{(hosts or {}).get(key, '127.0.0.1')}:{port}"
                        for key, port in where.items())

    def _client_listeners(self, cluster) -> dict:
        rows = {}
        for key in ("CLIENT", "APART"):
            if key in self.ports:
                rows |= self._client_listener(cluster, self.listener_name(key).lower())
        return rows

    def _sasl_listener(self, cluster, name: str) -> dict:
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            f"listener.name.{name}.sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            f"listener.name.{name}.scram-sha-512.sasl.jaas.config": module,
            f"listener.name.{name}.scram-sha-256.sasl.jaas.config": module,
            f"listener.name.{name}.plain.sasl.jaas.config": plain_jaas(cluster.passwords),
        }

    def _client_listener(self, cluster, name: str) -> dict:
        if self.generation == "legacy":
            rows = self._kerberos(cluster, name) | self._sasl_listener(cluster, name)
            if cluster.kdc:
                rows[f"listener.name.{name}.sasl.enabled.mechanisms"] += ",GSSAPI"
            return rows
        return self._mutual_tls(cluster, name) | {"ssl.principal.mapping.rules": PRINCIPAL_RULES}

    def _kerberos(self, cluster, name: str) -> dict:
        if not cluster.kdc:
            return {}
        principal = f"{kdc.BROKER_SERVICE}/{kdc.HOST}"
        return {
            "sasl.kerberos.service.name": kdc.BROKER_SERVICE,
            f"listener.name.{name}.gssapi.sasl.jaas.config":
                kdc.jaas(f"{principal}@{kdc.REALM}", cluster.kdc.keytab(principal), accepts=True),
        }

    def _replication_listener(self, cluster) -> dict:
        if self.generation == "legacy":
            jaas = (f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{REPLICATOR}"'
                    f' password="{cluster.passwords[REPLICATOR]}";')
            return {
                "listener.name.replication.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.replication.scram-sha-512.sasl.jaas.config": jaas,
                "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            }
        return self._mutual_tls(cluster, "replication")

    def _mutual_tls(self, cluster, listener: str) -> dict:
        prefix = f"listener.name.{listener}.ssl"
        return {
            f"{prefix}.keystore.type": "PEM",
            f"{prefix}.keystore.location": self.certificate.store,
            f"{prefix}.truststore.type": "PEM",
            f"{prefix}.truststore.location": cluster.authority.certificate,
            f"{prefix}.client.auth": "required",
            f"{prefix}.principal.mapping.rules": PRINCIPAL_RULES,
        }

    def _zookeeper(self, zookeeper: ZooKeeper) -> dict:
        return {
            "broker.id": self.node_id,
            "zookeeper.connect": f"127.0.0.1:{zookeeper.port}",
            "zookeeper.session.timeout.ms": 9000,
            "inter.broker.protocol.version": self.protocol_version,
            "authorizer.class.name": "kafka.security.authorizer.AclAuthorizer",
        }

    def _kraft(self) -> dict:
        listeners = self._listeners(self.ports)
        return {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"{listeners},CONTROLLER://127.0.0.1:{self.controller_port}",
            # One node is broker and controller; it reaches itself over plaintext, before any ACL can exist.
            "super.users": "User:admin;User:ANONYMOUS",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
        }

    def _command(self, cluster) -> list[str]:
        style = ("log4j2.configurationFile=", "broker-log4j2.properties") if self.version == paths.KRAFT \
            else ("log4j.configuration=file:", "broker-log4j.properties")
        archive = java_tools.archive(self.version)
        classes = []
        if cluster.archive_classes:
            archive.unlink(missing_ok=True)
            classes = [f"-XX:ArchiveClassesAtExit={archive}"]
        elif archive.is_file():
            classes = [f"-XX:SharedArchiveFile={archive}"]
        kerberos = cluster.kdc.java_options() if cluster.kdc else []
        brief = [BRIEF_JVM] if cluster.brief else []
        return [paths.java(), *BROKER_JVM, *brief, *classes, *kerberos, f"-Drig.logs={self.logs}",
                f"-D{style[0]}{paths.RIG / 'logging' / style[1]}", "-cp", paths.classpath(self.version), "kafka.Kafka", str(self.configuration)]

    def format(self, users: list[str]) -> None:
        """KRaft only: prepares the data directory; `users` are SCRAM credentials for --add-scram."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", "-t", cluster_id, "-c", self.configuration, "--standalone"]
        for user in users:
            arguments += ["--add-scram", user]
        java_tools.run(self.version, "kafka.tools.StorageTool", *arguments)

    def start(self) -> None:
        self.process.start()

    def wait_ready(self, nodes: set[int], timeout_s: float = 180) -> None:
        """Until this broker knows `nodes` and a controller."""
        self.process.wait_ready(lambda: self.knows(nodes), timeout_s)

    def knows(self, nodes: set[int]) -> bool:
        """True when this broker answers and lists at least these nodes and a controller."""
        if "INTERNAL" in self.ports:
            return wire.knows(self.ports["INTERNAL"], nodes)
        return wire.knows(self.ports["ADMIN"], nodes, self.admin_login)

    def address(self, listener: str = "CLIENT") -> str:
        return f"{self.client_host if listener == 'CLIENT' else '127.0.0.1'}:{self.ports[listener]}"
