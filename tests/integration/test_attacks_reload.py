# SPDX-License-Identifier: Apache-2.0
"""T53: files of certificates that will not do are refused at a reload, all at once, and the old ones serve on."""

import datetime
import os

from tests.integration.test_life import Life
from tests.rig.certificates import Authority

REFUSED = 78


class Certificates(Life):
    def arrange(self) -> None:
        self.stage_ = self.start()
        self.pair = self.stage_.certificates["orders"]
        self.good = {path: path.read_bytes() for path in (self.pair.chain, self.pair.key)}
        elsewhere = self.stage_.directory / "elsewhere"
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        self.late = Authority(elsewhere, "late").issue("orders", ends=past)
        self.other = self.stage_.authority.issue("other")

    def restore(self) -> None:
        for path, data in self.good.items():
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            path.write_bytes(data)

    def damages(self):
        chain, key = self.pair.chain, self.pair.key

        def both(other):
            chain.write_bytes(other.chain.read_bytes())
            key.write_bytes(other.key.read_bytes())

        def folder():
            chain.unlink()
            chain.mkdir()

        yield "expired", lambda: both(self.late)
        yield "the chain is replaced, the key not yet", lambda: chain.write_bytes(self.other.chain.read_bytes())
        yield "the key is replaced, the chain not yet", lambda: key.write_bytes(self.other.key.read_bytes())
        yield "half of the chain is written", lambda: chain.write_bytes(self.good[chain][:len(self.good[chain]) // 3])
        yield "half of the key is written", lambda: key.write_bytes(self.good[key][:len(self.good[key]) // 2])
        yield "emptied", lambda: chain.write_bytes(b"")
        yield "taken away", chain.unlink
        yield "a folder in its place", folder
        yield "a key that others may read", lambda: key.chmod(0o644)
        yield "an authority's file without a certificate", lambda: None

    def test_t53_what_will_not_do_changes_nothing(self):
        self.arrange()
        stage, broker = self.stage_, self.stage_.brokers[2]
        trust, refused = stage.authority.certificate.read_bytes(), 0
        with stage.client(2, "orders") as before:
            before.metadata(["good"])
            hashed = stage.status()["config_hash"]
            for name, damage in self.damages():
                with self.subTest(name):
                    damage()
                    if "authority" in name:
                        stage.authority.certificate.write_bytes(b"nothing\n")
                    answer = self.reload(stage, expected=REFUSED)
                    refused += 1
                    self.assertTrue(answer["problems"], name)
                    mark = broker.mark()
                    with stage.client(2, "orders") as fresh:
                        fresh.metadata(["good"])
                    self.assertEqual([who.split(",")[0] for who, _ in broker.logins(mark)
                                      if not who.startswith("CN=setu")], ["CN=orders"])
                    before.metadata(["good"])
                stage.authority.certificate.write_bytes(trust)
                self.restore()
            now = stage.status()
            self.assertEqual((now["reloads_refused"], now["config_hash"]), (refused, hashed))
            self.reload(stage)
            before.metadata(["good"])
        self.assertEqual(stage.status()["reloads"], 1)
