# SPDX-License-Identifier: Apache-2.0
"""Signals that come while somebody logs in."""

import contextlib
import os
import pathlib
import signal
import unittest

from tests.integration import kafka_client as kafka
from tests.integration.life import LifeStage
from tests.integration.stage import PASSWORDS, broker_program, setu_program
from tests.integration.test_process import status
from tests.rig.process import wait_until

USER = "orders"
OURS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM}
SANITIZERS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH,
            signal.SIGCONT, signal.SIGSTOP)


class Half:
    """A client in the middle of its login; finish() does the rest."""

    STATES = ("accepted", "half a request", "half a ClientHello", "ApiVersions", "SaslHandshake", "first token",
              "at the broker", "relay")

    def __init__(self, stage: LifeStage, state: str):
        self.stage, self.state = stage, state
        tls = state == "half a ClientHello"
        self.client = kafka.Client(stage.tls_port if tls else stage.node_port(1), client_id=state)
        self.scram = kafka.Scram("SCRAM-SHA-512", USER, PASSWORDS[USER])
        step = self.STATES.index(state)
        if state == "half a request":
            self.rest = kafka.request(kafka.API_VERSIONS, 3, kafka.api_versions_body(3), 1, state)
            self.client.send(self.rest[:7])
        if tls:
            self.client.send(bytes.fromhex("160301020001000200"))
        if step >= 3:
            self.client.api_versions()
        if step >= 4:
            self.client.handshake("SCRAM-SHA-512")
        if step >= 5:
            self.challenge = self.client.authenticate(self.scram.first())
        if state == "at the broker":  # the answer may come before the broker has been dialled: nobody waits for it
            body = kafka.authenticate_body(self.scram.final(self.challenge), 1)
            self.asked = self.client.ask(kafka.AUTHENTICATE, 1, body)
        if state == "relay":
            self.scram.check(self.client.authenticate(self.scram.final(self.challenge)))
            self.client.metadata(["good"])

    def finish(self) -> None:
        """Raises when it cannot."""
        client, step = self.client, self.STATES.index(self.state)
        if self.state == "half a ClientHello":
            return  # it is never finished: its deadline ends it
        if self.state == "half a request":
            client.send(self.rest[7:])
            client.correlation_id = 1
            client.answer(kafka.API_VERSIONS, 3, 1)
        if step < 4:
            client.handshake("SCRAM-SHA-512")
        if step < 5:
            self.challenge = client.authenticate(self.scram.first())
        if self.state == "at the broker":
            answer = client.answer(kafka.AUTHENTICATE, 1, self.asked)
            error = answer.take("h")
            if error:
                raise PermissionError(error)
        elif step < 7:
            self.scram.check(client.authenticate(self.scram.final(self.challenge)))
        client.metadata(["good"])


class Signals(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        for needed in (setu_program(), broker_program()):
            if not needed.is_file():
                raise unittest.SkipTest(f"{needed} is not built")
        cls.stage = LifeStage(limits={"login_timeout_ms": 60000, "drain_timeout_ms": 300})
        cls.addClassCleanup(cls.close)
        cls.stage.start()

    @classmethod
    def close(cls):
        wrong = cls.stage.close()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def in_every_state(self, stack: contextlib.ExitStack) -> list[Half]:
        halves = [Half(self.stage, state) for state in Half.STATES]
        for half in halves:
            stack.callback(half.client.close)
        return halves

    def test_t83_nothing_but_the_loop_hears_a_signal(self):
        """T83: a handler only writes to the loop's pipe (libuv), and there are none but ours: none for SIGALRM."""
        caught = int(status(pathlib.Path(f"/proc/{self.stage.process.pid}"))["SigCgt"], 16)
        found = {number for number in range(1, 32) if caught >> (number - 1) & 1}
        allowed = OURS | (SANITIZERS if b"__asan_init" in setu_program().read_bytes() else set())
        self.assertLessEqual(OURS, found)
        self.assertLessEqual(found, allowed)

    def test_t83_every_login_goes_on(self):
        """T83: signals that end nothing, three of each, with a client in every state of a login."""
        for number in HARMLESS:
            with self.subTest(signal=number.name), contextlib.ExitStack() as stack:
                halves = self.in_every_state(stack)
                for _ in range(3):
                    os.kill(self.stage.process.pid, number)
                if number == signal.SIGSTOP:
                    os.kill(self.stage.process.pid, signal.SIGCONT)
                for half in halves:
                    with self.subTest(state=half.state):
                        half.finish()
        self.assertEqual(self.stage.status()["reloads_refused"], 0)
        self.stage.check_good_client(self)

    def test_t83_it_ends_in_order(self):
        """T83: those that end it: nobody is left hanging, and it ends as it should. INT is TERM."""
        for number in (signal.SIGTERM, signal.SIGQUIT):
            with self.subTest(signal=number.name), contextlib.ExitStack() as stack:
                halves = self.in_every_state(stack)
                os.kill(self.stage.process.pid, number)
                os.kill(self.stage.process.pid, signal.SIGHUP)
                for half in halves:
                    half.client.ended(30)
                self.assertEqual(self.stage.process.wait(30), 0)
                self.stage.start_again()
                self.stage.check_good_client(self)

    def test_t83_another_process_takes_over(self):
        """T83: USR2, twice: the new one serves, and who was half way in is told so in time."""
        with contextlib.ExitStack() as stack:
            halves = self.in_every_state(stack)
            os.kill(self.stage.process.pid, signal.SIGUSR2)
            self.stage.usr2()
            for half in halves:
                half.client.ended(30)
            self.stage.check_good_client(self)
        wait_until(lambda: self.stage.status()["state"] == "serving", 20, "it serves")
        self.stage.ours_again()


if __name__ == "__main__":
    unittest.main()
