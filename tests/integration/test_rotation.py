# SPDX-License-Identifier: Apache-2.0
"""Certificates, keys, authorities and revocation lists that change while Setu serves: it takes them into use without a
signal, ends what has to be made anew and nothing else, and keeps the old ones where the new ones do not fit.

SETU_ROTATION_COUNT sets how many rotations of everything there are under load; python3 -m
tests.integration.test_rotation --count 1000 does nothing but these, and tells how it goes."""

import argparse
import csv
import datetime
import os
import pathlib
import shutil
import socket
import ssl
import statistics
import sys
import time
import unittest

from tests.integration import kafka_client as kafka
from tests.integration.life import LifeStage, Load, audit_codes
from tests.integration.stage import broker_program, setu_program
from tests.rig.certificates import Authority
from tests.rig.process import wait_until

COUNT = int(os.environ.get("SETU_ROTATION_COUNT", "4"))
IDENTITIES = ("setu", "orders", "payments")
LISTS = ("brokers.crl", "clients.crl")
BUNDLE = "authorities.pem"
STEP = 50  # rotations between two rows of the table
JUDGED = 500  # so many say something about memory: malloc's arenas of the pool's threads fill for some two hundred
GROWTH_KB = 512  # from the median of the fifth tenth of all rotations to that of the last


def bundle(first: pathlib.Path, second: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Two authorities in a file, in this order."""
    path.write_text(f"two of them\n{first.read_text()}\nand\n{second.read_text()}")
    path.chmod(0o644)
    return path


class Variants:
    """The same authority's certificates for the same subjects, again and again with other keys and serial numbers; its
    lists with other numbers; and, of an even number of variants, the same two authorities the other way round each time."""

    def __init__(self, stage: LifeStage, count: int):
        self.stage, self.home = stage, stage.directory / "ca"
        self.folders, now = [], datetime.datetime.now(datetime.timezone.utc)
        for number in range(count):
            folder = stage.directory / f"variant-{number}"
            folder.mkdir()
            for file in ("ca.pem", "ca.key"):
                shutil.copy2(self.home / file, folder / file)
            authority = Authority(folder)
            for name in (*IDENTITIES, "listener"):
                # Of one moment all of them, so that none is older than another.
                authority.issue(name, server=name == "listener", begins=now, ends=now + datetime.timedelta(days=30))
            for name in LISTS:
                authority.revocation_list(folder / name, number=number + 1)
            if (self.home / BUNDLE).exists():
                order = [self.home / "other.pem", self.home / "ca.pem"]
                bundle(*(order if number % 2 == 0 else order[::-1]), folder / BUNDLE)
            self.folders.append(folder)

    def put(self, number: int, names=(*IDENTITIES, "listener"), gap_s: float = 0.0, lists=("brokers.crl",)) -> None:
        """As certbot and cert-manager do: each file all at once, one after the other."""
        folder = self.folders[number % len(self.folders)]
        for name in names:
            for ending in ("pem", "key"):
                replace(folder / f"{name}.{ending}", self.home / f"{name}.{ending}")
                time.sleep(gap_s)
        for name in lists:
            replace(folder / name, self.home / name)


def replace(source: pathlib.Path, target: pathlib.Path) -> None:
    fresh = target.with_name(target.name + ".new")
    shutil.copy2(source, fresh)
    os.replace(fresh, target)


class Rotation(unittest.TestCase):
    program = staticmethod(setu_program)
    longMessage = True

    def start(self, overlap_ms: int = 0, change=None, **options) -> LifeStage:
        for needed in (self.program(), broker_program()):
            if not needed.is_file():
                self.skipTest(f"{needed} is not built")
        stage = LifeStage(self.program(), limits={"drain_timeout_ms": 10000}, **options)
        self.addCleanup(lambda: self.assertEqual(stage.close(), []))
        stage.config["rotation"] = {"watch": True, "interval_ms": 1000, "overlap_ms": overlap_ms}
        stage.authority.revocation_list(stage.directory / "ca" / "brokers.crl")
        stage.config["clusters"][0]["generations"][1]["tls"]["crl"] = stage.directory / "ca" / "brokers.crl"
        if change:
            change(stage)
        return stage.start()

    def rotations(self, stage: LifeStage) -> int:
        return len(stage.events(name="certificate_in_use"))

    def in_use(self, stage: LifeStage, mark: int, of: str, name: str, timeout_s: float = 20) -> dict:
        def told():
            return [row for row in stage.events(mark, "certificate_in_use") if (row["of"], row["name"]) == (of, name)]
        return wait_until(told, timeout_s, f"{of} {name} is in use")[-1]

    @staticmethod
    def served(stage: LifeStage) -> bytes:
        """What the TLS listener shows."""
        context = stage.tls()
        with socket.create_connection(("127.0.0.1", stage.tls_port), timeout=20) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.getpeercert(binary_form=True)


class Watched(Rotation):
    def test_only_the_identity_that_changed_is_made_anew(self):
        """T46: connections of a certificate that was rotated are not used on, nor is a TLS session of them."""
        stage = self.start()
        variants, mark = Variants(stage, 1), stage.mark()
        with stage.client(2, "orders") as orders, stage.client(2, "payments") as payments, \
                stage.client(1, "payments") as by_password:
            variants.put(0, ["payments"], gap_s=0.3, lists=[])
            row = self.in_use(stage, mark, "identity", "payments")
            self.assertNotEqual(row["before"], row["now"])
            payments.ended(10)
            wait_until(lambda: stage.closes(mark)["certificate_renewed"] == 1, 10, "the reason is told")
            orders.metadata(["good"])
            by_password.metadata(["good"])  # a leg that shows no certificate
            mark = stage.mark()
            with stage.client(2, "payments") as payments:
                payments.metadata(["good"])
                login, = stage.told(mark, "broker_login_ok")
                self.assertFalse(login.get("resumed"), "a whole handshake, with the new one")
            self.assertEqual(stage.status()["reloads"], 0, "without a reload")
        codes = audit_codes(stage.directory / "audit.log", lambda codes: "SETU1011I" in codes)
        self.assertEqual(codes.count("SETU1011I"), 1)
        status, answer, _ = stage.command("certs")
        self.assertEqual((status, answer["rotations"], answer["pending"]), (0, 1, False))
        shown = {(row["role"], row["name"]): row for row in answer["certificates"]}
        self.assertEqual(shown["identity", "payments"]["fingerprint"], stage.certificates["payments"].fingerprint)
        self.assertEqual(shown["identity", "payments"]["alert"], "30_days")
        self.assertEqual(shown["revocation_list", ""]["alert"], "fine")
        ends = {row["alias"]: n for row, n in stage.fresh_stats()["certificate_not_after_timestamp_seconds"]}
        self.assertEqual(ends["payments"], shown["identity", "payments"]["not_after"])

    def test_what_does_not_fit_is_not_used(self):
        """T53: another subject, a key of another certificate, half a file, none at all: the old ones serve on, and it is told."""
        stage = self.start()
        home, variants = stage.directory / "ca", Variants(stage, 2)
        other = Authority(variants.folders[1]).issue("payments", common_name="admin")
        before = (home / "payments.pem").read_bytes(), (home / "payments.key").read_bytes()

        def refused(word: str, mark: int) -> None:
            wait_until(lambda: any(word in row["text"] for row in stage.events(mark, "certificates_not_yet")), 20,
                       f"it is told: {word}")
            with stage.client(2, "payments") as client:
                client.metadata(["good"])

        with stage.client(2, "payments") as payments:
            mark = stage.mark()
            replace(variants.folders[0] / "payments.pem", home / "payments.pem")
            refused("does not belong", mark)
            mark = stage.mark()
            replace(other.chain, home / "payments.pem")
            replace(other.key, home / "payments.key")
            refused("another identity", mark)
            wait_until(lambda: stage.events(mark, "certificates_refused"), 30, "it is a fault when it stays")
            self.assertEqual(stage.number("certificates_current"), 0)
            mark = stage.mark()
            (home / "payments.pem").write_bytes(before[0][:200])
            refused("payments.pem", mark)
            (home / "payments.pem").unlink()
            refused("No such file", mark)
            self.assertEqual(self.rotations(stage), 0)
            mark = stage.mark()
            (home / "payments.key").write_bytes(before[1])
            (home / "payments.pem").write_bytes(before[0])
            wait_until(lambda: stage.events(mark, "certificates_in_order"), 20, "all is well again")
            payments.metadata(["good"])
        self.assertIn("SETU1016E", audit_codes(stage.directory / "audit.log", lambda codes: "SETU1016E" in codes))
        self.assertEqual(self.rotations(stage), 0)

    def test_listeners_follow(self):
        stage = self.start()
        variants, before = Variants(stage, 1), self.served(stage)
        with stage.client(1, "orders", tls=True) as client:
            variants.put(0, ["listener"], lists=[])
            wait_until(lambda: self.served(stage) != before, 20, "the new certificate is shown")
            client.metadata(["good"])

    def test_as_kubernetes_swaps_them(self):
        """T52: links that nobody else could have made are followed, and the swap of one is seen."""
        volume = []

        def project(stage: LifeStage) -> None:
            root = stage.directory / "volume"
            root.mkdir()
            root.chmod(0o1777)
            volume.append(root)
            row = stage.config["certificates"][2]
            self.swap(root, stage.directory / "ca", "first")
            for key, ending in (("chain", "pem"), ("key", "key")):
                (root / f"payments.{ending}").symlink_to(f"..data/payments.{ending}")
                row[key] = root / f"payments.{ending}"

        stage = self.start(change=project)
        variants, mark = Variants(stage, 1), stage.mark()
        self.swap(volume[0], variants.folders[0], "second")
        self.in_use(stage, mark, "identity", "payments")

    @staticmethod
    def swap(volume: pathlib.Path, source: pathlib.Path, name: str) -> None:
        folder = volume / f"..{name}"
        folder.mkdir(mode=0o755)
        for file in ("payments.pem", "payments.key"):
            shutil.copy2(source / file, folder / file)
        (volume / "..data_tmp").symlink_to(folder.name)
        os.replace(volume / "..data_tmp", volume / "..data")


class Revocation(Rotation):
    def test_a_revoked_broker_is_left(self):
        """T54: a list that was replaced counts at once, also for connections that stand; one that has ended is not taken."""
        stage = self.start()
        crl, chain = stage.directory / "ca" / "brokers.crl", stage.certificates["broker"].chain
        with stage.client(2, "orders") as orders, stage.client(1, "orders") as elsewhere:
            mark = stage.mark()
            stage.authority.revocation_list(crl, number=2, made="20260102000000Z", ends="20260103000000Z")
            wait_until(lambda: any("has ended" in row["text"] for row in stage.events(mark, "certificates_not_yet")),
                       20, "a list that has ended")
            stage.authority.revocation_list(crl, [chain], number=3, made="20260102000000Z")
            self.in_use(stage, mark, "brokers", str(stage.authority.certificate))
            orders.ended(10)
            wait_until(lambda: stage.closes(mark)["broker_distrusted"] == 1, 10, "the reason is told")
            elsewhere.metadata(["good"])
            mark = stage.mark()
            stage.authority.revocation_list(crl, number=1, made="20260101000000Z")
            wait_until(lambda: any("older" in row["text"] for row in stage.events(mark, "certificates_not_yet")),
                       20, "an older list does not bring it back")
            stage.authority.revocation_list(crl, number=4, made="20260104000000Z")
            self.in_use(stage, mark, "brokers", str(stage.authority.certificate))

            def again():
                try:
                    with stage.client(2, "orders") as client:
                        return client.metadata(["good"])
                except (kafka.Closed, OSError):
                    return None
            wait_until(again, 60, "the broker is used again")
        self.assertIn("SETU1015I", audit_codes(stage.directory / "audit.log", lambda codes: "SETU1015I" in codes))

    def test_a_revoked_client_is_sent_away(self):
        """T54: a client's certificate on a list that was replaced: its connection ends, the others stay, it cannot come back,
        and that somebody tried is on record as every denied login is."""
        def ask(stage: LifeStage) -> None:
            crl = stage.authority.revocation_list(stage.directory / "ca" / "clients.crl")
            secure = stage.config["listeners"][1]
            secure["tls"] |= {"client_auth": "required", "client_ca": stage.authority.certificate, "client_crl": crl,
                              "principal_mapping_rules": "RULE:^CN=([^,]+),.*$/$1/"}
            secure.pop("mechanisms")
            secure.pop("allow_plain_without_tls")

        stage = self.start(change=ask)
        with self.by_certificate(stage, "orders") as orders, self.by_certificate(stage, "payments") as payments:
            orders.metadata(["good"])
            payments.metadata(["good"])
            mark = stage.mark()
            stage.authority.revocation_list(stage.directory / "ca" / "clients.crl",
                                            [stage.certificates["payments"].chain], number=2, made="20260102000000Z")
            payments.ended(20)
            wait_until(lambda: stage.closes(mark)["client_revoked"] == 1, 10, "the reason is told")
            orders.metadata(["good"])
            self.refused_certificates(stage)
            orders.metadata(["good"])

    def refused_certificates(self, stage: LifeStage) -> None:
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        made = stage.certificates
        made["ended"] = stage.authority.issue("ended", begins=now - 2 * day, ends=now - day)
        made["to-come"] = stage.authority.issue("to-come", begins=now + day, ends=now + 2 * day)
        made["stranger"] = Authority(stage.directory / "elsewhere", "stranger").issue("payments")
        cases = {"payments": "revoked", "ended": "expired", "to-come": "not_yet", "stranger": "authority", None: "missing"}
        mark = stage.mark()
        for name in cases:
            with self.assertRaises((kafka.Closed, OSError)), self.by_certificate(stage, name) as client:
                client.metadata(["good"])
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05junk!", b"\x16\x03", b""):
            with stage.raw(stage.tls_port) as scanner:
                scanner.send(noise)
        wait_until(lambda: stage.closes(mark)["client_certificate_refused"] == len(cases), 60, "all of them are closed")
        records = stage.audited("denied", len(cases))
        expected = [("SETU2001W", "SSL", f"client_certificate_{word}", made[name].subject if name else None,
                     made[name].fingerprint if name else None) for name, word in cases.items()]
        self.assertEqual([(row["code"], row["mechanism"], row["reason"], row.get("principal"),
                           row.get("certificate_fingerprint")) for row in records], expected, "and none for a scan")
        self.assertEqual(stage.told(mark, "stats")[-1]["auth_denied"], len(cases))
        self.assertEqual([row["reason"] for row in stage.told(mark, "login_denied")], [row[2] for row in expected])

    @staticmethod
    def by_certificate(stage: LifeStage, name: str | None) -> kafka.Client:
        context: ssl.SSLContext = stage.tls()
        if name is not None:
            context.load_cert_chain(stage.certificates[name].chain, stage.certificates[name].key)
        client = kafka.Client(stage.node_port(1, True), tls=context)
        client.api_versions()
        return client


class Course:
    """What is seen after each rotation; a row of a table every so often, in a file when one is named."""

    COLUMNS = ("rotations", "seconds", "resident_kb", "records", "connections", "asked_to_reconnect", "refused_logins",
               "cut_in_login", "failed_requests")

    def __init__(self, stage: LifeStage, load: Load, file: pathlib.Path | None):
        self.stage, self.load, self.began, self.sizes, self.rows = stage, load, time.monotonic(), [], []
        self.file, self.mark, self.asked, self.refused = file, 0, 0, 0

    def look(self) -> None:
        self.sizes.append(self.stage.rss_of(self.stage.process.pid))

    def row(self) -> dict:
        here = self.stage.mark()
        for line in self.stage.events(self.mark, end=here):
            self.asked += line["event"] == "session_closed" and line["reason"] == "certificate_renewed"
            self.refused += line["event"] == "login_denied"
        self.mark = here
        writers = self.load.writers
        values = (len(self.sizes), round(time.monotonic() - self.began), round(statistics.median(self.sizes[-STEP:])),
                  sum(len(writer.acked) for writer in writers), sum(writer.connects for writer in writers), self.asked,
                  self.refused, sum(writer.cut for writer in writers), len(self.load.errors()))
        self.rows.append(dict(zip(self.COLUMNS, values)))
        if self.file:
            with open(self.file, "w", encoding="ascii", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerows([self.COLUMNS, *(row.values() for row in self.rows)])
        return self.rows[-1]

    def tenth_kb(self, number: int) -> int:
        """The median of this tenth of all rotations, 1 to 10."""
        first, end = (len(self.sizes) * n // 10 for n in (number - 1, number))
        return round(statistics.median(self.sizes[first:end] or self.sizes[first:first + 1]))


class UnderLoad(Rotation):
    table: pathlib.Path | None = None

    @staticmethod
    def both_sides(stage: LifeStage) -> None:
        """Brokers and clients are believed by two authorities and a list each; clients show a certificate, and log in."""
        home, client = stage.directory / "ca", stage.authority.issue("client")
        believed = bundle(stage.authority.certificate, Authority(home, "other").certificate, home / BUNDLE)
        stage.config["clusters"][0]["generations"][1]["tls"]["ca"] = believed
        stage.config["listeners"][1]["tls"] |= {
            "client_auth": "required", "client_ca": believed,
            "client_crl": stage.authority.revocation_list(home / "clients.crl")}
        context = stage.tls()
        context.load_cert_chain(client.chain, client.key)
        stage.tls = lambda: context

    def test_everything_rotates_under_load(self):
        """T57: identities, a listener's certificate, lists and authorities' files for brokers and clients: no request fails,
        nothing acknowledged is lost, memory stays where it was."""
        stage = self.start(overlap_ms=200, change=self.both_sides)
        variants = Variants(stage, 2 if COUNT < 100 else 8)
        load = Load(stage)
        self.addCleanup(load.stop)
        course, brokers = Course(stage, load, self.table), ("brokers", str(stage.directory / "ca" / BUNDLE))
        for turn in range(COUNT):
            mark = stage.mark()
            variants.put(turn, lists=(*LISTS, BUNDLE))
            for of, name in (*(("identity", name) for name in IDENTITIES), ("listener", "secure"), ("clients", "secure"),
                             brokers):
                self.in_use(stage, mark, of, name, 60)
            if turn % 5 == 0:
                load.further(f"after rotation {turn}")
            course.look()
            if (turn + 1) % STEP == 0:
                print("    " + ", ".join(f"{name} {value}" for name, value in course.row().items()), flush=True)
                self.assertEqual(load.errors(), [])
        mark = stage.mark()
        variants.put(COUNT, [], lists=[BUNDLE])  # that file alone, the other way round
        for of, name in (("clients", "secure"), brokers):
            self.in_use(stage, mark, of, name, 60)
        load.further("at the end")
        told = load.check(self)
        closes, end = stage.told_closes(), course.row()
        self.assertFalse({"identity_changed", "drain_timeout", "broker_distrusted", "stopped"} & set(closes), closes)
        self.assertGreater(end["asked_to_reconnect"], 0)
        self.assertLessEqual(end["connections"], len(load.writers) + end["asked_to_reconnect"], "nobody else came back")
        self.assertEqual((end["refused_logins"], stage.status()["rotations_refused"]), (0, 0))
        print(f"    {COUNT} rotations: {told}; {end['asked_to_reconnect']} asked to reconnect, {end['cut_in_login']} of "
              f"them in the login; {self.assert_flat(course)}", flush=True)

    def assert_flat(self, course: Course) -> str:
        """AddressSanitizer keeps what was freed, and a few rotations say nothing: then it is only told."""
        early, middle, last = (course.tenth_kb(number) for number in (2, 5, 10))
        told = f"resident {early} kB in the second tenth, {middle} kB in the fifth, {last} kB in the last"
        if b"__asan_init" in self.program().read_bytes() or COUNT < JUDGED:
            return told + " (not judged)"
        self.assertLess(last - middle, GROWTH_KB, told)
        return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="rotations of every certificate and list")
    parser.add_argument("--csv", type=pathlib.Path, help="a row every %d rotations goes into this file" % STEP)
    options = parser.parse_args()
    global COUNT
    COUNT, UnderLoad.table = options.count, options.csv
    suite = unittest.TestSuite([UnderLoad("test_everything_rotates_under_load")])
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
