# SPDX-License-Identifier: Apache-2.0
"""The login matrix: every way to log in, by clients of every kind and age, and as whom the brokers of both generations saw it.

Each cell writes a record to every node and reads it back, through one Setu. Three must agree about each: the client's own word,
Setu's log (principal, mechanism, SaslHandshake version), and the authorizer's log of every broker. A run of all tests takes a
subset that covers each mechanism, handshake and kind of client; all cells: SETU_MATRIX=all, or

    python3 -m tests.integration.test_matrix --all [--json FILE] [--librdkafka VERSION=PATH]
"""

import argparse
import collections
import concurrent.futures
import copy
import dataclasses
import json
import os
import pathlib
import re
import sys
import time
import unittest

from tests.integration import matrix_cells, own_setu
from tests.integration.helpers import KERBEROS, RigTest, close_clusters
from tests.integration.matrix_cells import MTLS, PRINCIPALS, RELAYED, Cell
from tests.integration.matrix_clients import Run, Scene
from tests.rig import evidence, kdc, ports, tokens
from tests.rig.config_file import private_file, yaml
from tests.rig.process import exit_on_signals, wait_until
from tests.rig.setu import NODE_PORTS

FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
AT_A_TIME = 2


@dataclasses.dataclass
class Judged:
    """`seen`: node → as whom its authorizer let it write and read. `wrong`: what is not as it must be; right if nothing."""
    run: Run
    seen: dict[int, list[str]]
    wrong: list[str]


class Doors:
    """One Setu with three listeners: `stored` (SASL; legacy brokers are shown stored credentials), `relayed` (SCRAM; they are
    shown the client's own key) and `certificates` (TLS). Ajna brokers are always shown the principal's certificate."""

    def __init__(self, setu, services: dict, the_kdc: kdc.Kdc):
        self.setu, self.services, self.kdc = setu, services, the_kdc
        config = setu.config
        config["certificates"] += [{"name": name, "chain": one.certificate.chain, "key": one.certificate.key}
                                   for name, one in services.items()]
        config["mapping"] += [{"principal": name, "certificate": name, "owner": "team-matrix"} for name in services]
        config["users"] = {"file": self._users()}
        config["oauth"] = {"jwks_file": setu.cluster.issuer.jwks, "issuer": setu.cluster.issuer.name,
                           "audience": tokens.AUDIENCE, "scopes": ["kafka.use"]}
        config["clusters"] += [self._relayed_cluster(config["clusters"][0])]
        for generation in config["clusters"][0]["generations"]:
            if "sasl" in generation:
                generation["sasl"]["credentials_file"] = self._credentials()
        stored = config["listeners"][0]
        stored |= {"name": "stored", "advertised_host": kdc.HOST,
                   "mechanisms": [name for name in PRINCIPALS if name != MTLS],
                   "gssapi": {"keytab": the_kdc.keytab(f"{kdc.SETU_SERVICE}/{kdc.HOST}")}}
        config["listeners"] += [self._beside(stored, "relayed", cluster="relayed", mechanisms=list(RELAYED)),
                                self._beside(stored, "certificates", mechanisms=[], tls=self._tls())]
        self.addresses = {row["name"]: f"{kdc.HOST}:{row['port']}" for row in config["listeners"]}
        setu.process.env = (setu.process.env or {}) | the_kdc.env
        setu.write()

    def _users(self) -> pathlib.Path:
        rows = [{"name": name} | {mechanism.lower(): one.record(mechanism) for mechanism in RELAYED}
                for name, one in self.services.items()]
        return private_file(self.setu.directory / "users.yaml", yaml({"users": rows}) + "\n")

    def _credentials(self) -> pathlib.Path:
        rows = [{"principal": name, "username": name,
                 "password_file": private_file(self.setu.directory / f"{name}.password", one.password)}
                for name, one in self.services.items()]
        return private_file(self.setu.directory / "matrix-credentials.yaml", yaml({"credentials": rows}) + "\n")

    @staticmethod
    def _relayed_cluster(main: dict) -> dict:
        made = copy.deepcopy(main) | {"name": "relayed"}
        for generation in made["generations"]:
            if generation["name"] == "legacy":
                generation["login"] = "scram-relay"
                del generation["sasl"]
        return made

    @staticmethod
    def _beside(listener: dict, name: str, **other) -> dict:
        first = ports.free_block(NODE_PORTS)
        made = copy.deepcopy(listener) | {"name": name, "port": first, "node_base_port": first + 1} | other
        del made["gssapi"]
        return made

    def _tls(self) -> dict:
        authority = self.setu.cluster.authority
        own = authority.issue(f"{self.setu.directory.name}-door", "setu listener", server=True)
        return {"chain": own.chain, "key": own.key, "client_auth": "required", "client_ca": authority.certificate,
                "principal_mapping_rules": "RULE:^CN=([^,]+),.*$/$1/"}


def judge(run: Run, nodes: list[int], told: dict, logins: set[tuple], decided: list[evidence.Decision]) -> Judged:
    """`told`: by the client; `logins`: (principal, mechanism, handshake) by Setu; `decided`: by all authorizers."""
    cell, wrong, seen = run.cell, [], {}
    expected = [f"{run.name}-{partition}" for partition in range(len(nodes))]
    if told.get("error") or told["written"] != len(expected) or sorted(told["read"]) != expected:
        wrong.append(f"the client says {told}")
    if logins != {(cell.principal, cell.mechanism, cell.handshake)}:
        wrong.append(f"Setu logged {logins}")
    right = f"User:{cell.principal}"
    for node_id in nodes:
        rows = [row for row in decided if row.node_id == node_id and row.principal != "User:admin"]
        seen[node_id] = sorted({row.principal for row in rows})
        done = {(row.principal, row.operation) for row in rows if row.operation in ("write", "read") and row.allowed}
        if done != {(right, "write"), (right, "read")} or seen[node_id] != [right] or not all(row.allowed for row in rows):
            wrong.append(f"node {node_id} saw {sorted({(row.principal, row.operation, row.allowed) for row in rows})}")
    return Judged(run, seen, wrong)


class JudgeFinds(unittest.TestCase):
    """What is wrong is found, whoever of the three tells it."""

    def setUp(self):
        client = matrix_cells.Client("java-9", "Java", "9")
        self.run_ = Run(Cell(client, "PLAIN", "v1"), "stored")
        name = self.run_.name
        self.told = {"written": 2, "read": [f"{name}-1", f"{name}-0"]}
        self.logins = {("plain", "PLAIN", "v1")}
        self.decided = [evidence.Decision(node, "User:plain", True, operation, "Topic", name, "Produce")
                        for node in (1, 2) for operation in ("describe", "write", "read")]

    def wrong(self, **other) -> list[str]:
        return judge(self.run_, [1, 2], other.get("told", self.told), other.get("logins", self.logins),
                     other.get("decided", self.decided)).wrong

    def test_nothing(self):
        self.assertEqual(self.wrong(), [])

    def test_by_the_client(self):
        for told in ({"written": 1, "read": self.told["read"]}, {"written": 2, "read": self.told["read"][:1]},
                     self.told | {"error": "x"}, {"error": "x"}):
            self.assertEqual(len(self.wrong(told=told)), 1, told)

    def test_by_setu(self):
        for logins in (set(), {("plain", "PLAIN", "v0")}, {("bearer", "PLAIN", "v1")}, {("plain", "GSSAPI", "v1")},
                       {*self.logins, ("bearer", "PLAIN", "v1")}):
            self.assertEqual(len(self.wrong(logins=logins)), 1, logins)

    def test_by_a_broker(self):
        for i in range(len(self.decided)):
            for change in ({"principal": "User:bearer"}, {"allowed": False}):
                changed = self.decided.copy()
                changed[i] = dataclasses.replace(changed[i], **change)
                self.assertEqual(len(self.wrong(decided=changed)), 1, changed)
        self.assertEqual(len(self.wrong(decided=[row for row in self.decided if row.node_id == 1])), 1)


class Matrix(RigTest):
    plans = KERBEROS

    def open_doors(self) -> Doors:
        services = self.cluster.add_services(*PRINCIPALS.values())
        if PRINCIPALS["GSSAPI"] not in self.cluster.kdc.kadmin("listprincs"):
            self.cluster.kdc.add(PRINCIPALS["GSSAPI"])
        doors = Doors(self.setu(start=False), services, self.cluster.kdc)
        own_setu.start(self, doors.setu)
        return doors

    def run_clients(self, scene: Scene, runs: list[Run]) -> dict[str, dict]:
        """Run's name → what its client says."""
        by_client = collections.defaultdict(list)
        for run in runs:
            by_client[run.cell.client].append(run)
        found = {}
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            for client, told in zip(by_client, pool.map(lambda pair: scene.run(*pair), by_client.items())):
                self.assertEqual(told["version"], client.version, client)
                found |= told["cells"]
        return found

    def accepted(self, setu) -> dict[str, set[tuple]]:
        """client.id, or the listener where there is none → (principal, mechanism, handshake) as Setu logged its logins."""
        found = collections.defaultdict(set)
        for line in setu.said().splitlines():
            if "event=login_accepted" in line:
                row = {key: value.strip('"') for key, value in FIELD.findall(line)}
                who = (row["principal"], row["mechanism"].replace("SSL", MTLS), row.get("handshake", matrix_cells.NONE))
                found[row.get("client_id", row["listener"])].add(who)
        return found

    def judge_all(self, setu, runs: list[Run], told: dict[str, dict]) -> list[Judged]:
        found: list[Judged] = []

        def all_right() -> bool:
            logins, decided = self.accepted(setu), collections.defaultdict(list)
            for row in self.cluster.seen():
                decided[row.resource].append(row)
            found[:] = [judge(run, sorted(self.cluster.nodes), told[run.name],
                              logins["certificates" if run.cell.mechanism == MTLS else run.name], decided[run.name])
                        for run in runs]
            return not any(one.wrong for one in found)

        try:
            wait_until(all_right, 10, "all logs written", 1)
        except TimeoutError:
            pass  # found tells
        return found

    def test_every_login_reaches_every_broker_as_its_own_principal(self):
        began = time.monotonic()
        more = os.environ.get("SETU_MATRIX_LIBRDKAFKA", "").split()
        table = matrix_cells.cells(matrix_cells.clients(tuple(more)))
        whole = os.environ.get("SETU_MATRIX") == "all"
        chosen = [cell for cell in (table if whole else matrix_cells.subset(table)) if not cell.reason]
        runs = [Run(cell, door) for cell in chosen for door in cell.doors]
        doors = self.open_doors()
        self.cluster.create_topics([run.name for run in runs])
        scene = Scene(self.cluster.directory / "matrix", doors.addresses, doors.services, self.cluster, self.cluster.kdc)
        told = self.run_clients(scene, runs)
        judged = self.judge_all(doors.setu, runs, told)
        self.report(table, judged, whole, time.monotonic() - began)
        self.assertEqual({(cell.mechanism, cell.handshake) for cell in chosen},
                         {(cell.mechanism, cell.handshake) for cell in table if not cell.reason}, "the subset leaves out")
        self.assertEqual(len(judged), len(runs), "each was judged")
        self.assertEqual({one.run.name: one.wrong for one in judged if one.wrong}, {}, f"logs in {doors.setu.directory}")
        own_setu.assert_ends(self, doors.setu, "client_closed", "client_reset")

    def report(self, table: list[Cell], judged: list[Judged], whole: bool, took_s: float) -> None:
        wrong = {one.run.cell for one in judged if one.wrong}
        verdicts = {one.run.cell: "WRONG" if one.run.cell in wrong else "ok" for one in judged}
        impossible = sum(bool(cell.reason) for cell in table)
        brokers = ", ".join(f"{n} {broker.version} {broker.generation}" for n, broker in self.cluster.nodes.items())
        print(f"    {len(verdicts) - len(wrong)} of {len(verdicts)} logins right, {len(judged)} runs in {took_s:.0f} s; "
              f"{impossible} cells cannot exist, {len(table) - impossible - len(verdicts)} were not run"
              f"{'' if whole else ' (SETU_MATRIX=all)'}; brokers: {brokers}")
        for line in matrix_cells.table(table, verdicts):
            print(f"    {line}".rstrip())
        sys.stdout.flush()
        if os.environ.get("SETU_MATRIX_JSON"):
            self.write_json(pathlib.Path(os.environ["SETU_MATRIX_JSON"]), table, judged)

    def write_json(self, file: pathlib.Path, table: list[Cell], judged: list[Judged]) -> None:
        rows = []
        for cell in table:
            row = {"client": cell.client.family, "version": cell.client.version, "mechanism": cell.mechanism,
                   "handshake": cell.handshake}
            mine = [one for one in judged if one.run.cell == cell]
            if cell.reason:
                row["impossible"] = cell.reason
            elif mine:
                row |= {"expected": f"User:{cell.principal}", "right": not any(one.wrong for one in mine),
                        "doors": {one.run.door: {"seen": one.seen, "wrong": one.wrong} for one in mine}}
            rows.append(row)
        brokers = {n: {"version": broker.version, "generation": broker.generation} for n, broker in self.cluster.nodes.items()}
        file.write_text(json.dumps({"brokers": brokers, "cells": rows}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.integration.test_matrix",
                                     description="The login matrix on real brokers.")
    parser.add_argument("--all", action="store_true", help="every cell, not a subset")
    parser.add_argument("--json", metavar="FILE", help="write what each broker saw to FILE, too")
    parser.add_argument("--librdkafka", metavar="VERSION=PATH", action="append", default=[],
                        help="one more build of librdkafka, with libsasl2 and not older than 1.1")
    options = parser.parse_args()
    os.environ |= {"SETU_MATRIX": "all" if options.all else "", "SETU_MATRIX_JSON": options.json or "",
                   "SETU_MATRIX_LIBRDKAFKA": " ".join(options.librdkafka)}
    exit_on_signals()
    done = None
    try:
        done = unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromTestCase(Matrix))
    finally:
        close_clusters(None if done and done.wasSuccessful() else pathlib.Path("build/logs/matrix"))
    return 0 if done.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
