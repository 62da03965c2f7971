# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a start is told, and ends it."""

import json
import os
import socket
import subprocess
import unittest

from tests.integration.stage import Stage, setu_program
from tests.rig.process import Process, wait_until
from tests.rig.setu import private_file, yaml


class Start(unittest.TestCase):
    def start(self, stage: Stage) -> tuple[int, list[dict]]:
        """Exit status and log lines of a start that fails, without any broker."""
        private_file(stage.config_file, yaml(stage.config) + "\n")
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        done = subprocess.run([setu_program(), "run", "-c", stage.config_file], capture_output=True, text=True,
                              timeout=30, env=environment, check=False)
        return done.returncode, [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]

    def test_a_port_that_somebody_listens_on(self):
        """With several workers too: SO_REUSEPORT would let a second Setu take half of the clients."""
        for workers in (1, 3):
            with self.subTest(workers=workers), socket.socket() as taken:
                stage = Stage(workers=workers)
                self.addCleanup(stage.close)
                for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                    taken.setsockopt(socket.SOL_SOCKET, option, 1)
                taken.bind(("127.0.0.1", stage.port))
                taken.listen()
                status, lines = self.start(stage)
                self.assertEqual(status, 1)
                told = [(line["port"], line["error"]) for line in lines if line["event"] == "port_not_opened"]
                self.assertEqual(told, [(stage.port, "Address already in use")])

    def test_a_port_that_is_taken_before_the_brokers_answer(self):
        """A port that is bound and not yet listened on can still be taken; Setu waits for it."""
        stage = Stage()
        self.addCleanup(stage.close)
        private_file(stage.config_file, yaml(stage.config) + "\n")
        stage.process = Process("setu", [setu_program(), "run", "-c", stage.config_file, "--stats-file",
                                         stage.stats_file], stage.log)
        stage.process.start()
        wait_until(lambda: stage.events(0, "started"), 10, "it runs")
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", stage.port))
            taken.listen()
            for broker in stage.brokers.values():
                broker.start()
            wait_until(lambda: stage.events(0, "port_not_opened"), 20, "it is told")
        wait_until(lambda: stage.port in [event["port"] for event in stage.events(0, "port_opened")], 10, "it is open")
        stage.check_good_client(self)
        self.assertEqual(stage.close(), [])

    def test_files_that_cannot_be_written(self):
        for key, event in (("log", "log_not_opened"), ("audit", "audit_log_not_opened")):
            with self.subTest(key):
                stage = Stage()
                self.addCleanup(stage.close)
                stage.config[key] = stage.config[key] | {"file": stage.directory / "missing" / "file"}
                status, lines = self.start(stage)
                self.assertEqual(status, 1)
                self.assertEqual([line["event"] for line in lines if line["level"] == "error"], [event])
