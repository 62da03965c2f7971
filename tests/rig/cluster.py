# SPDX-License-Identifier: Apache-2.0
"""A running cluster with users, ACLs and topics, and what a test does to it."""

import base64
import dataclasses
import pathlib
import secrets
import shutil
import struct
import tempfile
import time

from tests.rig import bridge as bridge_module
from tests.rig import certificates, clients, evidence, java_tools, kdc, node, paths, scram, tokens, wire
from tests.rig.process import wait_until

MIXED = (node.Plan(1, paths.LEGACY, "legacy"), node.Plan(2, paths.LEGACY, "legacy"),
         node.Plan(3, paths.AJNA, "ajna"))
LEGACY = tuple(node.Plan(n, paths.LEGACY, "legacy") for n in (1, 2, 3))
KRAFT = (node.Plan(4, paths.KRAFT, "ajna"),)
KERBEROS = (node.Plan(1, paths.LEGACY, "legacy"), node.Plan(2, paths.AJNA, "legacy"),
            node.Plan(3, paths.AJNA, "ajna"))

SERVICES = ("orders", "payments")
USERS = (*SERVICES, "setu", "stranger")
ITERATIONS = 4096


def service_acls(service: str) -> list[dict]:
    """A service may use the topics, groups and transactional ids whose names begin with its own, and no others."""
    rows = {"TOPIC": ["READ", "WRITE", "DESCRIBE", "CREATE"], "GROUP": ["READ", "DESCRIBE"],
            "TRANSACTIONAL_ID": ["WRITE", "DESCRIBE"]}
    return [{"principal": f"User:{service}", "type": kind, "name": service, "pattern": "PREFIXED",
             "operations": operations} for kind, operations in rows.items()]


# Brokers come to each other over plaintext: as User:ANONYMOUS, who may do what brokers do, and use `direct…` topics.
ANONYMOUS_ACLS = [
    {"principal": "User:ANONYMOUS", "type": "CLUSTER", "name": "kafka-cluster", "pattern": "LITERAL",
     "operations": ["CLUSTER_ACTION"]},
    {"principal": "User:ANONYMOUS", "type": "TOPIC", "name": "direct", "pattern": "PREFIXED",
     "operations": ["READ", "WRITE", "DESCRIBE"]},
    {"principal": "User:ANONYMOUS", "type": "GROUP", "name": "direct", "pattern": "PREFIXED",
     "operations": ["READ", "DESCRIBE"]},
]


@dataclasses.dataclass(frozen=True)
class Service:
    """One more than SERVICES: a user of the brokers, with a certificate, and ACLs as theirs."""
    name: str
    password: str
    salt: bytes
    certificate: certificates.Certificate

    def record(self, mechanism: str) -> str:
        return scram.record(mechanism, self.password, self.salt, ITERATIONS)


@dataclasses.dataclass(frozen=True)
class Replicas:
    """Of all partitions: how many have a leader, how many all their replicas in sync, and how many are led by the first of
    them."""
    partitions: int
    led: int
    complete: int
    preferred: int

    @classmethod
    def of(cls, rows: list[wire.Partition]) -> "Replicas":
        return cls(len(rows), sum(row.leader >= 0 for row in rows),
                   sum(sorted(row.replicas) == sorted(row.in_sync) for row in rows),
                   sum(row.leader in row.replicas[:1] for row in rows))

    @property
    def whole(self) -> bool:
        return self.partitions > 0 and self.partitions == self.led == self.complete


class Cluster:
    """Use as a context manager, or call start() and close(). Its directory goes at the end, unless something failed.

    bridge: brokers reach each other only through `cluster.bridge`, one Setu with a listener of role brokers before
    each broker; the legacy ones log in by SASL, the Ajna ones with a certificate. No plaintext listener is left.

    kerberos: there is a KDC, `cluster.kdc`, and the CLIENT listeners of legacy brokers offer GSSAPI, too; brokers are
    `localhost` to clients then, for tickets are for names.

    brief: brokers start and settle with less processor time, but are slower for good. Not where speed is measured.
    """

    def __init__(self, plans=MIXED, directory=None, keep: bool = False, say=None, archive_classes: bool = False,
                 bridge: bool = False, kerberos: bool = False, brief: bool = False, **broker_properties):
        self.plans = tuple(plans)
        self.bridged = bridge
        self.kraft = all(plan.version == paths.KRAFT for plan in self.plans)
        self.keep = keep
        self.archive_classes = archive_classes
        self.brief = brief
        self.say = say or (lambda text: None)
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="setu-rig-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.broker_properties = {k.replace("_", "."): v for k, v in broker_properties.items()}
        users = (*USERS, node.REPLICATOR) if bridge else USERS
        self.passwords = {user: secrets.token_hex(12) for user in users}
        self.salts = {user: secrets.token_bytes(24) for user in users}
        self.services: dict[str, Service] = {}
        self.admin_password = secrets.token_hex(12)
        self.authority = certificates.Authority(self.directory / "certificates")
        self.issuer = tokens.Issuer(self.directory / "issuer")
        self.certificates = {name: self.authority.issue(name) for name in (*SERVICES, "setu")}
        self.client_host = kdc.HOST if kerberos else "127.0.0.1"
        self.kdc = kdc.Kdc(self.directory / "kdc", USERS) if kerberos else None
        if self.kdc:
            self.kdc.start()  # brokers' configurations name keytabs
        self.zookeeper = None if self.kraft else node.ZooKeeper(self.directory / "zookeeper")
        self.nodes = {plan.node_id: node.Broker(plan, self, self.zookeeper) for plan in self.plans}
        self.bridge = bridge_module.Bridge(self) if bridge else None
        self.admin: java_tools.Admin | None = None

    # --- life ---

    def start(self) -> "Cluster":
        began = time.monotonic()
        if self.zookeeper:
            self.zookeeper.start()
        self.admin = java_tools.Admin(self.directory / "admin.log")
        if self.zookeeper:
            self.zookeeper.wait_ready()
            self.say(f"zookeeper up ({time.monotonic() - began:.1f} s)")
            self._prepare_zookeeper(f"127.0.0.1:{self.zookeeper.port}")
        else:
            for broker in self.nodes.values():
                broker.format([])
        if self.bridge:
            self.bridge.start()
        for broker in self.nodes.values():
            broker.start()
        for broker in self.nodes.values():
            broker.wait_ready(set(self.nodes))
            self.say(f"broker {broker.node_id} up, Kafka {broker.version}, {broker.generation}"
                     f" ({time.monotonic() - began:.1f} s)")
        self.admin("connect", properties=self.login_admin().java())
        self.admin("acls", acls=[row for service in SERVICES for row in service_acls(service)])
        self._add_credentials([(user, self.passwords[user], self.salts[user]) for user in USERS])
        self.create_topic("orders", partitions=6)
        self.create_topic("payments", partitions=3)
        self.say(f"cluster ready ({time.monotonic() - began:.1f} s)")
        return self

    def _prepare_zookeeper(self, address: str) -> None:
        """What brokers need to come to each other, before there are any."""
        if not self.bridged:
            self.admin("zookeeper_acls", zookeeper=address, acls=ANONYMOUS_ACLS)
            return
        mechanism = "SCRAM-SHA-512"
        self.admin("zookeeper_users", zookeeper=address, users=[
            {"name": user, "mechanism": mechanism, "record": self.scram_record(user, mechanism)}
            for user in (node.REPLICATOR, "setu")])

    def halt(self) -> None:
        """Kills everything at once: there is nothing to save. Logs and data stay until close()."""
        if self.admin:
            self.admin.close()
        for server in (*self.nodes.values(), self.zookeeper, self.bridge, self.kdc):
            if server:
                server.process.kill()

    def close(self, failed: bool = False) -> None:
        self.halt()
        if failed or self.keep:
            self.say(f"logs kept in {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        try:
            return self.start()
        except BaseException:
            self.close(failed=True)
            raise

    def __exit__(self, kind, _value, _trace) -> None:
        self.close(failed=kind is not None and kind is not KeyboardInterrupt)

    # --- nodes ---

    def stop(self, node_id: int) -> None:
        """Orderly: the broker hands its leaderships over first."""
        self.nodes[node_id].process.stop(60)

    def kill(self, node_id: int) -> None:
        self.nodes[node_id].process.kill()

    def pause(self, node_id: int) -> None:
        self.nodes[node_id].process.pause()

    def resume(self, node_id: int) -> None:
        self.nodes[node_id].process.resume()

    def start_node(self, node_id: int) -> None:
        """Starts a stopped broker; comes back when it knows the others that are running.

        A killed broker is missed only when its ZooKeeper session ends; until then another of its id would be refused.
        """
        broker = self.nodes[node_id]
        others = [other for other in self.nodes.values() if other.process.alive]
        wait_until(lambda: not any(other.knows({node_id}) for other in others), 60,
                   f"broker {node_id} missed by the others", 0.2)
        broker.start()
        broker.wait_ready({node_id, *(other.node_id for other in others)})

    def restart(self, node_id: int, orderly: bool = True) -> None:
        if orderly:
            self.stop(node_id)
        else:
            self.kill(node_id)
        self.start_node(node_id)

    def controller(self) -> int:
        """The node that is the controller, as a running broker says."""
        broker = next(broker for broker in self.nodes.values() if broker.process.alive)
        with wire.Connection(broker.ports["ADMIN"], broker.admin_login) as connection:
            return connection.metadata()[1]

    def elect_controller(self, node_id: int) -> None:
        """Takes the office from the controller while the others stand still, so that this node gets it (ZooKeeper)."""
        others = [n for n, broker in self.nodes.items() if n != node_id and broker.process.alive]

        def elected() -> bool:
            for other in others:
                self.pause(other)
            try:
                return self.admin("forget_controller", zookeeper=f"127.0.0.1:{self.zookeeper.port}") == node_id
            finally:
                for other in others:
                    self.resume(other)

        if self.controller() != node_id:
            wait_until(elected, 60, f"node {node_id} as controller", 1)
            wait_until(lambda: self.controller() == node_id, 30, f"node {node_id} known as controller", 0.2)

    def become(self, node_id: int, version: str, generation: str, protocol_version: str = "2.8") -> None:
        """A stopped node is this version and generation from its next start on; it keeps its name, ports and data."""
        self.nodes[node_id].become(node.Plan(node_id, version, generation), self, protocol_version)

    # --- who is who ---

    def bootstrap(self, listener: str, generation: str | None = None) -> str:
        return ",".join(broker.address(listener) for broker in self.nodes.values()
                        if generation in (None, broker.generation))

    def login_admin(self) -> clients.Login:
        return clients.Login(self.bootstrap("ADMIN"), "admin", self.admin_password, "PLAIN")

    def login_direct(self) -> clients.Login:
        return clients.Login(self.bootstrap("DIRECT"))

    def login_sasl(self, user: str, mechanism: str = "SCRAM-SHA-512") -> clients.Login:
        """Straight to the legacy brokers."""
        return clients.Login(self.bootstrap("CLIENT", "legacy"), user, self.passwords[user], mechanism)

    def login_certificate(self, user: str) -> clients.Login:
        """Straight to the Ajna brokers."""
        return clients.Login(self.bootstrap("CLIENT", "ajna"), certificate=self.certificates[user],
                             ca=self.authority.certificate)

    @staticmethod
    def _credential(user: str, password: str, salt: bytes, mechanism: str) -> dict:
        return {"name": user, "mechanism": mechanism, "iterations": ITERATIONS, "password": password,
                "salt": base64.b64encode(salt).decode()}

    def _add_credentials(self, rows: list[tuple[str, str, bytes]]) -> None:
        for mechanism in scram.HASHES:  # one request for each: KRaft takes a user only once in a request
            self.admin("users", users=[self._credential(*row, mechanism) for row in rows])

    def add_services(self, *names: str) -> dict[str, Service]:
        """Services by name; those that are not there yet are made."""
        fresh = [Service(name, secrets.token_hex(12), secrets.token_bytes(24), self.authority.issue(name))
                 for name in names if name not in self.services]
        if fresh:
            self.admin("acls", acls=[row for service in fresh for row in service_acls(service.name)])
            self._add_credentials([(service.name, service.password, service.salt) for service in fresh])
            self.services |= {service.name: service for service in fresh}
        return {name: self.services[name] for name in names}

    def scram_record(self, user: str, mechanism: str) -> str:
        """The user's credential as ZooKeeper holds it, computed here."""
        return scram.record(mechanism, self.passwords[user], self.salts[user], ITERATIONS)

    def stored_records(self, user: str) -> dict[str, str]:
        """The user's credentials as kafka-configs reads them out of ZooKeeper."""
        printed = java_tools.run(paths.LEGACY, "kafka.admin.ConfigCommand", "--zookeeper",
                                 f"127.0.0.1:{self.zookeeper.port}", "--entity-type", "users",
                                 "--entity-name", user, "--describe").stdout
        found = {}
        for mechanism in scram.HASHES:
            _, mark, rest = printed.partition(f"{mechanism}=")
            if mark:
                found[mechanism] = rest.partition(",SCRAM-")[0].split()[0]
        return found

    # --- topics ---

    def create_topic(self, name: str, partitions: int = 3, replicas: int = 3, leaders: list[int] | None = None,
                     **configuration) -> None:
        """Partition i is led by leaders[i], by default by each node in turn."""
        nodes = sorted(self.nodes)
        leaders = leaders or [nodes[i % len(nodes)] for i in range(partitions)]
        assignment = []
        for leader in leaders:
            others = [n for n in nodes if n != leader]
            assignment.append([leader, *others][:min(replicas, len(nodes))])
        self.admin("create_topics", topics=[{
            "name": name, "replicas": assignment,
            "configuration": {k.replace("_", "."): str(v) for k, v in configuration.items()}}])
        wait_until(lambda: self._known_everywhere(name, leaders), 30, f"topic {name} known to every broker")

    def create_topics(self, names: list[str]) -> None:
        """One partition on each node, without replicas."""
        nodes = sorted(self.nodes)
        self.admin("create_topics", topics=[{"name": name, "replicas": [[node_id] for node_id in nodes],
                                             "configuration": {"min.insync.replicas": "1"}} for name in names])
        wait_until(lambda: all(self._known_everywhere(name, nodes) for name in names), 60, f"{len(names)} topics known")

    def _known_everywhere(self, name: str, leaders: list[int]) -> bool:
        for broker in self.nodes.values():
            if broker.process.alive:
                with wire.Connection(broker.ports["ADMIN"], broker.admin_login) as connection:
                    if connection.metadata(name)[2].get(name) != leaders:
                        return False
        return True

    def replicas(self) -> "Replicas":
        """How complete the replicas of all partitions are, internal topics too: the worst that any node tells."""
        rows = []
        for broker in self.nodes.values():
            if broker.process.alive:
                try:
                    with wire.Connection(broker.ports["ADMIN"], broker.admin_login) as connection:
                        rows.append(Replicas.of(connection.partitions()))
                except (OSError, struct.error):
                    continue
        return min(rows, key=lambda r: (r.led, r.complete, r.preferred), default=Replicas(0, 0, 0, 0))

    def wait_replicas(self, timeout_s: float = 120) -> None:
        """Until every partition of every topic is led and all its replicas are in sync, as every node sees it."""
        wait_until(lambda: all(b.process.alive for b in self.nodes.values()) and self.replicas().whole, timeout_s,
                   "all replicas in sync", 0.3)

    def settle(self) -> None:
        """Until the cluster is as a test may expect it, whatever the one before it did: every node lives, and every
        partition has all its replicas and is led by the first of them. Costs a few milliseconds when it is."""
        if self._settled():
            return
        began = time.monotonic()
        self.wait_replicas()
        self.elect_preferred()
        wait_until(self._settled, 60, "every partition led by the first of its replicas", 0.3)
        self.say(f"the cluster was not whole; it is after {time.monotonic() - began:.1f} s")

    def _settled(self) -> bool:
        rows = self.replicas()
        return all(b.process.alive for b in self.nodes.values()) and rows.partitions == rows.complete == rows.preferred

    def elect_preferred(self) -> None:
        """Gives every partition, internal ones too, to the first of its replicas."""
        broker = next(broker for broker in self.nodes.values() if broker.process.alive)
        with wire.Connection(broker.ports["ADMIN"], broker.admin_login) as connection:
            rows = connection.partitions()
        wanted = [{"topic": row.topic, "partition": row.partition} for row in rows]

        def elected() -> bool:
            try:
                self.admin("elect", partitions=wanted)
            except RuntimeError:  # the client does not learn of another controller by itself
                self.admin("connect", properties=self.login_admin().java())
                return False
            return True

        wait_until(elected, 30, "preferred leaders elected", 0.5)

    def delete_topic(self, name: str) -> None:
        self.admin("delete_topics", topics=[name])

    def partitions(self, name: str) -> list[dict]:
        """[{"partition", "leader", "replicas", "isr"}, …] in order."""
        return self.admin("describe_topics", topics=[name])[name]

    def leaders(self, name: str) -> list[int]:
        return [row["leader"] for row in self.partitions(name)]

    def in_sync(self, name: str) -> bool:
        return all(sorted(row["isr"]) == sorted(row["replicas"]) for row in self.partitions(name))

    def wait_in_sync(self, name: str, timeout_s: float = 60) -> None:
        wait_until(lambda: self.in_sync(name), timeout_s, f"all replicas of {name} in sync", 0.2)

    def move_leader(self, name: str, partition: int, node_id: int) -> None:
        """Makes a replica the preferred leader and elects it."""
        replicas = self.partitions(name)[partition]["replicas"]
        if node_id not in replicas:
            raise ValueError(f"node {node_id} has no replica of {name}-{partition}: {replicas}")
        order = [node_id, *(n for n in replicas if n != node_id)]
        self.admin("reassign", moves=[{"topic": name, "partition": partition, "replicas": order}])
        wait_until(lambda: self.admin("reassigning") == 0, 30, "reassignment done")
        self.admin("elect", partitions=[{"topic": name, "partition": partition}])
        wait_until(lambda: self.leaders(name)[partition] == node_id, 30, f"{name}-{partition} led by {node_id}")

    def reassign(self, name: str, assignment: list[list[int]]) -> None:
        """Moves replicas: assignment[i] is the new replica list of partition i."""
        self.admin("reassign", moves=[{"topic": name, "partition": i, "replicas": nodes}
                                      for i, nodes in enumerate(assignment)])
        wait_until(lambda: self.admin("reassigning") == 0, 120, "reassignment done", 0.2)

    def end_offsets(self, name: str) -> list[int]:
        return self.admin("ends", topic=name)

    # --- evidence ---

    def seen(self, principal: str | None = None, resource: str | None = None) -> list[evidence.Decision]:
        """What the brokers' authorizers decided, all nodes together."""
        return [row for broker in self.nodes.values() for row in evidence.decisions(broker, principal, resource)]

    def log_requests(self, on: bool) -> None:
        """Turns the brokers' request log on (it is heavy) or off."""
        for node_id in self.nodes:
            self.admin("configure", type="BROKER_LOGGER", name=str(node_id),
                       set={"kafka.request.logger": "DEBUG" if on else "WARN"})

    # --- tools ---

    def tool(self, version: str, main: str, *arguments, **options):
        """Runs one of Kafka's command line tools, for example tool("2.8.2", "kafka.admin.TopicCommand", "--list")."""
        return java_tools.run(version, main, *arguments, **options)
