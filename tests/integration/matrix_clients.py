# SPDX-License-Identifier: Apache-2.0
"""Runs the cells of the login matrix: one process for each kind and version of client, all its logins at once."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

from tests.integration.matrix_cells import MTLS, Cell, Client
from tests.rig import clients, java_tools, kdc, node, paths

HERE = pathlib.Path(__file__).parent
STORE_PASSWORD = "rig-store"
DEADLINE_S = 200
TOKEN_MODULE = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
# 0.10 looks at JDK classes for the realm's name
JAVA_OPENS = ["--add-exports", "java.security.jgss/sun.security.krb5=ALL-UNNAMED"]


@dataclasses.dataclass(frozen=True)
class Run:
    """A cell at one of its doors."""
    cell: Cell
    door: str

    @property
    def name(self) -> str:
        return self.cell.topic(self.door)


class Scene:
    """What clients need to know: where Setu's doors are, who they are, the KDC and the tokens."""

    def __init__(self, directory: pathlib.Path, doors: dict[str, str], services: dict, cluster, the_kdc: kdc.Kdc):
        self.directory, self.doors, self.services, self.kdc = directory, doors, services, the_kdc
        self.ca, self.partitions = cluster.authority.certificate, len(cluster.nodes)
        bearer = next(name for name in services if name == "bearer")
        self.token = cluster.issuer.token(bearer)
        self.token_file = cluster.issuer.token_file(bearer, self.token)
        directory.mkdir(exist_ok=True)

    def login(self, run: Run) -> clients.Login:
        cell, service = run.cell, self.services[run.cell.principal]
        if cell.mechanism == MTLS:
            return clients.Login(self.doors[run.door], certificate=service.certificate, ca=self.ca)
        if cell.mechanism == "GSSAPI":
            return clients.KerberosLogin(self.doors[run.door], service.name, keytab=self.kdc.keytab(service.name))
        return clients.Login(self.doors[run.door], service.name, service.password, cell.mechanism)

    # --- Java ---

    def _java_settings(self, run: Run) -> dict:
        settings = {key: value for key, value in self.login(run).java().items() if not key.startswith("ssl.")}
        settings |= {"client.id": run.name, "rig.partitions": self.partitions}
        if run.cell.mechanism == "OAUTHBEARER":
            settings |= {"sasl.jaas.config": f'{TOKEN_MODULE} tokenFile="{self.token_file}";',
                         "sasl.login.callback.handler.class": "MatrixToken"}
        if run.cell.mechanism == MTLS:  # as PKCS#12: before 2.7 no client reads PEM, and 2.8 no key without a password
            store = self.services[run.cell.principal].certificate.key_store(STORE_PASSWORD)
            settings |= {"rig.ca": self.ca, "ssl.keystore.type": "PKCS12", "ssl.keystore.location": store,
                         "ssl.keystore.password": STORE_PASSWORD, "ssl.key.password": STORE_PASSWORD}
        return settings

    def _java(self, client: Client, runs: list[Run]) -> dict:
        files = [node.write_properties(self.directory / f"{run.name}.properties", self._java_settings(run)) for run in runs]
        done = java_tools.run(client.version, "MatrixClient", *files, timeout_s=DEADLINE_S, check=False,
                              options=[*self.kdc.java_options(), *JAVA_OPENS])
        (self.directory / f"{client.key}.out").write_text(done.stdout + done.stderr)
        found = {run.name: {"written": 0, "read": []} for run in runs}
        for line in done.stdout.splitlines():
            verb, _, rest = line.partition(" ")
            name, _, value = rest.partition(" ")
            if verb == "written":
                found[name]["written"] = int(value)
            elif verb == "read":
                found[name]["read"].append(value)
            elif verb == "error":
                found[name]["error"] = value
        return {"version": client.version, "cells": found}

    # --- librdkafka ---

    def _librdkafka_cell(self, run: Run) -> dict:
        settings = self.login(run).librdkafka() | {"client.id": run.name, "message.timeout.ms": 30000, "acks": "all"}
        if run.cell.client.version.startswith("0."):
            settings["request.required.acks"] = settings.pop("acks").replace("all", "-1")
        row = {"name": run.name, "settings": settings, "partitions": self.partitions}
        if run.cell.mechanism == "OAUTHBEARER":
            row["token"] = self.token
            del settings["sasl.username"], settings["sasl.password"]
        return row

    def _librdkafka(self, client: Client, runs: list[Run]) -> dict:
        job = {"library": client.program, "cells": [self._librdkafka_cell(run) for run in runs]}
        env = self.kdc.kinit("kerberos") if any(run.cell.mechanism == "GSSAPI" for run in runs) else {}
        return self._program(client, [sys.executable, HERE / "matrix_librdkafka.py"], job, env)

    # --- kafkajs ---

    def _kafkajs_cell(self, run: Run) -> dict:
        login, cell = self.login(run), run.cell
        row = {"name": run.name, "brokers": login.bootstrap.split(","), "partitions": self.partitions}
        if cell.mechanism == MTLS:
            row["ssl"] = {"ca": str(self.ca), "chain": str(login.certificate.chain), "key": str(login.certificate.key)}
        elif cell.mechanism == "OAUTHBEARER":
            row["token"] = self.token
        else:
            row["sasl"] = {"mechanism": cell.mechanism.lower(), "username": login.user, "password": login.password}
        return row

    def _kafkajs(self, client: Client, runs: list[Run]) -> dict:
        env = {"NODE_PATH": str(paths.cache() / "node" / "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
        return self._program(client, ["node", HERE / "matrix_kafkajs.js"], {"cells": list(map(self._kafkajs_cell, runs))},
                             env)

    # --- all ---

    def _program(self, client: Client, argv: list, job: dict, env: dict) -> dict:
        done = subprocess.run([str(part) for part in argv], input=json.dumps(job), capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False, env=os.environ | env)
        (self.directory / f"{client.key}.out").write_text(done.stdout + done.stderr)
        try:
            return json.loads(done.stdout)
        except ValueError:
            text = f"ended with {done.returncode}: {done.stderr[-1000:]}"
            return {"version": client.version, "cells": {cell["name"]: {"error": text} for cell in job["cells"]}}

    def run(self, client: Client, runs: list[Run]) -> dict:
        """{"version": as the client itself says, "cells": {name: {"written", "read"} and, when it failed, "error"}}."""
        kind = {"Java": self._java, "librdkafka": self._librdkafka, "kafkajs": self._kafkajs}[client.family]
        return kind(client, runs)
