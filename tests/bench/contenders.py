# SPDX-License-Identifier: Apache-2.0
"""What stands between setu-gen and setu-sink."""

import dataclasses
import shutil
import subprocess

from tests.bench.processes import PROXY_CPU, wait_listening
from tests.bench.stage import USER, Row, Stage
from tests.rig import ports
from tests.rig.setu import private_file, yaml

HAPROXY_BUFFERS = {"haproxy-default": None, "haproxy-64k": 65536, "haproxy-tuned": 262144}
NAMES = ("direct", "setu", "setu-crc-off", *HAPROXY_BUFFERS)


@dataclasses.dataclass
class Contender:
    name: str
    port: int
    process: subprocess.Popen | None  # None: direct
    gen: list  # how setu-gen gets in


def missing(name: str) -> str | None:
    """Why it cannot run here; None when it can."""
    if name.startswith("haproxy") and not shutil.which("haproxy"):
        return "haproxy is not installed"
    return None


def start(stage: Stage, row: Row, name: str, change=None) -> Contender:
    """Listening when this returns. Stop it with stop(). `change` may alter the configuration of a Setu, in place."""
    if name == "direct":
        tls = ["--ca", stage.authority.certificate, "--chain", stage.client.chain, "--key", stage.client.key]
        return Contender(name, stage.broker_port(row), None, tls if row.broker_tls else [])
    made = _setu(stage, row, name, change) if name.startswith("setu") else _haproxy(stage, row, name)
    wait_listening(name, made.port, made.process, stage.processes)
    made.gen += ["--ca", stage.authority.certificate] if row.client_tls else []
    return made


def stop(stage: Stage, contender: Contender) -> None:
    if contender.process:
        stage.processes.stop(contender.process)


def setu_config(stage: Stage, row: Row, name: str, first_port: int) -> dict:
    generation = {"name": "sink", "protocol": "PLAINTEXT", "login": "none"}
    if row.broker_tls:
        generation |= {"protocol": "SSL", "login": "mapped-certificate", "tls": {"ca": stage.authority.certificate}}
    listener = {"name": "clients", "cluster": "main", "bind": "127.0.0.1", "port": first_port,
                "advertised_host": "127.0.0.1", "node_base_port": first_port + 1, "node_ports_max": 2,
                "mechanisms": ["SCRAM-SHA-512"]}
    if row.client_tls:
        listener["tls"] = {"chain": stage.listener.chain, "key": stage.listener.key, "client_auth": "none"}
    cluster = {"name": "main", "bootstrap": [f"127.0.0.1:{stage.broker_port(row)}"], "refresh_ms": 3600000,
               "identity": {"certificate": USER}, "generations": [generation]}
    return {
        "log": {"level": "warn", "file": "-"},
        "limits": {"connections": 20000, "login_timeout_ms": 60000, "connect_timeout_ms": 60000},
        "audit": {"file": stage.directory / f"{name}.audit"},
        "integrity": {"crc": "off" if name.endswith("crc-off") else "observe"},
        "certificates": [{"name": USER, "chain": stage.client.chain, "key": stage.client.key}],
        "users": {"file": stage.users},
        "mapping": [{"principal": USER, "certificate": USER, "owner": "bench"}],
        "clusters": [cluster], "listeners": [listener]}


def _setu(stage: Stage, row: Row, name: str, change) -> Contender:
    first = ports.free_block(4)
    config = setu_config(stage, row, name, first)
    if change:
        change(config)
    file = private_file(stage.directory / f"{name}.yaml", yaml(config) + "\n")
    process = stage.processes.start(name, PROXY_CPU, stage.options.build / "proxy/setu", "run", "-c", file)
    return Contender(name, first + 2, process, ["--user", USER, "--password-file", stage.password])


def _haproxy(stage: Stage, row: Row, name: str) -> Contender:
    port, buffer = ports.free_port(), HAPROXY_BUFFERS[name]
    bind = f" ssl crt {stage.listener.store} ssl-min-ver TLSv1.3 no-tls-tickets" if row.client_tls else ""
    server = f" ssl crt {stage.client.store} ca-file {stage.authority.certificate} verify required" \
        if row.broker_tls else ""
    file = private_file(stage.directory / f"{name}.cfg", f"""global
    nbthread 1
{f"    tune.bufsize {buffer}" if buffer else ""}

defaults
    mode tcp
    timeout connect 60s
    timeout client 1h
    timeout server 1h

listen bench
    bind 127.0.0.1:{port}{bind}
    server sink 127.0.0.1:{stage.broker_port(row)}{server}
""")
    return Contender(name, port, stage.processes.start(name, PROXY_CPU, "haproxy", "-db", "-f", file), [])
