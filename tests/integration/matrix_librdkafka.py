# SPDX-License-Identifier: Apache-2.0
"""Many logins through one librdkafka, of any age, by ctypes: python3 matrix_librdkafka.py, a job as JSON on its input.

    {"library": PATH, "cells": [{"name", "settings", "partitions", "token"}, …]}

Each cell writes "NAME-PARTITION" to each partition of the topic NAME and reads it back; NAME is its client.id, too. Prints
{"version", "features", "cells": {NAME: {"written": N, "read": […]} or {"error": text}}}.
"""

import concurrent.futures
import ctypes
import json
import os
import pathlib
import sys
import time

PRODUCER, CONSUMER = 0, 1
BEGINNING, COPY = -2, 2
PARTITION_EOF = -191
DEADLINE_S = 40


class Message(ctypes.Structure):
    _fields_ = [("error", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32),
                ("payload", ctypes.c_void_p), ("length", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_length", ctypes.c_size_t), ("offset", ctypes.c_int64), ("own", ctypes.c_void_p)]


DELIVERED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Message), ctypes.c_void_p)
WRONG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
LOGGED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
REFRESH = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)

RESULTS = {"version_str": ctypes.c_char_p, "err2str": ctypes.c_char_p, "conf_new": ctypes.c_void_p,
           "new": ctypes.c_void_p, "topic_new": ctypes.c_void_p, "consume": ctypes.POINTER(Message)}


class Library:
    """Calls by name without `rd_kafka_`; pointers are plain numbers."""

    def __init__(self, path: str):
        directory = pathlib.Path(path).parent
        # Wheels carry libraries of their own, under names that nothing else has.
        own = sorted(directory.glob("lib*.so*")) if directory.name else []
        waiting = [str(file) for file in own if not file.name.startswith("librdkafka")]
        self.kept = []
        for _ in range(len(waiting)):
            for file in list(waiting):
                try:
                    self.kept.append(ctypes.CDLL(file))
                    waiting.remove(file)
                except OSError:
                    continue
        self.library = ctypes.CDLL(path)

    def __call__(self, name: str, *arguments):
        function = getattr(self.library, f"rd_kafka_{name}")
        function.restype = RESULTS.get(name, ctypes.c_int)
        return function(*arguments)

    def has(self, name: str) -> bool:
        return hasattr(self.library, f"rd_kafka_{name}")

    def features(self) -> str:
        text, size = ctypes.create_string_buffer(1000), ctypes.c_size_t(1000)
        self("conf_get", ctypes.c_void_p(self("conf_new")), b"builtin.features", text, ctypes.byref(size))
        return text.value.decode()


class Handle:
    """A producer or a consumer."""

    def __init__(self, library: Library, kind: int, cell: dict):
        self.library, self.cell = library, cell
        self.delivered, self.wrong = [], []
        # ctypes would drop callbacks that nobody holds
        self.callbacks = [DELIVERED(lambda _, message, __: self.delivered.append(message.contents.error)),
                          WRONG(lambda _, error, text, __: self.wrong.append((text or b"").decode())),
                          LOGGED(lambda _, __, ___, text: self.wrong.append((text or b"").decode())),
                          REFRESH(lambda *_: None)]
        why = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(library("conf_new"))
        for key, value in cell["settings"].items():
            if library("conf_set", conf, key.encode(), str(value).encode(), why, ctypes.c_size_t(512)) != 0:
                raise RuntimeError(why.value.decode())
        library("conf_set_dr_msg_cb", conf, self.callbacks[0])
        library("conf_set_error_cb", conf, self.callbacks[1])
        library("conf_set_log_cb", conf, self.callbacks[2])
        if cell.get("token"):
            library("conf_set_oauthbearer_token_refresh_cb", conf, self.callbacks[3])
        made = library("new", ctypes.c_int(kind), conf, why, ctypes.c_size_t(512))
        if not made:
            raise RuntimeError(why.value.decode())
        self.pointer = ctypes.c_void_p(made)
        if cell.get("token"):
            ends_ms = ctypes.c_int64(int(time.time() * 1000) + 600_000)
            if library("oauthbearer_set_token", self.pointer, cell["token"].encode(), ends_ms, b"anybody", None,
                       ctypes.c_size_t(0), why, ctypes.c_size_t(512)) != 0:
                raise RuntimeError(why.value.decode())
        self.topic = ctypes.c_void_p(library("topic_new", self.pointer, cell["name"].encode(), None))

    def poll(self) -> None:
        self.library("poll", self.pointer, ctypes.c_int(50))


def write(library: Library, cell: dict, end: float) -> int:
    handle = Handle(library, PRODUCER, cell)
    for partition in range(cell["partitions"]):
        value = f"{cell['name']}-{partition}".encode()
        if library("produce", handle.topic, ctypes.c_int32(partition), ctypes.c_int(COPY), value,
                   ctypes.c_size_t(len(value)), None, ctypes.c_size_t(0), None) != 0:
            raise RuntimeError("not produced")
    while len(handle.delivered) < cell["partitions"] and time.monotonic() < end:
        handle.poll()
    if handle.delivered != [0] * cell["partitions"]:
        raise RuntimeError(f"delivered {handle.delivered}: {handle.wrong[-3:]}")
    return len(handle.delivered)


def read(library: Library, cell: dict, end: float) -> list[str]:
    handle, found = Handle(library, CONSUMER, cell), []
    for partition in range(cell["partitions"]):
        library("consume_start", handle.topic, ctypes.c_int32(partition), ctypes.c_int64(BEGINNING))
        while len(found) <= partition:
            if time.monotonic() > end:
                raise RuntimeError(f"read {found}: {handle.wrong[-3:]}")
            handle.poll()
            message = library("consume", handle.topic, ctypes.c_int32(partition), ctypes.c_int(300))
            if not message:
                continue
            row = message.contents
            if row.error == 0:
                found.append(ctypes.string_at(row.payload, row.length).decode())
            elif row.error != PARTITION_EOF:
                handle.wrong.append(library("err2str", ctypes.c_int(row.error)).decode())
            library("message_destroy", message)
        library("consume_stop", handle.topic, ctypes.c_int32(partition))
    return found


def run(library: Library, cell: dict) -> dict:
    end = time.monotonic() + DEADLINE_S
    try:
        return {"written": write(library, cell, end), "read": read(library, cell, end)}
    except (RuntimeError, AttributeError) as error:
        return {"error": str(error)}


def main() -> None:
    job = json.load(sys.stdin)
    library = Library(job["library"])
    with concurrent.futures.ThreadPoolExecutor(len(job["cells"]) or 1) as pool:
        done = dict(zip((cell["name"] for cell in job["cells"]), pool.map(lambda cell: run(library, cell), job["cells"])))
    print(json.dumps({"version": library("version_str").decode(), "features": library.features(), "cells": done}))
    sys.stdout.flush()
    os._exit(0)  # the threads of the handles go with us


if __name__ == "__main__":
    main()
