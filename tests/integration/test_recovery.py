# SPDX-License-Identifier: Apache-2.0
"""Leaders move, brokers die, Setu stops or dies, while idempotent producers write: nothing acknowledged is lost or doubled."""

import time

from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.integration.steady import Load, wait_end

LEADERS = [1, 2, 3, 1, 2, 3]


class Recovery(RigTest):
    def setUp(self):
        self.own = own_setu.start(self, self.setu(start=False))
        self.topic_name = self.topic(leaders=LEADERS)

    def load(self) -> Load:
        return Load(self, self.own, len(LEADERS), self.topic_name, paths.AJNA)

    def led_by(self, node_id: int) -> list[int]:
        return [p for p, leader in enumerate(LEADERS) if leader == node_id]

    def tell(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def test_leaders_move_between_the_generations_under_load(self):
        load, moves = self.load(), 0
        for partition, path in ((0, (3, 2, 1)), (2, (1, 3, 2, 3))):
            for node_id in path:
                self.cluster.move_leader(self.topic_name, partition, node_id)
                load.wait_further(f"with {partition} at node {node_id}", [partition])
                moves += 1
        self.tell(f"{moves} moves of a leader; acknowledged and read: {load.check()}")

    def kill_and_restart(self, node_id: int) -> None:
        load, mine, began = self.load(), self.led_by(node_id), time.monotonic()
        self.cluster.kill(node_id)
        try:
            load.wait_further(f"without node {node_id}")
            without_s = time.monotonic() - began
        finally:
            self.cluster.start_node(node_id)
        self.cluster.wait_in_sync(self.topic_name)
        for partition in mine:
            self.cluster.move_leader(self.topic_name, partition, node_id)
        load.wait_further(f"with node {node_id} again")
        self.assertEqual(self.cluster.leaders(self.topic_name), LEADERS)
        self.tell(f"node {node_id} killed: writers went on after {without_s:.1f} s; acknowledged and read: {load.check()}")

    def test_a_legacy_broker_is_killed_and_comes_back_under_load(self):
        self.kill_and_restart(1)

    def test_the_ajna_broker_is_killed_and_comes_back_under_load(self):
        self.kill_and_restart(3)

    def test_setu_is_drained_and_a_new_process_takes_over_under_load(self):
        load, drains = self.load(), []
        for life in (2, 3):
            began = time.monotonic()
            self.assertEqual(wait_end(self.own.process, 40), 0)
            drains.append(f"{time.monotonic() - began:.2f} s")
            self.own.start()
            load.wait_further(f"with Setu's process {life}")
        self.tell(f"drained in {' and '.join(drains)}; acknowledged and read: {load.check()}")

    def test_setu_is_killed_and_a_new_process_takes_over_under_load(self):
        load = self.load()
        for life in (2, 3):
            self.own.process.kill()
            self.own.start()
            load.wait_further(f"with Setu's process {life}")
        self.tell(f"killed twice; acknowledged and read: {load.check()}")
