# SPDX-License-Identifier: Apache-2.0
"""What the benchmark rests on: Kafka's own clients reach setu-sink through Setu, and every record arrives once and whole."""

import argparse
import json
import pathlib
import tempfile
import unittest

from tests.bench import contenders, headline, perf_tool
from tests.bench.processes import Processes
from tests.bench.stage import PLAIN_MTLS, Stage
from tests.rig import paths

RECORDS = 50_000


class PerfTool(unittest.TestCase):
    def setUp(self):
        build = paths.setu_binary().parents[1]
        if why := perf_tool.missing():
            self.skipTest(why)
        if not (build / "tests/bench/setu-sink").is_file():
            self.skipTest("no setu-sink beside this setu")
        directory = tempfile.TemporaryDirectory(prefix="setu-perf-tool-")
        self.addCleanup(directory.cleanup)
        self.processes = Processes(pathlib.Path(directory.name))
        self.addCleanup(self.processes.stop_all)
        self.stage = Stage(argparse.Namespace(build=build, check=False, batch_bytes=65536), self.processes.directory,
                           self.processes)
        self.stage.start_sink(65536, "--topic", f"{headline.TOPIC}:{headline.PARTITIONS}")
        self.setu = contenders.start(self.stage, PLAIN_MTLS, "setu")
        self.play = headline.Play(self.stage, self.setu)

    def test_every_record_arrives_once_and_whole(self):
        for way in self.play.ways:
            self.play.run(way, RECORDS)
        through = next(way for way in self.play.ways if way.name == "setu")
        idempotent = {"acks": "all", "enable.idempotence": "true"}
        self.play.errors += through.tools.produce(through.login, headline.TOPIC, RECORDS, idempotent).errors
        read = through.tools.consume(through.login, headline.TOPIC, RECORDS, "group", {})
        self.assertEqual(self.play.errors + read.errors, [])
        self.assertGreaterEqual(read.records, RECORDS)
        self.assertEqual(self.processes.stop(self.setu.process), 0, self.processes.log("setu"))
        self.stage.stop_sink()  # raises when a CRC was wrong
        told = json.loads(self.processes.log("sink").splitlines()[-1])
        self.assertEqual((told["records"], told["wrong"]), ((len(self.play.ways) + 1) * RECORDS, 0))
