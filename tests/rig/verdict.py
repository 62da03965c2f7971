# SPDX-License-Identifier: Apache-2.0
"""What the rehearsal has shown: the counts of every reading, what became of the clients, whether all of it holds."""

import dataclasses

from tests.rig.census import IDEMPOTENT, PLAIN, TRANSACTIONAL, Count

WORDS = ("lost", "duplicated", "altered", "reordered", "in_doubt")
DAMAGE = {"lose": "lost", "duplicate": "duplicated", "alter": "altered"}  # option → what it must be called


@dataclasses.dataclass
class Reading:
    """One reader's records, counted. `way` is how they were read, in words."""
    name: str
    way: str
    count: Count


@dataclasses.dataclass
class Planted:
    """A batch that was damaged on purpose."""
    damage: str
    topic: str
    partition: int
    offset: int
    records: int

    @property
    def word(self) -> str:
        return DAMAGE[self.damage]

    def report(self) -> dict:
        return dataclasses.asdict(self) | {"kind": self.word}


def independent(readings: list[Reading]) -> dict:
    """The first reading is the one that counts; the others must have found the same or nothing."""
    count = readings[0].count
    return {word: getattr(count, word) for word in WORDS} | {
        "duplicated_plain": count.duplicated_plain, "reordered_plain": count.reordered_plain, "read": count.read,
        "readings": [{"reader": r.name, "way": r.way} | r.count.report() for r in readings]}


FAULTS = ("lost", "duplicated", "altered", "reordered")  # what both ledger and count know by these names


def by(ledger: dict | None, count: Count) -> dict:
    """The verdict, and who gives it."""
    if ledger:
        return {"verdict": {word: ledger[word] for word in WORDS},
                "verdict_by": "batches, by the ledger that Setu wrote; the records were counted independently of it"}
    return {"verdict": {word: getattr(count, word) for word in WORDS},
            "verdict_by": "records, by an independent count of their contents"}


def agree(ledger: dict, count: Count) -> bool:
    """The ledger counts batches, we count records: both must see a fault, or neither."""
    return all(bool(ledger[word]) == bool(getattr(count, word)) for word in FAULTS)


def named_by_ledger(planted: Planted, ledger: dict) -> bool:
    """Does the ledger name the batch that was damaged, what happened to it, and nothing else?"""
    rows = [row for row in ledger["findings"] if row["kind"] in FAULTS]
    return len(rows) == 1 == sum(ledger[word] for word in FAULTS) and rows[0]["kind"] == planted.word and \
        (rows[0]["topic"], rows[0]["partition"]) == (planted.topic, planted.partition) and \
        planted.offset in (rows[0]["offset"], rows[0].get("other_offset"))


def ledger_problems(ledger: dict, count: Count, planted: Planted | None = None) -> list[str]:
    found = [f"ledger: {ledger[word]} batches {word}" for word in FAULTS if ledger[word]]
    if not ledger["complete"]:
        found.append(f"the ledger is incomplete: {ledger['incomplete']}")
    if not agree(ledger, count):
        found.append("the ledger and the count of record contents do not agree")
    if planted and not named_by_ledger(planted, ledger):
        found.append(f"the ledger does not name the damage done on purpose ({planted.word})")
    return found


def named(planted: Planted, readings: list[Reading]) -> bool:
    """Did the reading that counts find what was planted, as many records as there were, and nothing else?"""
    count = readings[0].count
    return getattr(count, planted.word) == planted.records and \
        all(not getattr(count, fault) for fault in Count.FAULTS if fault != planted.word)


def problems(steps: list[dict], readings: list[Reading], clients: list[dict],
             planted: Planted | None = None) -> list[str]:
    """Why it does not hold, in words; nothing when it does. A planted damage is a problem like any other."""
    found = [f"step failed: {step['name']}" for step in steps if not step["ok"]]
    for reading in readings:
        count = reading.count
        found += [f"{reading.name}: {getattr(count, fault)} {fault.replace('_', ' ')}" for fault in Count.FAULTS
                  if getattr(count, fault)]
    for client in clients:
        if not client["stayed_up"]:
            found.append(f"{client['name']} did not stay up: {'; '.join(client.get('fatal', [])) or 'it ended'}")
        if client.get("errors"):
            found.append(f"{client['name']} was told of {client['errors']} records that it could not write them")
    if planted and readings and not named(planted, readings):
        found.append(f"the damage done on purpose ({planted.word}) was not found as what it is")
    return found


def table(readings: list[Reading], clients: list[dict]) -> list[str]:
    """For people: a row a reading and a row a client."""
    lines = [f"{'read by':<20} {'records':>9} {'lost':>5} {'dupl.':>5} {'alt.':>5} {'reord.':>6} {'doubt':>5}  how"]
    for r in readings:
        c = r.count
        lines.append(f"{r.name:<20} {c.read:>9,} {c.lost:>5} {c.duplicated:>5} {c.altered:>5} {c.reordered:>6} "
                     f"{c.in_doubt:>5}  {r.way}")
    lines += ["", f"{'client':<26} {'kind':<13} {'of':<12} {'records':>9} {'errors':>6} {'longest pause':>13}  "
                  "stayed up"]
    for c in clients:
        pause = f"{c['longest_pause_s']:.2f} s" if "longest_pause_s" in c else ""
        lines.append(f"{c['name']:<26} {c['kind']:<13} {c['client']:<12} {c.get('acknowledged', c.get('read', 0)):>9,} "
                     f"{c.get('errors', ''):>6} {pause:>13}  {'yes' if c['stayed_up'] else 'NO'}")
    return lines


def claims_text(count: Count, kinds: dict[str, int]) -> list[str]:
    """What was claimed of which kind of client."""
    return [f"{kinds[IDEMPOTENT]:,} records of idempotent and {kinds[TRANSACTIONAL]:,} of transactional clients: "
            f"{count.lost} lost, {count.duplicated} duplicated, {count.altered} altered, "
            f"{count.reordered} out of order, {count.aborted_visible} of aborted transactions visible",
            f"{kinds[PLAIN]:,} records of clients without idempotence: {count.duplicated_plain} written twice and "
            f"{count.reordered_plain} out of order by their own retries, which Kafka allows them"]
