# SPDX-License-Identifier: Apache-2.0
"""A stopped broker's log segment, and three ways in which a copy of it can go wrong that no checksum of Kafka's shows.

A segment is record batches (magic 2), one after the other: base offset, length, leader epoch, magic, CRC-32C over all
that follows it. https://kafka.apache.org/documentation/#recordbatch
"""

import dataclasses
import functools
import pathlib
import struct

HEAD_BYTES = 61
CRC_AT, CRC_FROM = 17, 21


@functools.lru_cache(maxsize=1)
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def crc32c(data: bytes) -> int:
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@dataclasses.dataclass(frozen=True)
class Batch:
    """`data` is the whole batch, `at` where it stands in the file."""
    at: int
    data: bytes

    @property
    def base_offset(self) -> int:
        return struct.unpack_from(">q", self.data)[0]

    @property
    def last_offset(self) -> int:
        return self.base_offset + struct.unpack_from(">i", self.data, 23)[0]

    @property
    def records(self) -> int:
        return struct.unpack_from(">i", self.data, 57)[0]

    @property
    def compressed(self) -> bool:
        return bool(struct.unpack_from(">h", self.data, 21)[0] & 7)


def batches(file: pathlib.Path) -> list[Batch]:
    data, at, found = file.read_bytes(), 0, []
    while at + HEAD_BYTES <= len(data):
        end = at + 12 + struct.unpack_from(">i", data, at + 8)[0]
        if end > len(data) or data[at + 16] != 2:
            break
        found.append(Batch(at, data[at:end]))
        at = end
    return found


def _middle(file: pathlib.Path) -> Batch:
    found = batches(file)
    if len(found) < 3:
        raise ValueError(f"{file}: {len(found)} batches, at least 3 are needed")
    return found[len(found) // 2]


def _forget_indexes(file: pathlib.Path) -> None:
    """The broker makes them anew when it starts."""
    for suffix in (".index", ".timeindex"):
        file.with_suffix(suffix).unlink(missing_ok=True)


def lose(file: pathlib.Path) -> Batch:
    """Cuts a batch out of the middle. A hole in the offsets is nothing unusual to Kafka: compaction makes them too."""
    batch, data = _middle(file), file.read_bytes()
    file.write_bytes(data[:batch.at] + data[batch.at + len(batch.data):])
    _forget_indexes(file)
    return batch


def duplicate(file: pathlib.Path) -> Batch:
    """Puts a batch of the middle behind the last one, under the next offsets: the CRC does not cover them."""
    batch, last = _middle(file), batches(file)[-1]
    end = last.at + len(last.data)
    data = file.read_bytes()[:end]
    file.write_bytes(data + struct.pack(">q", last.last_offset + 1) + batch.data[8:])
    _forget_indexes(file)
    return batch


def alter(file: pathlib.Path) -> Batch:
    """Changes the last letter of a batch's last value, and makes the CRC right again."""
    batch = _middle(file)
    if batch.compressed:
        raise ValueError(f"{file}: batch at {batch.at} is compressed")
    changed = bytearray(batch.data)
    at = len(changed) - 2  # the last byte says that the last record has no headers
    changed[at] = 97 + (changed[at] - 97 + 1) % 26
    struct.pack_into(">I", changed, CRC_AT, crc32c(bytes(changed[CRC_FROM:])))
    data = bytearray(file.read_bytes())
    data[batch.at:batch.at + len(changed)] = changed
    file.write_bytes(bytes(data))
    return batch


DAMAGES = {"lose": lose, "duplicate": duplicate, "alter": alter}
