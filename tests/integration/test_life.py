# SPDX-License-Identifier: Apache-2.0
"""The life of the process under load: reloads, takeovers, drains, and what goes wrong with them. No connect is refused,
no acknowledged record is lost or doubled, and memory stays where it was.

SETU_LIFE_COUNT sets how many reloads and takeovers there are; python3 -m tests.integration.test_life --count 500 does nothing
but these, and tells how it goes."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

from tests.integration import kafka_client as kafka
from tests.integration import shim
from tests.integration.faults import either
from tests.integration.life import LifeStage, Load, audit_codes, gone, state
from tests.integration.stage import PASSWORDS, broker_program, setu_program
from tests.rig.certificates import Authority
from tests.rig.process import Process, wait_until
from tests.rig.setu import private_file, yaml

COUNT = int(os.environ.get("SETU_LIFE_COUNT", "20"))
GROWTH_KB = 4096  # of resident memory, once warm
TELL_EVERY = 100


class Life(unittest.TestCase):
    program = staticmethod(setu_program)
    longMessage = True

    def stage(self, **options) -> LifeStage:
        for needed in (self.program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        stage = LifeStage(self.program(), limits={"drain_timeout_ms": 10000, **options.pop("limits", {})}, **options)
        self.addCleanup(lambda: self.assertEqual(stage.close(), []))
        return stage

    def start(self, **options) -> LifeStage:
        return self.stage(**options).start()

    def load(self, stage: LifeStage, **options) -> Load:
        load = Load(stage, **options)
        self.addCleanup(load.stop)
        return load

    def reload(self, stage: LifeStage, expected: int = 0) -> dict:
        stage.write_config()
        status, answer, error = stage.command("reload")
        self.assertEqual(status, expected, f"{answer} {error}")
        return answer

    def progress(self, what: str, sizes: list[int], load: Load, began: float) -> None:
        if len(sizes) % TELL_EVERY == 0:
            self.assertEqual(load.errors(), [])
            print(f"    {len(sizes)} {what} in {time.monotonic() - began:.0f} s, {sizes[-1]} kB resident, "
                  f"{sum(len(writer.acked) for writer in load.writers)} records acknowledged, {load.knocker.knocks} "
                  "knocks, nothing refused", flush=True)

    def assert_flat(self, sizes: list[int]) -> str:
        """Resident kB; the first fifth warms up. AddressSanitizer keeps what was freed: then they are only told."""
        warm, last = max(sizes[:max(1, len(sizes) // 5)]), max(sizes[-max(1, len(sizes) // 5):])
        if b"__asan_init" in self.program().read_bytes():
            return f"{warm} kB when warm, {last} kB at the end, under AddressSanitizer"
        self.assertLess(last - warm, GROWTH_KB, f"resident memory in kB: {sizes}")
        return f"{warm} kB when warm, {last} kB at the end"


class Reload(Life):
    def test_reloads_under_load(self):
        stage = self.start(legacy_login="sasl")
        load, sizes, began = self.load(stage), [], time.monotonic()
        spare = dict(stage.config["listeners"][0], name="spare", port=stage.base + 18, node_base_port=stage.tls_base,
                     node_ports_max=1, bind="127.0.0.2")
        for turn in range(COUNT):
            # now another listener, now other limits, now nothing at all
            stage.config["listeners"] = stage.config["listeners"][:2] + ([spare] if turn % 3 == 1 else [])
            stage.config["limits"]["login_failure_delay_ms"] = 50 + turn % 2
            self.reload(stage)
            if turn % 5 == 0:
                load.further(f"after reload {turn}")
            sizes.append(stage.rss_of(stage.process.pid))
            self.progress("reloads", sizes, load, began)
        told = load.check(self)
        self.assertEqual(stage.status()["reloads"], COUNT)
        self.assertFalse({"identity_changed", "drain_timeout", "stopped"} & set(stage.told_closes()))
        self.assertEqual(sum(writer.connects for writer in load.writers), 4, "no connection was disturbed")
        print(f"    {COUNT} reloads: {told}; {self.assert_flat(sizes)}", flush=True)

    def test_a_bad_configuration_changes_nothing(self):
        stage = self.start()
        load = self.load(stage)
        before = stage.status()["config_hash"]
        private_file(stage.config_file, yaml(stage.config | {"workerz": 1}) + "\n")
        status, _, error = stage.command("reload", "--socket", stage.socket)
        self.assertEqual(status, 78)
        os.kill(stage.process.pid, signal.SIGHUP)
        wait_until(lambda: stage.command("status", "--socket", stage.socket)[1]["reloads_refused"] == 2, 10, "refused")
        self.assertEqual(stage.command("status", "--socket", stage.socket)[1]["config_hash"], before)
        row, = [row for row in stage.told(name="reload_problem") if "workerz" in row["text"]][:1]
        self.assertGreater(row["line"], 0)
        load.further("with the old configuration")
        load.check(self)
        wait_until(lambda: audit_codes(stage.directory / "audit.log").count("SETU1003E") == 2, 10, "audited")

    def test_sessions_follow_their_principal(self):
        stage = self.start()
        mark = stage.mark()
        with stage.client(2, "orders") as orders, stage.client(2, "payments") as payments:
            stage.config["mapping"][0]["certificate"] = "payments"
            answer = self.reload(stage)
            self.assertIn("mapping: changed", answer["changes"])
            orders.ended(5)
            payments.metadata(["good"])
            wait_until(lambda: stage.closes(mark)["identity_changed"] == 1, 20, "the reason is told")
            with stage.client(2, "orders") as orders:
                orders.metadata(["good"])
                stage.config["mapping"] = stage.config["mapping"][1:]
                self.reload(stage)
                orders.ended(5)
            payments.metadata(["good"])
            renewed = stage.authority.issue("payments", server=False)
            self.assertIn("certificate payments: changed", self.reload(stage)["changes"], renewed)
            payments.ended(5)

    def test_sessions_follow_their_user(self):
        stage = self.start()
        mark = stage.mark()
        with stage.client(2, "orders") as orders, stage.client(2, "payments", mechanism="PLAIN") as payments:
            stage._users("users.yaml", PASSWORDS | {"orders": "another"})
            self.reload(stage)
            orders.ended(5)
            payments.metadata(["good"])
            wait_until(lambda: stage.closes(mark)["identity_changed"] == 1, 20, "the reason is told")
            with self.assertRaises(PermissionError):
                stage.client(2, "orders")
            stage._users("users.yaml", {"orders": PASSWORDS["orders"]})
            self.reload(stage)
            payments.ended(5)
            with stage.client(2, "orders") as orders:
                stage._users("users.yaml", {name: PASSWORDS[name] for name in ("nobody", "orders")})
                self.reload(stage)
                orders.metadata(["good"])

    def test_sessions_follow_the_authority_of_their_certificate(self):
        stage = self.stage()
        listener = stage.config["listeners"][1]
        authorities = stage.directory / "clients.pem"
        authorities.write_text(stage.authority.certificate.read_text())
        listener["mechanisms"] = []
        listener["tls"] |= {"client_ca": authorities, "client_auth": "required",
                            "principal_mapping_rules": "RULE:^CN=([^,]+).*$/$1/"}
        stage.start()
        tls = stage.tls()
        tls.load_cert_chain(stage.certificates["orders"].chain, stage.certificates["orders"].key)

        def client() -> kafka.Client:
            return kafka.Client(stage.node_port(2, True), tls=tls)

        with client() as orders, stage.client(2) as by_password:
            orders.metadata(["good"])
            self.reload(stage)
            orders.metadata(["good"])
            authorities.write_text(Authority(stage.directory / "ca2").certificate.read_text())
            self.reload(stage)
            orders.ended(5)
            by_password.metadata(["good"])
            with self.assertRaises(OSError), client() as orders:
                orders.metadata(["good"])

    def test_listeners_come_and_go_and_a_cluster_changes(self):
        stage = self.start()
        first = stage.config["listeners"][0]
        with stage.client(2) as steady, stage.client(2, tls=True) as secure:
            stage.config["listeners"] = [first]
            self.assertIn("listener secure: removed", self.reload(stage)["changes"])
            secure.ended(5)
            with self.assertRaises(ConnectionRefusedError):
                stage.raw(stage.tls_port)
            steady.metadata(["good"])
            stage.config["clusters"][0]["refresh_ms"] = 20000
            self.assertIn("cluster main: changed", self.reload(stage)["changes"])
            steady.metadata(["good"])
            with stage.client(1) as fresh:
                fresh.metadata(["good"])
            stage.config["workers"] = 2
            self.assertEqual(self.reload(stage)["needs_takeover"], ["workers"])
            stage.config["listeners"] = [dict(first, node_base_port=first["node_base_port"] + 1, node_ports_max=9)]
            stage.write_config()
            status, answer, _ = stage.command("reload")
            self.assertEqual(status, 78)
            self.assertIn("node_base_port", str(answer["problems"]))
            steady.metadata(["good"])
            stage.config["listeners"] = [first]
            stage.config["workers"] = 1
            self.reload(stage)


class Takeover(Life):
    def takeovers(self, stage: LifeStage, load: Load, count: int) -> str:
        times, sizes, began = [], [], time.monotonic()
        for turn in range(count):
            times.append(stage.take_over())
            load.further(f"after takeover {turn}")
            sizes.append(stage.rss_of(stage.process.pid))
            self.progress("takeovers", sizes, load, began)
        told = load.check(self)
        self.assertLessEqual(set(stage.told_closes()), {"client_closed", "client_reset", "handed_over"})
        codes = audit_codes(stage.directory / "audit.log", lambda codes: codes.count("SETU1001I") >= count)
        self.assertEqual(codes.count("SETU1000I"), count + 1)
        self.assertEqual(codes.count("SETU1001I"), count)
        return (f"{count} takeovers of {min(times):.2f} to {max(times):.2f} s: {told}; {len(codes)} audit records in one "
                f"chain; {self.assert_flat(sizes)}")

    def test_takeovers_under_load(self):
        stage = self.start()
        print(f"    {self.takeovers(stage, self.load(stage), COUNT)}", flush=True)

    def test_workers_grow_and_shrink(self):
        stage = self.start()
        load = self.load(stage)
        for workers in (2, 3, 1, 2, 1):
            stage.config["workers"] = workers
            stage.write_config()
            stage.take_over()
            self.assertEqual(stage.status()["workers"], workers)
            load.further(f"with {workers} workers")
        load.check(self)

    def test_by_signal(self):
        stage = self.start()
        load = self.load(stage)
        for turn in range(3):
            stage.usr2()
            load.further(f"after signal {turn}")
        # the child of a process that has ended is nobody's: the last one is ours again
        before = stage.status()["pid"]
        mark = stage.mark()
        after = stage.successor()
        after.wait_ready(lambda: stage.events(mark, "took_over"), 60)
        wait_until(lambda: gone(before), 60, "the last predecessor has ended")
        stage.process = after
        load.check(self)

    def test_nobody_to_take_over_from(self):
        stage = self.stage()
        for broker in stage.brokers.values():
            broker.start()
        stage.write_config()
        stage.process = stage.successor()
        stage.process.wait_ready(stage.serves, 30)
        stage.check_good_client(self)


class FailedTakeover(Life):
    def failed(self, stage: LifeStage, load: Load, pid: int) -> None:
        """All is as it was."""
        load.further("after the takeover that failed")
        self.assertEqual(stage.status()["pid"], pid)
        wait_until(lambda: stage.status()["state"] == "serving", 20, "it serves")

    def test_successors_that_fail(self):
        stage = self.start()
        load, pid = self.load(stage), stage.process.pid
        bad = stage.directory / "bad.yaml"
        private_file(bad, yaml(stage.config | {"workerz": 1}) + "\n")
        self.assertEqual(stage.successor(bad).wait(30), 78)
        self.failed(stage, load, pid)
        # a port that cannot be had
        with socket.create_server(("127.0.0.3", 0)) as somebody:
            taken = dict(stage.config["listeners"][0], name="taken", bind="127.0.0.3", port=somebody.getsockname()[1],
                         node_base_port=1025, node_ports_max=1)
            private_file(bad, yaml(stage.config | {"listeners": stage.config["listeners"] + [taken]}) + "\n")
            self.assertEqual(stage.successor(bad).wait(30), 1)
        self.failed(stage, load, pid)
        # an audit log that cannot be had
        private_file(bad, yaml(stage.config | {"audit": {"file": stage.directory}}) + "\n")
        self.assertEqual(stage.successor(bad).wait(30), 1)
        self.failed(stage, load, pid)
        stage.take_over()
        load.further("after one that did not fail")
        load.check(self)
        audit_codes(stage.directory / "audit.log")

    def test_a_successor_is_killed(self):
        """At every stage of the takeover, by waiting ever longer."""
        stage = self.start()
        load, before, after = self.load(stage, tolerant=True), 0, 0
        for turn in range(24):
            pid, mark = stage.process.pid, stage.mark()
            successor = stage.successor()
            if turn % 3 == 2:
                wait_until(lambda: stage.events(mark, "took_over") or stage.events(mark, "taken_over"), 30, "served",
                           0.001)
            else:
                wait_until(lambda: stage.events(mark, "takeover_begins"), 30, "begun", 0.001)
                time.sleep(0.004 * turn)
            successor.kill()
            wait_until(lambda: gone(pid) or stage.status().get("state") == "serving", 20,
                       "the predecessor has ended, or serves again")
            if gone(pid):
                # it had handed over and ended already: nobody is left, which is no failure of theirs
                stage.process.wait(10)
                stage.process = stage.successor()
                stage.process.wait_ready(stage.serves, 30)
            served = bool(stage.events(mark, "took_over"))
            before, after = before + (not served), after + served
            load.further(f"after kill {turn}")
        print(f"    killed {before} times before it served, {after} times after", flush=True)
        load.check(self)
        audit_codes(stage.directory / "audit.log")

    def stopped(self, stage: LifeStage, where: str):
        """A successor that has stopped itself there."""
        if not shim.library().is_file():
            self.skipTest(f"{shim.library()} is not built")
        successor = stage.successor(before=shim.before(SETU_SHIM_STOP=where))
        wait_until(lambda: state(successor.pid) == "T", 60, f"it stops with the {where}", 0.01)
        return successor

    def test_a_successor_that_hangs(self):
        """With the audit log, or with all ports as well: it is sent away in seconds, and killed, for while it lives nobody
        can write the log, so nobody could come in."""
        stage = self.start()
        load, pid = self.load(stage), stage.process.pid
        for where in either(["sockets"], ["lock", "sockets"]):
            mark = stage.mark()
            successor, began = self.stopped(stage, where), time.monotonic()
            if where == "lock":
                load.further("while it hangs")
                stage.client(1, "payments").close()
            wait_until(lambda: stage.events(mark, "successor_lost"), 30, "it is given up")
            self.assertLess(time.monotonic() - began, 15)
            self.assertEqual(successor.wait(10), -signal.SIGKILL)
            self.failed(stage, load, pid)
            stage.client(2, "payments").close()
            self.assertEqual(stage.events(mark, "took_over"), [])
        load.check(self)
        stage.take_over()
        audit_codes(stage.directory / "audit.log")

    def test_a_predecessor_that_sleeps(self):
        """…while the successor says that it could serve, and perhaps longer than it has patience: one of them serves."""
        stage = self.start()
        load, pid, mark = self.load(stage), stage.process.pid, stage.mark()
        successor = self.stopped(stage, "sockets")
        os.kill(pid, signal.SIGSTOP)
        successor.resume()
        time.sleep(either(1, 11))
        self.assertEqual(stage.events(mark, "took_over"), [], "it has not heard that it may")
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: gone(pid) or not successor.alive, 30, "one of them goes")
        if gone(pid):
            self.assertEqual(stage.process.wait(10), 0)
            stage.process = successor
        load.further("with the other")
        self.assertEqual(stage.status()["pid"], stage.process.pid)
        for node in (1, 2):
            stage.client(node, "payments").close()
        load.check(self)
        stage.take_over()
        audit_codes(stage.directory / "audit.log")

    def test_two_at_once_and_one_too_late(self):
        stage = self.start(limits={"drain_timeout_ms": 12000})  # longer than a start takes on a busy machine
        load = self.load(stage)
        mark = stage.mark()
        first, second = stage.successor(), stage.successor()
        wait_until(lambda: stage.events(mark, "took_over"), 60, "one serves")
        wait_until(lambda: not (first.alive and second.alive), 60, "the other gives up")
        winner, loser = (first, second) if first.alive else (second, first)
        self.assertEqual(loser.wait(10), 1)
        self.assertEqual(stage.process.wait(30), 0)
        stage.process = winner
        load.further("with the one")
        load.check(self)
        # while it drains nobody may come
        with stage.client(1) as busy:
            stage.brokers[1].fault("api=Produce,do=stall")
            seen = stage.brokers[1].mark()
            busy.ask(kafka.PRODUCE, 7, kafka.produce_body(7, "good", {0: kafka.batch([b"slow"])}))
            wait_until(lambda: stage.brokers[1].requests(seen), 10, "the request is at the broker")
            os.kill(stage.process.pid, signal.SIGTERM)
            wait_until(lambda: stage.events(mark, "draining"), 10, "it drains")
            self.assertEqual(stage.successor().wait(30), 1)
        stage.brokers[1].clear()
        self.assertEqual(stage.process.wait(30), 0)
        stage.process = stage.successor()
        stage.process.wait_ready(stage.serves, 30)


class Drain(Life):
    def test_drain_shows_what_is_left(self):
        stage = self.start()
        with stage.client(1):
            status, answer, error = stage.command("drain")
        self.assertEqual((status, answer["drained"]), (0, True), error)
        self.assertEqual(stage.process.wait(10), 0)
        status, _, error = stage.command("status")
        self.assertEqual(status, 1)
        self.assertIn("nobody is there", error)
        stage.process = stage.successor()
        stage.process.wait_ready(stage.serves, 30)

    def test_somebody_else_is_not_heard(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to be somebody else")
        stage = self.start()
        os.chmod(stage.directory, 0o755)
        os.chmod(stage.socket, 0o666)
        done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c",
                               f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(stage.socket)!r}); "
                               "s.sendall(b'STU2\\x10\\0\\0\\0\\0\\0\\0\\0'); print(len(s.recv(10)))"],
                              capture_output=True, text=True)
        self.assertIn("0", done.stdout.strip() or "0")
        wait_until(lambda: stage.events(name="control_refused"), 10, "refused")


class Activation(Life):
    LAUNCH = """
import os, socket, sys, time
ports, command = [int(p) for p in sys.argv[1].split(",")], sys.argv[2:]
sockets = [socket.create_server(("127.0.0.1", port), backlog=64) for port in ports]
for number, one in enumerate(sockets):
    os.dup2(one.fileno(), 3 + number) if one.fileno() != 3 + number else os.set_inheritable(3 + number, True)
time.sleep(1)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(ports))}
os.execv(command[0], command)
"""

    def test_sockets_that_are_passed_are_used(self):
        stage = self.stage()
        for broker in stage.brokers.values():
            broker.start()
        stage.write_config()
        ports = f"{stage.port},{stage.node_port(1)}"
        stage.process = Process("setu", [sys.executable, "-c", self.LAUNCH, ports, stage.program, "run", "-c",
                                         stage.config_file, "--stats-file", stage.stats_file], stage.log).start()

        def early():
            try:
                return stage.raw(stage.port)
            except ConnectionRefusedError:
                return None
        with wait_until(early, 10, "the port is bound") as waiting, stage.raw(stage.node_port(1)) as at_node:
            self.assertEqual(stage.events(name="started"), [])
            at_node.send(kafka.request(kafka.API_VERSIONS, 3, kafka.api_versions_body(3)))
            self.assertTrue(at_node.frame())
            learned = [row["event"] for row in stage.told() if row["event"] in ("cluster_ready", "port_opened")]
            self.assertEqual(learned[0], "cluster_ready", "who connects to a passed socket waits until then")
            waiting.send(kafka.request(kafka.API_VERSIONS, 3, kafka.api_versions_body(3)))
            self.assertTrue(waiting.frame())
        stage.process.wait_ready(stage.serves, 30)
        self.assertEqual({row["port"] for row in stage.told(name="port_opened")},
                         {stage.port, stage.tls_port, stage.node_port(2), *(stage.node_port(n, True) for n in (1, 2))} |
                         {stage.node_port(1)})
        stage.check_good_client(self)

    def test_nobody_waits_for_long_in_sockets_that_are_passed(self):
        stage = self.stage()
        stage.write_config()
        stage.process = Process("setu", [sys.executable, "-c", self.LAUNCH, str(stage.port), stage.program, "run", "-c",
                                         stage.config_file, "--stats-file", stage.stats_file], stage.log).start()

        def early():
            try:
                return stage.raw(stage.port)
            except ConnectionRefusedError:
                return None
        with wait_until(early, 10, "the port is bound") as waiting:
            waiting.socket.settimeout(30)
            self.assertEqual(waiting.socket.recv(1), b"", "no broker answers: another address may be better")
        wait_until(lambda: stage.events(name="clients_turned_away"), 10, "the log says so")
        with stage.raw(stage.port) as late:
            late.socket.settimeout(2)
            self.assertEqual(late.socket.recv(1), b"", "from now on at once")
        for broker in stage.brokers.values():
            broker.start()
        stage.process.wait_ready(stage.serves, 30)
        stage.check_good_client(self)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="reloads, and takeovers")
    global COUNT
    COUNT = parser.parse_args().count
    suite = unittest.TestSuite([Reload("test_reloads_under_load"), Takeover("test_takeovers_under_load")])
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
