# SPDX-License-Identifier: Apache-2.0
"""Holds api.def and the schema tables against Apache Kafka's own message definitions.

    kafka_schema.py --dump PROGRAM --check PROGRAM [--messages N] [--seed N] [JAR or DIRECTORY]...

The jars of kafka-clients carry the definitions (common/message/*.json), each for the versions its release has; together
they have every version Setu has. Without a name the jars are looked for in $SETU_CACHE. Compared are keys, names,
version ranges, flexible versions, and of each walked message names, order, types, nulls and tags in every version.
Then messages of every version are made at random and run through the walkers: identity, rewriting, truncation.

Exit status 0 when all agree, 1 when not, 77 when there are no jars.
"""
import argparse
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import zipfile

FOREVER = 32767

# Ranges Setu keeps narrower than Kafka, key: (min, max), each for the reason given in api.def.
CAPPED = {18: (0, 4), 55: (0, 1), 76: (1, None), 77: (1, None), 78: (1, None), 79: (1, None)}
# Names that changed with a release: key: old names.
RENAMED = {56: {"AlterIsr"}, 74: {"ListClientMetricsResources"}}

# Fields of messages clients may use that sound like an address and are left alone.
ALONE = {
    "ClientHost": "how the broker sees the client",
    "HostFilter": "an ACL's host",
    "UserEndpoint": "addresses of the applications of Kafka Streams, not of brokers",
    "EndpointInformationEpoch": "a counter",
    "CreateAclsRequest": "an ACL's host",
    "DescribeAcls": "an ACL's host",
    "DeleteAcls": "an ACL's host",
    "DescribeClusterRequest.EndpointType": "asks for brokers or controllers",
}
ADDRESS_WORDS = {"Host", "Hosts", "Hostname", "Port", "Ports", "Listener", "Listeners", "Endpoint", "Endpoints",
                 "Address", "Addresses"}


# ---- Kafka's definitions ----

def span(text: str | None) -> tuple[int, int]:
    """ "3+" or "0-12" or "7" or "none" as [since, past). """
    if text is None or text == "none":
        return 0, 0
    if text.endswith("+"):
        return int(text[:-1]), FOREVER
    first, _, last = text.partition("-")
    return int(first), int(last or first) + 1


def inside(version: int, versions: tuple[int, int]) -> bool:
    return versions[0] <= version < versions[1]


class Field:
    """One field of a definition; structs keep their fields in `fields`."""

    def __init__(self, raw: dict, shared: dict):
        kind = raw["type"]
        self.name = raw["name"]
        self.array = kind.startswith("[]")
        kind = kind.removeprefix("[]")
        self.struct = kind[0].isupper()
        self.type = "struct" if self.struct else kind
        self.versions = span(raw["versions"])
        self.nullable = span(raw.get("nullableVersions"))
        self.tagged = span(raw.get("taggedVersions"))
        self.tag = raw.get("tag", -1)
        self.fields = []
        if self.struct:
            inner = raw.get("fields") or shared[kind]
            self.fields = [Field(f, shared) for f in inner]


class Message:
    def __init__(self, raw: dict, release: str):
        shared = {s["name"]: s["fields"] for s in raw.get("commonStructs", [])}
        self.release = release
        self.key = raw["apiKey"]
        self.request = raw["type"] == "request"
        self.name = raw["name"]
        self.valid = span(raw["validVersions"])
        self.flexible = span(raw.get("flexibleVersions"))
        self.fields = [Field(f, shared) for f in raw["fields"]] if self.valid != (0, 0) else []

    @property
    def api(self) -> str:
        return re.sub("(Request|Response)$", "", self.name)


def load(jar: pathlib.Path) -> list[Message]:
    release = re.search(r"kafka-clients-(.*)\.jar", jar.name)[1]
    found = []
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if not re.match(r"common/message/\w+(Request|Response)\.json$", name):
                continue
            lines = archive.read(name).decode().splitlines()
            text = "\n".join(l for l in lines if not l.lstrip().startswith("//"))
            # The first value, as Kafka's own generator reads it: one file of 2.8 has brackets left over behind it.
            raw, _ = json.JSONDecoder().raw_decode(text.lstrip())
            if "apiKey" in raw:
                found.append(Message(raw, release))
    return found


def order(release: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", release))


def find_jars(places: list[str]) -> list[pathlib.Path]:
    places = places or [os.environ.get("SETU_CACHE") or str(pathlib.Path.home() / ".cache" / "setu")]
    jars = {}
    for place in map(pathlib.Path, places):
        found = [place] if place.is_file() else place.rglob("kafka-clients-*.jar")
        jars |= {jar.name: jar for jar in found if re.fullmatch(r"kafka-clients-\d[\d.]*\.jar", jar.name)}
    return sorted(jars.values(), key=lambda jar: order(jar.name))


# ---- Comparing ----

class Findings(list):
    def add(self, where: str, what: str) -> None:
        self.append(f"{where}: {what}")


def compare_apis(apis: dict[int, dict], messages: list[Message], findings: Findings) -> None:
    newest = messages[-1].release
    seen = {}
    for m in messages:
        if m.valid == (0, 0):
            continue  # removed, its key reserved
        where = f"api.def {m.key} against {m.name} of {m.release}"
        api = apis.get(m.key)
        if api is None:
            findings.add(where, "not in the table: decide what Setu does with it")
            continue
        if m.api != api["name"] and m.api not in RENAMED.get(m.key, set()):
            findings.add(where, f"is called {m.api}, not {api['name']}")
        for version in range(*m.valid):
            if inside(version, m.flexible) != (0 <= api["flexible"] <= version):
                findings.add(where, f"v{version}: not agreed whether it is flexible")
        first, past = seen.get(m.key, m.valid)
        seen[m.key] = (min(first, m.valid[0]), max(past, m.valid[1]))
        if m.release == newest and m.key not in CAPPED and m.valid[1] - 1 != api["max"]:
            findings.add(where, f"ends at v{m.valid[1] - 1}, not v{api['max']}")
    for key, api in apis.items():
        first, past = seen.get(key, (None, None))
        if first is None:
            findings.add(f"api.def {key}", "no release has it")
            continue
        least, most = CAPPED.get(key, (None, None))
        wanted = (first if least is None else least, past - 1 if most is None else most)
        if (api["min"], api["max"]) != wanted:
            findings.add(f"api.def {key} {api['name']}",
                         f"is {api['min']}-{api['max']}, all releases together {wanted[0]}-{wanted[1]}")


def shape(fields, version: int, of_kafka: bool) -> list:
    """What is on the wire in one version: plain fields in order, then tagged ones by tag."""
    plain, tagged = [], []
    for f in fields:
        get = (lambda name, f=f: getattr(f, name)) if of_kafka else f.get
        if not inside(version, tuple(get("versions"))):
            continue
        is_tagged = inside(version, get("tagged")) if of_kafka else f["tag"] >= 0
        inner = shape(get("fields") or [], version, of_kafka)
        nullable = inside(version, tuple(get("nullable")))
        row = (get("name"), get("type"), get("array"), nullable, get("tag") if is_tagged else -1, inner)
        (tagged if is_tagged else plain).append(row)
    return plain + sorted(tagged, key=lambda row: row[4])


def nameless(rows: list) -> list:
    """Only what is on the wire: names changed with releases."""
    return [("", *row[1:5], nameless(row[5])) for row in rows]


def difference(ours: list, theirs: list, path: str) -> str:
    for mine, other in zip(ours, theirs):
        if mine[:5] != other[:5]:
            return f"{path}: {mine[:5]} here, {other[:5]} there"
        if mine[5] != other[5]:
            return difference(mine[5], other[5], f"{path}.{mine[0]}")
    return f"{path}: {len(ours)} fields here, {len(theirs)} there"


def compare_tables(tables: list[dict], messages: list[Message], findings: Findings) -> int:
    compared = 0
    for table in tables:
        missing = set(range(*table["versions"]))
        for m in messages:
            if m.name != table["message"]:
                continue
            for version in range(*m.valid):
                if not inside(version, table["versions"]):
                    continue
                missing.discard(version)
                ours, theirs = shape(table["fields"], version, False), shape(m.fields, version, True)
                if any(n.name == m.name and inside(version, n.valid) for n in messages[messages.index(m) + 1:]):
                    ours, theirs = nameless(ours), nameless(theirs)
                compared += 1
                if ours != theirs:
                    findings.add(f"schema_tables.c {m.name} v{version} against {m.release}",
                                 difference(ours, theirs, m.name))
        if missing:
            findings.add(f"schema_tables.c {table['message']}", f"no jar defines versions {sorted(missing)}")
    return compared


def leaves(rows: list, path: str):
    for name, kind, _, _, _, inner in rows:
        if kind == "struct":
            yield from leaves(inner, f"{path}.{name}")
        else:
            yield f"{path}.{name}"


def watched(fields: list[dict], path: str):
    for f in fields:
        if "fields" in f:
            yield from watched(f["fields"], f"{path}.{f['name']}")
        elif f["role"]:
            yield f"{path}.{f['name']}"


def find_addresses(apis: dict, tables: list[dict], messages: list[Message], findings: Findings) -> None:
    """No message a client may use carries an address that no table knows (law 3)."""
    known = {path for t in tables for path in watched(t["fields"], t["message"])}
    for m in messages:
        api = apis.get(m.key)
        if api is None or api["request"] == "hide":
            continue
        for version in range(max(m.valid[0], api["min"]), min(m.valid[1], api["max"] + 1)):
            for path in leaves(shape(m.fields, version, True), m.name):
                words = set(re.findall(r"[A-Z][a-z]*", path.rpartition(".")[2]))
                if words & ADDRESS_WORDS and path not in known and not any(a in path for a in ALONE):
                    findings.add(f"{m.release} v{version}", f"{path} may be an address, and no table rewrites it")


# ---- Making messages ----

class Maker:
    """Writes one random message twice: as a broker would say it, and as a client should hear it."""

    def __init__(self, chance: random.Random, message: Message, version: int):
        self.chance, self.message, self.version = chance, message, version
        self.flexible = inside(version, message.flexible)
        self.addresses = 0
        self.forbidden = False
        self.replica_id = -1

    def payload(self) -> tuple[bytes, bytes]:
        head = b""
        if self.message.request:
            head = struct.pack(">hh", self.message.key, self.version)
        head += struct.pack(">i", self.chance.getrandbits(31))
        if self.message.request:
            client = self.chance.choice([None, b"", b"client-1"])
            head += struct.pack(">h", -1 if client is None else len(client)) + (client or b"")
        if self.flexible:
            head += self.tags([], 0)[0]
        said, heard = self.fields(self.message.fields)
        return head + said, head + heard

    @staticmethod
    def uvarint(n: int) -> bytes:
        out = b""
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n])

    def length(self, n: int, wide: bool) -> bytes:
        if self.flexible:
            return self.uvarint(n + 1)
        return struct.pack(">i" if wide else ">h", n)

    def tags(self, known: list[tuple[int, bytes, bytes]], after: int) -> tuple[bytes, bytes]:
        """A tagged section: the known ones given, and some that nobody knows."""
        rows = list(known)
        for _ in range(self.chance.choice([0, 0, 0, 1, 2])):
            after += self.chance.choice([1, 1, 50, 200, 5000])
            content = self.chance.randbytes(self.chance.choice([0, 1, 5, 150]))
            rows.append((after, content, content))
        said = heard = self.uvarint(len(rows))
        for tag, one, other in rows:
            said += self.uvarint(tag) + self.uvarint(len(one)) + one
            heard += self.uvarint(tag) + self.uvarint(len(other)) + other
        return said, heard

    def fields(self, fields: list[Field]) -> tuple[bytes, bytes]:
        here = [f for f in fields if inside(self.version, f.versions)]
        fixed = self.address(here)
        said = heard = b""
        known, highest = [], -1
        for f in here:
            if not inside(self.version, f.tagged):
                one, other = fixed.get(f.name) or self.value(f)
                said, heard = said + one, heard + other
        for f in sorted((f for f in here if inside(self.version, f.tagged)), key=lambda f: f.tag):
            highest = f.tag
            if self.chance.random() < 0.6:
                known.append((f.tag, *self.value(f)))
        if self.flexible:
            one, other = self.tags(known, highest)
            said, heard = said + one, heard + other
        return said, heard

    def address(self, here: list[Field]) -> dict[str, tuple[bytes, bytes]]:
        """When these fields are an address: its node id, host and port, before and after."""
        names = [f.name for f in here]
        if self.message.request or "Host" not in names or "Port" not in names:
            return {}
        node = self.chance.choice([0, 1, 7, 2**31 - 1, self.chance.getrandbits(16)])
        host = self.chance.choice([b"broker-%d.example" % node, b"", b"::1", b"h" * 130, b"\xc3\xb6"])
        port = self.chance.choice([9092, 65535, 0, -1, 2**31 - 1])
        if self.message.key == 10 and self.chance.random() < 0.2:
            node, host, port = -1, b"", -1
        node_name = "BrokerId" if "BrokerId" in names else "NodeId"
        packed = struct.pack(">i", node)
        said = self.length(len(host), False) + host, struct.pack(">i", port)
        heard = said
        if node >= 0 or host:
            self.addresses += 1
            new = b"setu-%d.example" % node
            heard = self.length(len(new), False) + new, struct.pack(">I", (port + 1) & 0xffffffff)
        return {node_name: (packed, packed), "Host": (said[0], heard[0]), "Port": (said[1], heard[1])}

    def value(self, f: Field) -> tuple[bytes, bytes]:
        may_be_null = inside(self.version, f.nullable)
        if f.array:
            if may_be_null and self.chance.random() < 0.2:
                return (self.length(-1, True),) * 2
            count = self.chance.choice([0, 1, 1, 2, 3])
            items = [self.item(f) for _ in range(count)]
            head = self.length(count, True)
            return head + b"".join(i[0] for i in items), head + b"".join(i[1] for i in items)
        if may_be_null and self.chance.random() < 0.3:
            return (self.length(-1, f.type != "string"),) * 2
        return self.item(f)

    def item(self, f: Field) -> tuple[bytes, bytes]:
        if f.struct:
            return self.fields(f.fields)
        return (self.plain(f),) * 2

    def plain(self, f: Field) -> bytes:
        if f.type in ("string", "bytes", "records"):
            n = self.chance.choice([0, 1, 3, 10, 130] if f.type == "string" else [0, 1, 16, 17, 61, 200])
            return self.length(n, f.type != "string") + self.chance.randbytes(n)
        if f.type == "uuid":
            return self.chance.randbytes(16)
        if f.type == "bool":
            return self.chance.choice([b"\0", b"\1"])
        if f.name == "EndpointType":
            kind = self.chance.choice([1, 1, 1, 1, 2])
            self.forbidden |= kind != 1
            return bytes([kind])
        if f.name == "ReplicaId":
            self.replica_id = self.chance.choice([-1, -2, 0, 5, 2**31 - 1])
            return struct.pack(">i", self.replica_id)
        bits = int(f.type.removeprefix("u").removeprefix("int"))
        return self.chance.choice([b"\0" * (bits // 8), b"\xff" * (bits // 8), self.chance.randbytes(bits // 8)])


def make_case(maker: Maker, api: dict, has_host: bool) -> str:
    said, heard = maker.payload()
    start = f"{maker.message.key} {maker.version} {said.hex()}"
    if maker.message.request:
        return f"request {start} {maker.replica_id if api['request'] == 'inspect' else '-'}"
    if maker.forbidden:
        return f"forbidden {start}"
    return f"response {start} {heard.hex() if has_host else '-'} {maker.addresses}"


def make_cases(apis: dict, tables: list[dict], messages: list[Message], per_version: int, seed: int) -> list[str]:
    cases = []
    for table in tables:
        for version in range(*table["versions"]):
            defined = [m for m in messages if m.name == table["message"] and inside(version, m.valid)]
            if not defined:
                continue
            hosts = any(p.endswith(".Host") for p in leaves(shape(defined[-1].fields, version, True), ""))
            chance = random.Random(f"{seed} {table['message']} {version}")
            for _ in range(per_version):
                cases.append(make_case(Maker(chance, defined[-1], version), apis[table["key"]], hosts))
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", required=True, help="the program schema_dump")
    parser.add_argument("--check", required=True, help="the program schema_check")
    parser.add_argument("--messages", type=int, default=15, help="made of each version")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", help="write the messages made to this file, too")
    parser.add_argument("jars", nargs="*", help="jars of kafka-clients, or directories with some")
    args = parser.parse_args()

    jars = find_jars(args.jars)
    if not jars:
        print("no jars of kafka-clients")
        return 77
    messages = [m for jar in jars for m in load(jar)]
    dumped = subprocess.run([args.dump], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [json.loads(line) for line in dumped]
    apis = {row["api"]: row for row in rows if "api" in row}
    tables = [row for row in rows if "message" in row]

    findings = Findings()
    compare_apis(apis, messages, findings)
    compared = compare_tables(tables, messages, findings)
    find_addresses(apis, tables, messages, findings)
    for line in findings:
        print(line)
    print(f"{len(jars)} releases, {len(apis)} keys, {len(tables)} tables, {compared} versions compared, "
          f"{len(findings)} differences")

    cases = "\n".join(make_cases(apis, tables, messages, args.messages, args.seed)) + "\n"
    if args.cases:
        pathlib.Path(args.cases).write_text(cases)
    checked = subprocess.run([args.check], input=cases, text=True, capture_output=True, check=False)
    print(checked.stdout[-4000:] + checked.stderr[-4000:], end="")
    return 1 if findings or checked.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
