#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Functions that invite overflow, data races or timing leaks, each with what to use."""

import re

import sources

BANNED = {
    "strcpy": "snprintf or a checked writer", "strcat": "snprintf or a checked writer",
    "stpcpy": "snprintf or a checked writer", "strncpy": "snprintf or memcpy with a checked length",
    "strncat": "snprintf", "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets",
    "alloca": "a fixed buffer or malloc", "strtok": "strtok_r", "atoi": "strtol with its checks",
    "atol": "strtol with its checks", "atoll": "strtoll with its checks", "system": "posix_spawn",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "localtime": "localtime_r", "gmtime": "gmtime_r",
    "asctime": "strftime", "ctime": "strftime", 
    "rand": "RAND_bytes, or a generator given as an argument", "srand": "RAND_bytes", "getpwnam": "getpwnam_r",
    "inet_ntoa": "inet_ntop", "inet_addr": "inet_pton", "setjmp": "a status", "longjmp": "a status",
    # What others compressed is passed on and hashed as it is: a bomb has nobody to unpack it.
    **{name: "nothing: Setu never decompresses" for name in (
        "inflate", "uncompress", "gzread", "isal_inflate", "ZSTD_decompress", "ZSTD_decompressStream",
        "LZ4_decompress_safe", "LZ4F_decompress", "snappy_uncompress")},
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
# A name that says secret, in the arguments of memcmp or strcmp.
COMPARE = re.compile(r"(?<![\w.>])(memcmp|strcmp|strncmp)\s*\(([^;{}]*)")
SECRET = re.compile(r"(secret|passw|stored_key|server_key|client_key|client_proof|server_signature|\bhmac\b|\bproof\b)")


def main() -> None:
    top, findings = sources.root(), sources.Findings()
    for path in sources.files(top, ".c", ".h"):
        if str(path).startswith("tests/unit/"):
            continue
        text = sources.code((top / path).read_text(errors="replace"))
        for match in CALL.finditer(text):
            findings.add(path, text.count("\n", 0, match.start()) + 1, f"{match[1]}: use {BANNED[match[1]]}")
        for match in COMPARE.finditer(text):
            if SECRET.search(match[2].split(")")[0]):
                findings.add(path, text.count("\n", 0, match.start()) + 1,
                             f"{match[1]} on a secret leaks time: secret_equal or CRYPTO_memcmp")
    findings.leave()


if __name__ == "__main__":
    main()
