# SPDX-License-Identifier: Apache-2.0
"""The proxies that Setu is measured against: one thread each, configured for throughput as their documentation advises.

Each function writes a configuration and starts the process; tests/bench/install says where the programs come from.
"""

import json
import pathlib
import shutil
import subprocess

from tests.bench.processes import PROXY_CPU
from tests.bench.stage import Row, Stage
from tests.rig import paths
from tests.rig.setu import private_file

HAPROXY_BUFFERS = {"haproxy-default": None, "haproxy-64k": 65536, "haproxy-tuned": 262144}
NGINX_BUFFERS = {"nginx-default": None, "nginx": 262144}
NGINX_STREAM = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
KAFKA_PROXY_BUFFER = 262144


def _installed(*parts) -> pathlib.Path:
    return paths.cache().joinpath("bench", *parts)


def _envoy_program() -> pathlib.Path | None:
    return next(_installed("venv").glob("lib/python3*/site-packages/envoy/_bin/envoy"), None)


def missing(name: str) -> str | None:
    """Why a peer cannot run here; None when it can."""
    have = {
        "haproxy": lambda: shutil.which("haproxy"),
        "nginx": lambda: shutil.which("nginx") and NGINX_STREAM.exists(),
        "envoy": _envoy_program,
        "kafka": _installed("go", "kafka-proxy").exists,
        "kroxylicious": lambda: _installed("kroxylicious", "lock.sha256").exists() and shutil.which("java"),
    }[name.partition("-")[0]]
    return None if have() else f"{name} is not installed (tests/bench/install)"


def haproxy(stage: Stage, row: Row, name: str, port: int) -> subprocess.Popen:
    buffer = HAPROXY_BUFFERS[name]
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
    bind 127.0.0.1:{port} backlog 4096{bind}
    server sink 127.0.0.1:{stage.broker_port(row)}{server}
""")
    return stage.processes.start(name, PROXY_CPU, "haproxy", "-db", "-f", file)


def nginx(stage: Stage, row: Row, name: str, port: int) -> subprocess.Popen:
    buffer = NGINX_BUFFERS[name]
    lines = [f"listen 127.0.0.1:{port}{' ssl' if row.client_tls else ''} backlog=4096;",
             f"proxy_pass 127.0.0.1:{stage.broker_port(row)};", "proxy_timeout 1h;"]
    lines += [f"proxy_buffer_size {buffer};"] if buffer else []
    if row.client_tls:
        lines += [f"ssl_certificate {stage.listener.chain};", f"ssl_certificate_key {stage.listener.key};",
                  "ssl_protocols TLSv1.3;", "ssl_session_tickets off;"]
    if row.broker_tls:
        lines += ["proxy_ssl on;", "proxy_ssl_protocols TLSv1.3;", "proxy_ssl_verify on;", "proxy_ssl_name localhost;",
                  f"proxy_ssl_trusted_certificate {stage.authority.certificate};",
                  f"proxy_ssl_certificate {stage.client.chain};", f"proxy_ssl_certificate_key {stage.client.key};"]
    file = private_file(stage.directory / f"{name}.conf", f"""load_module {NGINX_STREAM};
daemon off;
master_process off;
worker_rlimit_nofile 50000;
pid {stage.directory}/{name}.pid;
error_log stderr warn;
events {{ worker_connections 40000; }}
stream {{ server {{ {' '.join(lines)} }} }}
""")
    return stage.processes.start(name, PROXY_CPU, "nginx", "-c", file, "-e", "stderr")


def envoy(stage: Stage, row: Row, name: str, port: int) -> subprocess.Popen:
    def address(number: int) -> dict:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    def transport(kind: str, certificate, trusted) -> dict:
        common = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                  "tls_certificates": [{"certificate_chain": {"filename": str(certificate.chain)},
                                        "private_key": {"filename": str(certificate.key)}}]}
        if trusted:
            common["validation_context"] = {"trusted_ca": {"filename": str(trusted)}}
        return {"name": "tls", "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}TlsContext",
            "common_tls_context": common}}

    chain = {"filters": [{"name": "tcp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "bench", "cluster": "sink"}}]}
    endpoint = {"endpoint": {"address": address(stage.broker_port(row))}}
    cluster = {"name": "sink", "type": "STATIC", "connect_timeout": "5s",
               "circuit_breakers": {"thresholds": [{"max_connections": 40000, "max_pending_requests": 40000}]},
               "load_assignment": {"cluster_name": "sink", "endpoints": [{"lb_endpoints": [endpoint]}]}}
    if row.client_tls:
        chain["transport_socket"] = transport("Downstream", stage.listener, None)
    if row.broker_tls:
        cluster["transport_socket"] = transport("Upstream", stage.client, stage.authority.certificate)
    listener = {"name": "bench", "address": address(port), "filter_chains": [chain]}
    file = private_file(stage.directory / f"{name}.json",
                        json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    return stage.processes.start(name, PROXY_CPU, _envoy_program(), "-c", file, "--concurrency", "1",
                                 "--disable-hot-restart", "--log-level", "warn")


def kafka_proxy(stage: Stage, row: Row, name: str, port: int) -> subprocess.Popen:
    arguments = ["--bootstrap-server-mapping", f"127.0.0.1:{stage.broker_port(row)},127.0.0.1:{port}",
                 "--default-listener-ip", "127.0.0.1", "--http-disable", "--log-level", "warning",
                 "--producer-acks-0-disabled", "--proxy-request-buffer-size", KAFKA_PROXY_BUFFER,
                 "--proxy-response-buffer-size", KAFKA_PROXY_BUFFER]
    if row.broker_tls:
        arguments += ["--tls-enable", "--tls-ca-chain-cert-file", stage.authority.certificate,
                      "--tls-client-cert-file", stage.client.chain, "--tls-client-key-file", stage.client.key]
    if row.client_tls:
        arguments += ["--proxy-listener-tls-enable", "--proxy-listener-cert-file", stage.listener.chain,
                      "--proxy-listener-key-file", stage.listener.key]
    return stage.processes.start(name, PROXY_CPU, _installed("go", "kafka-proxy"), "server", *arguments,
                                 environment={"GOMAXPROCS": "1"})


def kroxylicious(stage: Stage, row: Row, name: str, port: int) -> subprocess.Popen:
    """Of its ports (bootstrap, then one for each node id) only the first is dialled: both lead to the same sink. That
    one decrypts: before a sink that counts records unread Kroxylicious closes its connections after some 900 requests,
    however many connections there are. The sink has time for that: Kroxylicious is busy all the time."""
    gateway = {"name": "clients", "portIdentifiesNode": {
        "bootstrapAddress": f"127.0.0.1:{port}", "nodeIdRanges": [{"name": "all", "start": 0, "end": 2}]}}
    target = {"bootstrapServers": f"127.0.0.1:{stage.reading_port(row)}"}
    if row.client_tls:
        gateway["tls"] = {"key": {"privateKeyFile": str(stage.listener.key),
                                  "certificateFile": str(stage.listener.chain)}}
    if row.broker_tls:
        target["tls"] = {"trust": {"storeFile": str(stage.authority.certificate), "storeType": "PEM"},
                         "key": {"privateKeyFile": str(stage.client.key),
                                 "certificateFile": str(stage.client.chain)}}
    file = private_file(stage.directory / f"{name}.yaml", json.dumps(
        {"virtualClusters": [{"name": "bench", "targetCluster": target, "gateways": [gateway]}]}))
    jars = _installed("kroxylicious")
    return stage.processes.start(name, PROXY_CPU, paths.java(), "-Xms2g", "-Xmx2g", "-XX:+AlwaysPreTouch",
                                 "-XX:-UsePerfData", "-cp", f"{jars}:{jars}/*", "Kroxylicious", file)


def versions() -> dict:
    """Of those that are installed, in their own words."""
    found = {}
    for name, command in (("haproxy", ["haproxy", "-v"]), ("nginx", ["nginx", "-v"]),
                          ("envoy", [_envoy_program(), "--version"])):
        if missing(name) is None:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
            found[name] = (done.stdout + done.stderr).strip().split("\n")[0].replace(f"{command[0]}", name)
    if missing("kafka-proxy") is None:
        found["kafka-proxy"] = _installed("go", "kafka-proxy.version").read_text().strip()
    if missing("kroxylicious") is None:
        found["kroxylicious"] = next(_installed("kroxylicious").glob("kroxylicious-runtime-*.jar")).stem
    return found
