# SPDX-License-Identifier: Apache-2.0
"""The login matrix as a table: which clients there are, which logins each of them knows, and why the others do not exist."""

import dataclasses
import json
import pathlib

from tests.rig import paths

MTLS = "mTLS"
# Each mechanism has a principal of its own, and topics begin with it: whoever is taken for another may not even write.
PRINCIPALS = {"PLAIN": "plain", "SCRAM-SHA-256": "scram256", "SCRAM-SHA-512": "scram512", "GSSAPI": "kerberos",
              "OAUTHBEARER": "bearer", MTLS: "certified"}
RELAYED = ("SCRAM-SHA-256", "SCRAM-SHA-512")  # these leave a key behind that opens a legacy broker
HANDSHAKES = ("v0", "v1")
NONE = "none"  # a certificate is a login without SaslHandshake

NOT_V0 = "sends SaslHandshake v1 to whoever offers SaslAuthenticate, and has no switch"
NOT_V1 = "of before KIP-152: knows SaslHandshake v0 only"
NO_GSSAPI = "this build is without libsasl2"


@dataclasses.dataclass(frozen=True)
class Client:
    """`without`: handshakes and mechanisms that it does not have, each with the reason. `away`: why it is not here at all."""
    key: str
    family: str
    version: str
    program: str = ""
    without: tuple[tuple[str, str], ...] = ()
    away: str = ""

    def reason(self, what: str) -> str:
        return dict(self.without).get(what, "")

    @property
    def title(self) -> str:
        return f"{self.family} {self.version}"


@dataclasses.dataclass(frozen=True)
class Cell:
    client: Client
    mechanism: str
    handshake: str

    @property
    def principal(self) -> str:
        return PRINCIPALS[self.mechanism]

    @property
    def reason(self) -> str:
        """Why there is no such login; nothing when there is."""
        return self.client.away or self.client.reason(self.mechanism) or self.client.reason(self.handshake)

    def topic(self, door: str) -> str:
        """Also the client.id, and so what ties the broker's log, Setu's log and the client's own words together."""
        return f"{self.principal}-{self.client.key}-{self.handshake}-{door}"

    @property
    def doors(self) -> tuple[str, ...]:
        """The listeners of Setu it goes through."""
        if self.mechanism == MTLS:
            return ("certificates",)
        return ("stored", "relayed") if self.mechanism in RELAYED else ("stored",)


def librdkafka_old(version: str) -> pathlib.Path | None:
    return next(iter(sorted((paths.cache() / f"librdkafka-{version}").glob("librdkafka*.so*"))), None)


def librdkafka_of_wheel() -> pathlib.Path | None:
    packages = (paths.cache() / "venv").glob("lib/python3*/site-packages/confluent_kafka.libs/librdkafka*.so*")
    return next(iter(sorted(packages)), None)


def old_librdkafka(version: str, *without: tuple[str, str]) -> Client:
    program = librdkafka_old(version)
    return Client(f"librdkafka-{version}", "librdkafka", version, str(program),
                  away="" if program else "its wheel is for x86_64 only",
                  without=(("v1", NOT_V1), ("GSSAPI", NO_GSSAPI), *without))


def clients(more: tuple[str, ...] = ()) -> list[Client]:
    """`more`: other builds of librdkafka to try, as "VERSION=PATH", with libsasl2. SaslAuthenticate came with 1.2."""
    java_old = (("v1", NOT_V1), ("OAUTHBEARER", "came with Java client 2.0 (KIP-255)"))
    v1_only = ("v0", NOT_V0)
    found = [
        Client("java-old", "Java", paths.OLD, without=java_old),
        Client("java-2", "Java", paths.LEGACY, without=(v1_only,)),
        Client("java-3", "Java", paths.AJNA, without=(v1_only,)),
        Client("java-4", "Java", paths.KRAFT, without=(v1_only,)),
        old_librdkafka("0.11.4", ("OAUTHBEARER", "came with librdkafka 1.1")),
        old_librdkafka("1.1.0"),
        Client("librdkafka-debian", "librdkafka", "2.0.2", "librdkafka.so.1", without=(v1_only,)),
        Client("librdkafka-wheel", "librdkafka", "2.16.0", str(librdkafka_of_wheel()),
               without=(v1_only, ("GSSAPI", NO_GSSAPI))),
        Client("kafkajs", "kafkajs", json.loads((paths.RIG / "pinned" / "package.json").read_text())
               ["dependencies"]["kafkajs"], without=(v1_only, ("GSSAPI", "kafkajs has none"))),
    ]
    for i, row in enumerate(more):
        version, _, path = row.partition("=")
        of_before = tuple(map(int, version.split(".")[:2])) < (1, 2)
        found.append(Client(f"librdkafka-more{i}", "librdkafka", version, path,
                            without=(("v1", NOT_V1),) if of_before else (v1_only,)))
    return found


def cells(among: list[Client]) -> list[Cell]:
    """All of them, those that cannot exist too."""
    return [Cell(client, mechanism, handshake) for client in among for mechanism in PRINCIPALS
            for handshake in ((NONE,) if mechanism == MTLS else HANDSHAKES)]


# What every run looks at: each mechanism under each handshake at least once, and each kind of client.
SUBSET = {"java-old": tuple(PRINCIPALS), "java-4": ("PLAIN", "OAUTHBEARER", MTLS), "librdkafka-0.11.4": ("SCRAM-SHA-256", MTLS),
          "librdkafka-1.1.0": ("OAUTHBEARER",), "librdkafka-debian": ("GSSAPI",), "librdkafka-wheel": tuple(PRINCIPALS),
          "kafkajs": tuple(PRINCIPALS)}


def subset(among: list[Cell]) -> list[Cell]:
    """And whole, what was asked for by name."""
    return [cell for cell in among if cell.client.key.startswith("librdkafka-more")
            or cell.mechanism in SUBSET.get(cell.client.key, ())]


def table(among: list[Cell], verdicts: dict[Cell, str]) -> list[str]:
    """A row for each client and handshake, a column for each mechanism; reasons become footnotes. A certificate needs no
    handshake, so it stands in one row of the client."""
    notes: dict[str, int] = {}
    lines = ["| client | handshake | " + " | ".join(PRINCIPALS) + " |", "|---" * (len(PRINCIPALS) + 2) + "|"]
    by_place = {(cell.client.key, cell.mechanism, cell.handshake): cell for cell in among}

    def word(client: Client, mechanism: str, handshake: str) -> str:
        cell = by_place.get((client.key, mechanism, handshake))
        if cell is None:
            return ""
        if cell.reason:
            return f"— [{notes.setdefault(cell.reason, len(notes) + 1)}]"
        return verdicts.get(cell, "not run")

    for client in dict.fromkeys(cell.client for cell in among):
        for handshake in HANDSHAKES:
            words = [word(client, mechanism, handshake) for mechanism in PRINCIPALS if mechanism != MTLS]
            words.append(word(client, MTLS, NONE) if handshake == HANDSHAKES[0] else "″")
            if any(words):
                lines.append(f"| {client.title} | {handshake} | " + " | ".join(words) + " |")
    return lines + ["", *(f"[{number}] {reason}" for reason, number in notes.items())]
