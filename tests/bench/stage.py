# SPDX-License-Identifier: Apache-2.0
"""What a scenario plays on: certificates, a user, and the sink."""

import dataclasses
import os
import pathlib

from tests.bench.processes import LOAD_CPU, BenchFailed, Processes, wait_listening
from tests.rig import certificates, ports, scram
from tests.rig.setu import private_file, yaml

USER, PASSWORD = "bench", "benchmark-only"


@dataclasses.dataclass(frozen=True)
class Row:
    """Which ends speak TLS, and which way the load goes."""
    name: str
    client_tls: bool
    broker_tls: bool
    fetch: bool = False


PLAIN_PLAIN = Row("plain→plain", False, False)
PLAIN_MTLS = Row("plain→mTLS", False, True)
TLS_MTLS = Row("TLS→mTLS", True, True)
MTLS_FETCH_PLAIN = Row("mTLS fetch→plain", False, True, True)
MTLS_FETCH_TLS = Row("mTLS fetch→TLS", True, True, True)


class Stage:
    """`options` are those of the command line: build, check, batch_bytes and so on."""

    def __init__(self, options, directory: pathlib.Path, processes: Processes):
        self.options, self.directory, self.processes = options, directory, processes
        self.authority = certificates.Authority(directory / "certificates")
        self.broker = self.authority.issue("broker", server=True)
        self.listener = self.authority.issue("listener", server=True)
        self.client = self.authority.issue(USER)
        self.password = private_file(directory / "password", PASSWORD)
        record = scram.record("SCRAM-SHA-512", PASSWORD, os.urandom(16), 4096)
        self.users = private_file(directory / "users.yaml",
                                  yaml({"users": [{"name": USER, "scram-sha-512": record}]}) + "\n")
        self.sink = self.reading_ports = None
        self.start_sink(options.batch_bytes)

    @property
    def gen(self) -> pathlib.Path:
        return self.options.build / "tests/bench/setu-gen"

    def start_sink(self, batch_bytes: int, *arguments) -> None:
        """A new sink on new ports, whose Fetch answers have this size; contenders started before know nothing of it."""
        self.stop_sink()
        self.plain_port, self.tls_port = ports.free_port(), ports.free_port()
        self.sink = self._start_sink("sink", self.plain_port, self.tls_port, batch_bytes,
                                     *(["--decrypt"] if self.options.check else []), *arguments)

    def _start_sink(self, name: str, plain_port: int, tls_port: int, batch_bytes: int, *arguments):
        sink = self.processes.start(
            name, LOAD_CPU, self.options.build / "tests/bench/setu-sink", "--plain", f"127.0.0.1:{plain_port}",
            "--mtls", f"127.0.0.1:{tls_port}", "--ca", self.authority.certificate, "--chain", self.broker.chain,
            "--key", self.broker.key, "--batch-bytes", batch_bytes, *arguments)
        wait_listening(name, tls_port, sink, self.processes)
        return sink

    def reading_port(self, row: "Row") -> int:
        """Of a second sink, which decrypts everything, for a proxy that does more than hand bytes on."""
        if self.reading_ports is None:
            self.reading_ports = ports.free_port(), ports.free_port()
            self._start_sink("reading-sink", *self.reading_ports, self.options.batch_bytes, "--decrypt")
        return self.reading_ports[1 if row.broker_tls else 0]

    def stop_sink(self) -> None:
        """Raises when a batch was wrong."""
        if self.sink is None:
            return
        status, self.sink = self.processes.stop(self.sink), None
        if status != 0:
            raise BenchFailed(f"sink: status {status}\n{self.processes.log('sink')}")

    def broker_port(self, row: Row) -> int:
        return self.tls_port if row.broker_tls else self.plain_port
