# SPDX-License-Identifier: Apache-2.0
"""Floods of logins: guessing passwords, and asking for SCRAM challenges. What others notice of it, and what it costs.

SETU_LONG_FAULTS=1: a thousand a second for ten seconds each, and the bounds of a machine that has nothing else to do."""

import os
import random
import statistics
import unittest

from tests.integration import enumeration as measure
from tests.integration import kafka_client as kafka
from tests.integration.kafka_client import Scram
from tests.integration.stage import PASSWORDS, StageTest, raise_descriptors

LONG = bool(os.environ.get("SETU_LONG_FAULTS"))
RATE, SECONDS = (1000, 10) if LONG else (400, 2)
DELAY_MS = 100
ATTACKER = "127.66.6.6"


def plain(user: str, password: str):
    yield kafka.request(kafka.HANDSHAKE, 1, kafka.handshake_body("PLAIN"))
    yield kafka.request(kafka.AUTHENTICATE, 1, kafka.authenticate_body(f"\0{user}\0{password}".encode()))


def scram(user: str, password: str | None):
    """Without a password a guess, made without the work that a right one would be."""
    talk = Scram("SCRAM-SHA-512", user, password or "")
    yield kafka.request(kafka.HANDSHAKE, 1, kafka.handshake_body("SCRAM-SHA-512"))
    said = yield kafka.request(kafka.AUTHENTICATE, 1, kafka.authenticate_body(talk.first()))
    challenge = kafka.Answer(said[4:])
    challenge.take("h"), challenge.text()
    text = challenge.bytes()
    token = talk.final(text) if password else f"c=biws,{text.decode().split(',')[0]},p={'A' * 86}==".encode()
    yield kafka.request(kafka.AUTHENTICATE, 1, kafka.authenticate_body(token))


def first_only(user: str):
    yield kafka.request(kafka.HANDSHAKE, 1, kafka.handshake_body("SCRAM-SHA-512"))
    yield kafka.request(kafka.AUTHENTICATE, 1, kafka.authenticate_body(Scram("SCRAM-SHA-512", user, "").first()))


def asks(login):
    """A login that succeeds, and what a client asks then."""
    yield from login
    yield kafka.request(kafka.METADATA, 1, kafka.metadata_body(1, ["good"]))


def ping():
    yield kafka.request(kafka.API_VERSIONS, 0)


def at(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


class Floods(StageTest):
    measures_memory = True
    stage_options = {"limits": {"login_failure_delay_ms": DELAY_MS, "login_timeout_ms": 4000}}

    def setUp(self):
        raise_descriptors(20000)
        super().setUp()

    def flood(self, attack, good, every: int = 20) -> tuple[list, list, int]:
        """`attack()` RATE times a second for SECONDS, one `good()` among `every`; both done, and what memory it took."""
        ours, theirs = [], []

        def begin(make, kept):
            kept.append(make())
            return kept[-1]

        order = [lambda i=i: begin(good, ours) if i % every == every - 1 else begin(attack, theirs)
                 for i in range(RATE * SECONDS)]
        before = self.stage.rss()
        measure.run_all(order, RATE)
        return theirs, ours, self.stage.rss_peak() - before

    def guess(self, attack, good) -> tuple[list, list]:
        """What holds for every flood of guesses."""
        theirs, ours, grown = self.flood(attack, good)
        waited = [login.took[-1] / 1e6 for login in theirs]
        self.assertEqual({error_code(login.heard[-1]) for login in theirs}, {58})
        self.assertGreaterEqual(min(waited), DELAY_MS, "a guess waits for its answer")
        self.assertEqual({login.ending for login in ours}, {"left"}, "whose password is right comes in, and is served")
        took = [sum(login.took) / 1e6 for login in ours]
        self.assertLess(statistics.median(took), 50 if LONG else 400, f"ms that others take: {sorted(took)}")
        self.assertLess(grown, 48 << 20, "memory")
        return waited, took

    def owner(self, address: str | None = None):
        return lambda: measure.Login(asks(scram("orders", PASSWORDS["orders"])), self.stage.node_port(1), address=address,
                                     stays=False)

    def test_t32_one_user_from_one_address(self):
        """T32: guesses wait longer and longer; the owner, from the same address, is let in at once."""
        waited, _ = self.guess(lambda: measure.Login(scram("orders", None), self.stage.port, address=ATTACKER),
                               self.owner(ATTACKER))
        self.assertGreater(max(waited), DELAY_MS * 8, "the delay grows")
        self.closed(login_denied=len(waited))

    def test_t32_guesses_that_cost_work_stand_behind(self):
        """T32: PLAIN makes Setu compute. More than it can, from one address: others are verified first, by PLAIN too."""
        def good():
            who = random.choice((plain, scram))
            return measure.Login(asks(who("orders", PASSWORDS["orders"])), self.stage.node_port(1), stays=False)

        theirs, ours, grown = self.flood(
            lambda: measure.Login(plain("orders", "guess"), self.stage.port, address=ATTACKER), good)
        self.assertEqual({login.ending for login in ours}, {"left"})
        took = [sum(login.took) / 1e6 for login in ours]
        waited = [(login.took[1] if len(login.took) > 1 else login.end_ns) / 1e6 for login in theirs]
        self.assertGreaterEqual(min(waited), DELAY_MS)
        self.assertLess(statistics.median(took), 150 if LONG else 1000, f"ms that others take: {sorted(took)}")
        self.assertLess(grown, 48 << 20)

    def test_t32_many_users_from_many_addresses(self):
        """T32: names that exist and names that do not, each from elsewhere; the others do not notice."""
        def attack():
            return measure.Login(scram(random.choice(("orders", "payments", f"u{random.randrange(10**6)}")), None), self.stage.port)

        waited, _ = self.guess(attack, self.owner())
        self.closed(login_denied=len(waited))

    def test_t33_scram_first_messages(self):
        """T33: who only asks for challenges does not hold up the loop: others' ApiVersions are answered meanwhile."""
        attack = lambda: measure.Login(first_only(f"u{random.randrange(10**6)}"), self.stage.port, stays=False)
        _, pings, grown = self.flood(attack, lambda: measure.Login(ping(), self.stage.port, stays=False), 4)
        lag_ms = [login.took[0] / 1e6 for login in pings]
        self.assertLess(at(lag_ms, 0.99) if LONG else statistics.median(lag_ms), 5, f"p50 {at(lag_ms, 0.5):.2f} ms, "
                        f"p99 {at(lag_ms, 0.99):.2f} ms")
        self.assertLess(grown, 32 << 20)
        if LONG:
            print(f"T33: {RATE}/s: p50 {at(lag_ms, 0.5):.2f} ms, p99 {at(lag_ms, 0.99):.2f} ms, max {max(lag_ms):.2f} ms")


def error_code(payload: bytes) -> int:
    return kafka.Answer(payload[4:]).take("h")


if __name__ == "__main__":
    unittest.main()
