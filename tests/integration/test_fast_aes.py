# SPDX-License-Identifier: Apache-2.0
"""AES-GCM of libipsec-mb on both legs, against the JDK's TLS at the broker and at the client."""

import re

from tests.integration import own_setu
from tests.integration.helpers import RigTest, paths
from tests.rig import load
from tests.rig.process import wait_until


class FastAes(RigTest):
    ajna = 3

    def start(self, mode: str, **options):
        setu = self.setu(start=False, **options)
        setu.config["crypto"] = {"fast_aes": mode}
        setu.write()
        return own_setu.start(self, setu)

    def decision(self, setu) -> dict[str, str]:
        line = next(line for line in setu.said().splitlines() if " event=aes " in line)
        return {key: value.strip('"') for key, value in re.findall(r'(\w+)=("[^"]*"|\S+)', line)}

    def start_with_it(self, **options):
        setu = self.start("on", **options)
        decision = self.decision(setu)
        if decision["implementation"] != "ipsec-mb":
            self.assertIn("libipsec-mb", decision["why"], decision)
            self.skipTest(f"no fast AES here: {decision['why']}")
        return setu

    def assert_told(self, setu, name: str) -> None:
        wait_until(setu.stats.exists, 10, "the stats file is there")
        self.assertEqual(own_setu.stats(setu).get(f'aes_implementation{{name="{name}"}}'), 1)

    def write_and_count(self, setu, records: int, size: int) -> None:
        topic, where = self.topic(partitions=1, replicas=1, leaders=[self.ajna]), self.cluster.directory
        login = setu.login("orders")
        self.assertEqual(load.write(login, topic, records, size, where, self.unique()).acknowledged, records)
        read = load.read_all(login, topic, records, size, where, "count", self.unique())
        self.assertEqual((read["consumed"], read["lost"], read["duplicated"], read["foreign"]), (records, 0, 0, 0))
        self.assert_seen_as("User:orders", topic)

    def test_nothing_is_lost_through_tls_to_the_broker(self):
        setu = self.start_with_it()
        self.assert_told(setu, "ipsec-mb")
        self.write_and_count(setu, 100_000, 100)
        self.write_and_count(setu, 300, 90_000)

    def test_both_tls_versions_and_suites_on_both_legs(self):
        setu = self.start_with_it(tls=True)
        for version, suite in (("TLSv1.3", "TLS_AES_128_GCM_SHA256"), ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
                               ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
                               ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")):
            with self.subTest(version=version, suite=suite):
                topic = self.topic(partitions=1, replicas=1, leaders=[self.ajna])
                done = self.java(paths.KRAFT, setu.login("orders"), topic, produce=200, consume=200,
                                 group=self.unique(),
                                 settings={"ssl_enabled_protocols": version, "ssl_cipher_suites": suite})
                self.assertEqual(len(self.java_lines("read", done)), 200)
                self.assert_seen_as("User:orders", topic)

    def test_off_unless_wanted(self):
        setu = self.start("off")
        self.assertEqual(self.decision(setu)["implementation"], "openssl")
        self.assert_told(setu, "openssl")
        setu = self.start("auto")
        decision = self.decision(setu)
        self.assertIn(decision["implementation"], ("openssl", "ipsec-mb"))
        self.assertRegex(decision["why"], r"GB/s|libipsec-mb|libIPSec_MB|CPU")
