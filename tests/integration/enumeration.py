# SPDX-License-Identifier: Apache-2.0
"""Can a stranger find out who exists? Logins that must fail, of every kind, at random; what they see, to the byte and
the microsecond.

    python3 -m tests.integration.enumeration [--count 1000] [--delay 200] [--delay 0] [--rate 200] [--alone]

The measurement is laid down here, before it is made:

- Classes, interleaved at random, all names six letters long: a user who does not exist, a wrong password, a right one
  of somebody who is mapped to nothing, or to a certificate that has expired, or who may not use that mechanism; for
  bearer tokens a forged signature, an expired one, another audience, and believed ones of the latter three. With
  Kerberos, whoever has a ticket for Setu gets two answers before the refusal, so there are two groups: tickets that are
  none (broken, for another service, no token at all), and good ones of somebody who is mapped to nothing, whom no rule
  names, who wants to be somebody else, and of the latter two. Each login comes from an address of its own, so that
  nobody is delayed for what others did; a name that is guessed at is delayed, known or not, so each class of guesses
  has one name.
- Measured from before the request is sent to when the kernel has its answer (SO_TIMESTAMPNS): SCRAM's challenge, the
  refusal (bearer tokens: the error object, and the refusal; tickets: the server's token, its layers, and the refusal),
  and how long after it the connection ends; with SaslHandshake v0 the end is the refusal. Denials carry whole
  milliseconds of jitter: they are compared as they are, and their microseconds alone.
- Bytes have to be equal, all but SCRAM's nonces and salts and the layers, made with a ticket's session key, which have
  to be equally long, and the server's token to that key.
- Each class is compared with `wrong` (`forged`; `broken`, `unmapped`) by Kolmogorov-Smirnov and by Mann-Whitney. The
  verdict `the same`: no p below 0.01 after Holm's correction over all comparisons of the run, and no two medians (of
  microseconds) 50 us or more apart.
- Controls: another class of the same wrong password must be the same; one for which the client waits 200 us longer must
  be seen, and so must one byte more.
"""

import argparse
import bisect
import collections
import contextlib
import copy
import dataclasses
import datetime
import math
import pathlib
import random
import re
import selectors
import socket
import statistics
import struct
import sys
import tempfile
import time

from tests.integration import gssapi
from tests.integration import kafka_client as kafka
from tests.integration.stage import ITERATIONS, SALT, Stage, release_program
from tests.rig import kdc, scram, tokens
from tests.rig.config_file import private_file, yaml

SO_TIMESTAMPNS = 35
ALPHA, MEDIANS_APART_US, ADDED_US = 0.01, 50, 200
GHOSTS = tuple(f"ghost{i}" for i in range(6))
RIGHT = {name: f"{name}-secret" for name in ("orders", "nobody", "tardy1", "narrow", "single")}
LIMITED = {"narrow": "SCRAM-SHA-512", "single": "SCRAM-SHA-256"}  # who may use no other mechanism
LIFE_S = 8


# --- statistics: two samples each; the p of "they are of one distribution" ---

def kolmogorov_smirnov(a: list[float], b: list[float]) -> float:
    a, b = sorted(a), sorted(b)
    distance = max(abs(bisect.bisect_right(a, x) / len(a) - bisect.bisect_right(b, x) / len(b)) for x in {*a, *b})
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.3:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101)))


def mann_whitney(a: list[float], b: list[float]) -> float:
    both = sorted([*a, *b])
    ranks, ties, at = {}, 0, 0
    while at < len(both):
        end = bisect.bisect_right(both, both[at])
        ranks[both[at]] = (at + end + 1) / 2
        ties += (end - at) ** 3 - (end - at)
        at = end
    n, m = len(a), len(b)
    u = sum(ranks[x] for x in a) - n * (n + 1) / 2
    spread = math.sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
    return math.erfc(max(0.0, abs(u - n * m / 2) - 0.5) / spread / math.sqrt(2)) if spread > 0 else 1.0


def holm(ps: list[float]) -> list[float]:
    """Adjusted, in the same order."""
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted


# --- what is said ---

@dataclasses.dataclass(frozen=True)
class Case:
    mechanism: str
    version: int  # of SaslHandshake
    kind: str     # the class

    @property
    def where(self) -> str:
        """Of what it can be compared with."""
        group = {True: " ticket", False: " name"}[self.kind in Cast.TICKET_KINDS] if self.mechanism == "GSSAPI" else ""
        return f"{self.mechanism}{group} v{self.version}"

    @property
    def answers(self) -> list[str]:
        """What is measured, handshake aside; without SaslAuthenticate the last does not come."""
        if self.mechanism == "GSSAPI":
            return ["refusal"] if self.kind in Cast.TICKET_KINDS else ["token", "layers", "refusal"]
        told = {"PLAIN": ["refusal"], "OAUTHBEARER": ["error object", "refusal"]}
        return told.get(self.mechanism, ["challenge", "refusal"])

    def __str__(self) -> str:
        return f"{self.mechanism} v{self.version} {self.kind}"


class Cast:
    """Who plays in which class: names, passwords, tokens."""

    PASSWORD_KINDS = ("wrong", "unknown", "unmapped", "mechanism", "expired")
    TOKEN_KINDS = ("forged", "stale", "audience", "unmapped", "mechanism", "expired")
    TICKET_KINDS = ("broken", "service", "no token")
    NAME_KINDS = ("unmapped", "unnamed", "authzid", "mechanism", "expired")
    CONTROLS = ("wrong again", "wrong, 200 us later")
    TICKETS = {"unmapped": "nobody", "unnamed": "single/narrow", "mechanism": "narrow", "expired": "tardy1"}

    def __init__(self, issuer: tokens.Issuer, kerberos: kdc.Kdc):
        self.caches = {name: kerberos.kinit(name, "1h") for name in ("orders", *self.TICKETS.values())}
        head, body, signature = issuer.token("orders").split(".")
        forged = ("A" if signature[40] != "A" else "B").join((signature[:40], signature[41:]))
        self.tokens = {
            "forged": f"{head}.{body}.{forged}", "stale": issuer.token("orders", -60),
            "audience": issuer.token("orders", aud="other"), "unmapped": issuer.token("nobody"),
            "mechanism": issuer.token("narrow"), "expired": issuer.token("tardy1"),
        }

    def user(self, case: Case) -> tuple[str, str]:
        if case.kind == "unknown":
            return GHOSTS[0], "orders-secret"
        if case.kind.startswith("wrong"):
            return "orders", "wrongs-secret"
        name = {"unmapped": "nobody", "expired": "tardy1",
                "mechanism": "single" if case.mechanism == "SCRAM-SHA-512" else "narrow"}[case.kind]
        return name, RIGHT[name]

    def shows(self, case: Case, put, take):
        """By Kerberos. A ticket is made for each login: one that was seen before is refused for that."""
        context = gssapi.Context(self.caches[self.TICKETS.get(case.kind, "orders")],
                                 kdc.BROKER_SERVICE if case.kind == "service" else kdc.SETU_SERVICE)
        token = context.step(b"")
        if case.kind == "broken":
            token = token[:-20] + bytes(byte ^ 0x55 for byte in token[-20:])
        elif case.kind == "no token":
            token = random.randbytes(len(token))
        answer = take((yield put(token)))
        if case.kind in self.TICKET_KINDS:
            return
        layers = context.unwrap(take((yield put(context.step(answer)))))
        assert layers[0] == gssapi.NONE
        wanted = b"payments" if case.kind == "authzid" else b""
        yield put(context.wrap(bytes([gssapi.NONE, 0, 0, 0]) + wanted))

    def says(self, case: Case):
        """A generator: gives the client's requests, is sent the payloads of the answers."""
        yield kafka.request(kafka.HANDSHAKE, case.version, kafka.handshake_body(case.mechanism))

        def put(token: bytes) -> bytes:
            return (kafka.request(kafka.AUTHENTICATE, 1, kafka.authenticate_body(token)) if case.version
                    else kafka.frame(token))

        def take(payload: bytes) -> bytes:
            if not case.version:
                return payload
            answer = kafka.Answer(payload[4:])
            error, _ = answer.take("h"), answer.text()
            return answer.bytes() if error == 0 else b""

        if case.mechanism == "GSSAPI":
            yield from self.shows(case, put, take)
        elif case.mechanism == "OAUTHBEARER":
            yield put(f"n,,\x01auth=Bearer {self.tokens[case.kind]}\x01\x01".encode())
            yield put(b"\x01")
        elif case.mechanism == "PLAIN":
            user, password = self.user(case)
            yield put(f"\0{user}\0{password}".encode())
        else:
            talk = kafka.Scram(case.mechanism, *self.user(case))
            yield put(talk.final(take((yield put(talk.first())))))


def cases(controls: bool) -> list[Case]:
    kinds = dict.fromkeys(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), Cast.PASSWORD_KINDS)
    kinds |= {"OAUTHBEARER": Cast.TOKEN_KINDS, "GSSAPI": Cast.TICKET_KINDS + Cast.NAME_KINDS}
    found = [Case(mechanism, version, kind) for mechanism in kinds for version in (1, 0) for kind in kinds[mechanism]]
    return found + [Case("PLAIN", 1, kind) for kind in Cast.CONTROLS] if controls else found


# --- logins ---

def some_address() -> str:
    return f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"


class Login:
    """One connection, from an address of its own unless told otherwise; `talk` gives requests and is sent payloads. `took` and
    `heard`: ns and payload for each answer, `end_ns`: from the last request or answer to the end, `ending`: how that came."""

    def __init__(self, talk, port: int, case: Case | None = None, address: str | None = None, stays: bool = True):
        self.case, self.talk, self.received, self.stays = case, talk, b"", stays
        self.began_ns = time.time_ns()
        self.took, self.heard, self.end_ns, self.ending = [], [], 0, None
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((address or some_address(), 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.say(next(self.talk))

    def say(self, data: bytes) -> None:
        self.since_ns = self.sent_ns = time.time_ns()
        if self.case and self.case.kind == Cast.CONTROLS[1]:
            while time.time_ns() < self.sent_ns + ADDED_US * 1000:
                pass
        self.socket.send(data)

    def hear(self) -> bool:
        """False: it has ended."""
        now_ns = time.time_ns()
        try:
            data, told, _, _ = self.socket.recvmsg(65536, 64)
        except BlockingIOError:
            return True
        except ConnectionError:
            data, told = None, []
        if not data:
            self.end_ns, self.ending = now_ns - self.since_ns, "end" if data == b"" else "reset"
            return False
        for level, kind, stamp in told:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, ns = struct.unpack("qq", stamp)
                now_ns = seconds * 1000000000 + ns
        self.received += data
        while len(self.received) >= 4 and len(self.received) >= 4 + struct.unpack(">i", self.received[:4])[0]:
            length = struct.unpack(">i", self.received[:4])[0]
            payload, self.received = self.received[4:4 + length], self.received[4 + length:]
            self.took.append(now_ns - self.sent_ns)
            self.heard.append(payload)
            self.since_ns = now_ns
            try:
                self.say(self.talk.send(payload))
            except StopIteration:
                if not self.stays:
                    self.ending = "left"
                    return False
        return True

    def bytes(self) -> tuple:
        """All that it heard, and how it ended, with what must differ blanked."""
        heard = list(self.heard)
        if self.case.where.startswith("GSSAPI name"):  # of a session key; the first is DER, with a time and a number in it
            heard[1:3] = [b"token"] * len(heard[1:2]) + [b"%d bytes" % len(layers) for layers in heard[2:3]]
        return (*(re.sub(rb"r=([^,]*),s=([^,]*),i=(\d+)",
                         lambda m: b"r=%d,s=%d,i=%s" % (len(m[1]), len(m[2]), m[3]), payload)
                  for payload in heard), self.ending)


def run(cast: Cast, port: int, wanted: list[Case], rate: float, alone: bool = False) -> list[Login]:
    """All of them in a random order, `rate` begun each second."""
    order = random.sample(wanted, len(wanted))
    return run_all([lambda case=case: Login(cast.says(case), port, case) for case in order], rate, alone=alone)


def run_all(order: list, rate: float, limit_s: float = 60, alone: bool = False) -> list[Login]:
    """Calls each for a Login, `rate` a second, or one when the last has ended; gives them when all have."""
    done, selector, began = [], selectors.DefaultSelector(), time.monotonic()
    started = 0
    last = began
    with selector:
        while started < len(order) or selector.get_map():
            now = time.monotonic()
            if started < len(order) and now >= began + started / rate and not (alone and selector.get_map()):
                login = order[started]()
                started += 1
                selector.register(login.socket, selectors.EVENT_READ, login)
            due = 1.0 if started == len(order) or alone and selector.get_map() else began + started / rate - time.monotonic()
            for key, _ in selector.select(max(0.0, due)):
                login, last = key.data, time.monotonic()
                if not login.hear():
                    selector.unregister(login.socket)
                    login.socket.close()
                    done.append(login)
            if started == len(order) and time.monotonic() - last > limit_s:
                raise TimeoutError(f"{len(selector.get_map())} logins do not end")
    return done


# --- the stage ---

@contextlib.contextmanager
def realm():
    """A KDC with all who play."""
    with tempfile.TemporaryDirectory(prefix="setu-kdc-") as directory, \
            kdc.Kdc(pathlib.Path(directory) / "kdc", ("orders", *Cast.TICKETS.values())) as started:
        yield started


def stage(program, delay_ms: int, kerberos: kdc.Kdc) -> tuple[Stage, Cast]:
    """Not started. Who is to have an expired certificate has one LIFE_S from now."""
    made = Stage(program, wrap=["env", *(f"{name}={value}" for name, value in kerberos.env.items())],
                 limits={"login_failure_delay_ms": delay_ms})
    rows = []
    for name, password in RIGHT.items():
        row = {"name": name} | {mechanism.lower(): scram.record(mechanism, password, SALT, ITERATIONS)
                                for mechanism in scram.HASHES}
        rows.append(row | ({"mechanisms": [LIMITED[name]]} if name in LIMITED else {}))
    rows.append({"name": "payments"} | {mechanism.lower(): scram.record(mechanism, "payments-secret", SALT, ITERATIONS)
                                        for mechanism in scram.HASHES})
    private_file(made.directory / "users.yaml", yaml({"users": rows}) + "\n")
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=LIFE_S)
    short = made.authority.issue("tardy1", ends=ends)
    made.config["certificates"].append({"name": "tardy1", "chain": short.chain, "key": short.key})
    made.config["mapping"].append({"principal": "tardy1", "certificate": "tardy1"})
    made.config["mapping"] += [{"principal": name, "certificate": "orders"} for name in LIMITED]
    made.ends = ends
    issuer = tokens.Issuer(made.directory / "issuer")
    made.config["oauth"] = {"jwks_file": issuer.jwks, "issuer": issuer.name, "audience": tokens.AUDIENCE}
    for listener in made.config["listeners"]:
        listener["mechanisms"] += ["OAUTHBEARER", "GSSAPI"]
        listener["gssapi"] = {"keytab": kerberos.keytab(f"{kdc.SETU_SERVICE}/{kdc.HOST}"),
                              "principal_to_local_rules": ["RULE:[1:$1]"]}
    return made, Cast(issuer, kerberos)


def wait_for_expiry(made: Stage) -> None:
    time.sleep(max(0.0, (made.ends - datetime.datetime.now(datetime.timezone.utc)).total_seconds() + 1.1))


# --- the verdict ---

@dataclasses.dataclass
class Comparison:
    what: str
    kind: str
    count: int
    median_us: float
    apart_us: float
    ps: list[float]
    control: bool
    micro: bool


def samples(done: list[Login]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """(mechanism and version, what was measured) → class → µs."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for login in done:
        case, times = login.case, [ns / 1000 for ns in login.took[1:]]
        rows = dict(zip(case.answers, times))
        rows["end behind it" if case.version else "end"] = login.end_ns / 1000
        for name, us in rows.items():
            found[case.where, name][case.kind].append(us)
    return found


def compare(done: list[Login]) -> list[Comparison]:
    found = []
    for (where, name), kinds in sorted(samples(done).items()):
        reference = next(kind for kind in ("forged", "wrong", "broken", "unmapped") if kind in kinds)
        late = statistics.median(kinds[reference]) > 2000
        for micro in (False, True) if late else (True,):
            def seen(kind: str, micro=micro, late=late, kinds=kinds) -> list[float]:
                return [us % 1000 for us in kinds[kind]] if micro and late else kinds[kind]
            base = seen(reference)
            for kind in kinds:
                if kind != reference:
                    other = seen(kind)
                    found.append(Comparison(
                        f"{where} {name}{', us alone' if micro and late else ''}", kind, len(other),
                        statistics.median(other), statistics.median(other) - statistics.median(base),
                        [kolmogorov_smirnov(base, other), mann_whitney(base, other)], kind == Cast.CONTROLS[1], micro))
    return found


def bytes_differ(done: list[Login]) -> list[str]:
    """Classes of one mechanism and version that heard something else."""
    heard = collections.defaultdict(lambda: collections.defaultdict(set))
    for login in done:
        heard[login.case.where][login.bytes()].add(login.case.kind)
    return [f"{where}: {sorted(kinds)} heard {what}" for where, all_of_it in heard.items() if len(all_of_it) > 1
            for what, kinds in all_of_it.items()]


def sees_one_byte(done: list[Login]) -> bool:
    more = copy.copy(done[0])
    more.heard = [*more.heard[:-1], more.heard[-1] + b"\0"]
    return bool(bytes_differ([done[0], more]))


def judge(found: list[Comparison]) -> tuple[list[str], list[float]]:
    """What is wrong, and the adjusted p of each real comparison (the lower of its two)."""
    real = [row for row in found if not row.control]
    adjusted = holm([p for row in real for p in row.ps])
    lowest = [min(adjusted[2 * i:2 * i + 2]) for i in range(len(real))]
    wrong = [f"{row.what}: {row.kind} differs, p = {p:.2g}" for row, p in zip(real, lowest) if p < ALPHA]
    wrong += [f"{row.what}: {row.kind} is {row.apart_us:+.0f} us away" for row in real
              if row.micro and abs(row.apart_us) >= MEDIANS_APART_US]
    wrong += [f"the control is not seen: {row.what}: {row.kind}, p = {min(row.ps):.2g}" for row in found
              if row.control and row.micro and "refusal" in row.what and min(row.ps) * len(adjusted) >= ALPHA]
    return wrong, lowest


def show(found: list[Comparison], lowest: list[float], markdown: bool) -> None:
    left = iter(lowest)
    rows = [("measured", "class", "n", "median us", "apart us", "KS p", "MW p", "Holm p")]
    for row in found:
        rows.append((row.what, row.kind, str(row.count), f"{row.median_us:.0f}", f"{row.apart_us:+.1f}",
                     f"{row.ps[0]:.2g}", f"{row.ps[1]:.2g}", "control" if row.control else f"{next(left):.2g}"))
    if markdown:
        rows.insert(1, ("---",) * 8)
    widths = [max(len(row[i]) for row in rows) for i in range(8)]
    for row in rows:
        print("| " + " | ".join(row) + " |" if markdown else "  ".join(cell.ljust(w) for cell, w in zip(row, widths)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.integration.enumeration", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="logins of each class (default: 1000)")
    parser.add_argument("--delay", type=int, action="append", metavar="MS",
                        help="login_failure_delay_ms, may be given again (default: 200, as shipped, then 0)")
    parser.add_argument("--rate", type=float, default=200, help="logins begun a second (default: 200)")
    parser.add_argument("--alone", action="store_true", help="one login at a time: then nothing else wakes Setu up")
    parser.add_argument("--only", action="append",
                        help="only this mechanism, may be given again; PLAIN has the controls")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    options = parser.parse_args()
    wrong = []
    for delay_ms in options.delay or [200, 0]:
        with contextlib.ExitStack() as stack:
            made, cast = stage(release_program(), delay_ms, stack.enter_context(realm()))
            stack.enter_context(contextlib.closing(made.start()))
            wait_for_expiry(made)
            wanted = [case for case in cases(True) if case.mechanism in (options.only or [case.mechanism])]
            run(cast, made.port, wanted * 3, options.rate)  # all has been touched once, and salts are known
            began = time.monotonic()
            done = run(cast, made.port, wanted * options.count, options.rate, options.alone)
        found = compare(done)
        complaints, lowest = judge(found)
        complaints += bytes_differ(done) + ([] if sees_one_byte(done) else ["the control is not seen: one byte"])
        print(f"\nlogin_failure_delay_ms {delay_ms}: {len(done)} logins in {time.monotonic() - began:.0f} s, "
              f"{2 * len(lowest)} comparisons, the lowest p after Holm {min(lowest):.2g}; "
              f"{'the same' if not complaints else f'{len(complaints)} DIFFERENCES'}\n")
        show(found, lowest, options.markdown)
        print(*(f"! {text}" for text in complaints), sep="\n")
        wrong += complaints
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
