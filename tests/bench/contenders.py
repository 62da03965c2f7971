# SPDX-License-Identifier: Apache-2.0
"""What stands between setu-gen and setu-sink."""

import dataclasses
import shutil
import subprocess

from tests.bench import peers
from tests.bench.processes import PROXY_CPU, wait_listening
from tests.bench.stage import USER, Row, Stage
from tests.rig import ports
from tests.rig.setu import private_file, yaml

PEERS = {**dict.fromkeys(peers.HAPROXY_BUFFERS, peers.haproxy), **dict.fromkeys(peers.NGINX_BUFFERS, peers.nginx),
         "envoy": peers.envoy, "kafka-proxy": peers.kafka_proxy, "kroxylicious": peers.kroxylicious}
KAFKA_PROXIES = ("kafka-proxy", "kroxylicious")
NAMES = ("direct", "setu", "setu-crc-off", "setu-ledger", "setu-fast-aes", *PEERS)
PORTS = 5  # for each: bootstrap and nodes
READY_S = 40
WARM_S = {"kroxylicious": 12}  # under load before it counts: its compiler has to have seen the code


@dataclasses.dataclass
class Contender:
    name: str
    port: int
    process: subprocess.Popen | None  # None: direct
    gen: list  # how setu-gen gets in


def missing(name: str, stage: Stage | None = None) -> str | None:
    """Why it cannot run here; None when it can. Whether this Setu takes a setting is only known with a stage."""
    if name in PEERS:
        return peers.missing(name)
    if name == "setu-fast-aes" and stage:
        file = private_file(stage.directory / "check.yaml",
                            yaml(setu_config(stage, Row("check", False, True), name, ports.free_block(PORTS))) + "\n")
        done = subprocess.run([stage.options.build / "proxy/setu", "check", "-c", file], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=20)
        return None if done.returncode == 0 else f"setu refuses it: {(done.stderr + done.stdout).strip()[-300:]}"
    return None


def start(stage: Stage, row: Row, name: str, change=None) -> Contender:
    """Listening when this returns. Stop it with stop(). `change` may alter the configuration of a Setu, in place."""
    if name == "direct":
        tls = ["--ca", stage.authority.certificate, "--chain", stage.client.chain, "--key", stage.client.key]
        return Contender(name, stage.broker_port(row), None, tls if row.broker_tls else [])
    port = ports.free_block(PORTS)
    made = Contender(name, port, PEERS[name](stage, row, name, port), []) if name in PEERS \
        else _setu(stage, row, name, port, change)
    wait_listening(name, made.port, made.process, stage.processes, READY_S)
    made.gen += ["--ca", stage.authority.certificate] if row.client_tls else []
    return made


def stop(stage: Stage, contender: Contender) -> None:
    if contender.process:
        stage.processes.stop(contender.process)


def setu_config(stage: Stage, row: Row, name: str, first_port: int) -> dict:
    """The configuration of the Setu called `name` as a tree; its node's port is first_port + 2."""
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
        "limits": {"connections": 20000, "login_timeout_ms": 60000, "connect_timeout_ms": 60000},
        "audit": {"file": stage.directory / f"{name}.audit"},
        "integrity": {"crc": "off" if name.endswith("crc-off") else "observe"},
        "certificates": [{"name": USER, "chain": stage.client.chain, "key": stage.client.key}],
        "users": {"file": stage.users},
        "mapping": [{"principal": USER, "certificate": USER, "owner": "bench"}],
        "clusters": [cluster], "listeners": [listener],
        **({"crypto": {"fast_aes": "on"}} if name.endswith("fast-aes") else {}),
        **({"ledger": {"directory": _ledger(stage)}} if name.endswith("ledger") else {})}


def _ledger(stage: Stage):
    """An empty folder, so that runs leave no more than one run's records behind."""
    folder = stage.directory / "ledger"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _setu(stage: Stage, row: Row, name: str, first: int, change) -> Contender:
    config = setu_config(stage, row, name, first)
    if change:
        change(config)
    file = private_file(stage.directory / f"{name}.yaml", yaml(config) + "\n")
    process = stage.processes.start(name, PROXY_CPU, stage.options.build / "proxy/setu", "run", "-c", file)
    return Contender(name, first + 2, process, ["--user", USER, "--password-file", stage.password])
