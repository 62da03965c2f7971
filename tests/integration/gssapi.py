# SPDX-License-Identifier: Apache-2.0
"""A Kerberos client by hand: libgssapi_krb5 through ctypes, one token at a time, so that a test can keep, change, repeat
or withhold each of them. And the Kafka logins made of those tokens, as clients of every age send them.

The library reads KRB5_CONFIG of this process; `Client(…, env)` takes a ticket cache of Kdc.kinit.
"""

import ctypes
import os
import struct

from tests.integration import kafka_client
from tests.integration.kafka_client import Closed

_library = ctypes.CDLL("libgssapi_krb5.so.2")
MUTUAL, INTEGRITY = 2, 32
COMPLETE, CONTINUE_NEEDED = 0, 1
NONE = 1  # the security layer that is none


class _Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]


class _Oid(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("elements", ctypes.c_char_p)]


_KRB5 = _Oid(9, b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02")
_HOSTBASED = _Oid(10, b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04")


class GssError(RuntimeError):
    pass


def _buffer(data: bytes) -> _Buffer:
    return _Buffer(len(data), ctypes.cast(ctypes.create_string_buffer(data, len(data)), ctypes.c_void_p))


def _taken(buffer: _Buffer) -> bytes:
    data = ctypes.string_at(buffer.value, buffer.length) if buffer.length else b""
    _library.gss_release_buffer(ctypes.byref(ctypes.c_uint32()), ctypes.byref(buffer))
    return data


def _check(major: int, minor: ctypes.c_uint32) -> int:
    if major & 0xFFFF0000:
        text, more = _Buffer(), ctypes.c_uint32()
        _library.gss_display_status(ctypes.byref(ctypes.c_uint32()), minor, 2, ctypes.byref(_KRB5), ctypes.byref(more),
                                    ctypes.byref(text))
        raise GssError(_taken(text).decode())
    return major


class Context:
    """One GSSAPI context towards `service`@localhost. step(b"") begins."""

    def __init__(self, env: dict[str, str], service: str = "kafka", flags: int = MUTUAL | INTEGRITY):
        os.environ["KRB5_CONFIG"] = env["KRB5_CONFIG"]
        self.flags, self.context, self.name, self.done = flags, ctypes.c_void_p(), ctypes.c_void_p(), False
        minor = ctypes.c_uint32()
        _check(_library.gss_krb5_ccache_name(ctypes.byref(minor), env["KRB5CCNAME"].encode(), None), minor)
        text = _buffer(f"{service}@localhost".encode())
        _check(_library.gss_import_name(ctypes.byref(minor), ctypes.byref(text), ctypes.byref(_HOSTBASED),
                                        ctypes.byref(self.name)), minor)

    def __del__(self):
        minor = ctypes.c_uint32()
        _library.gss_delete_sec_context(ctypes.byref(minor), ctypes.byref(self.context), None)
        _library.gss_release_name(ctypes.byref(minor), ctypes.byref(self.name))

    def step(self, token: bytes) -> bytes:
        minor, given, out = ctypes.c_uint32(), _buffer(token), _Buffer()
        major = _check(_library.gss_init_sec_context(
            ctypes.byref(minor), None, ctypes.byref(self.context), self.name, ctypes.byref(_KRB5), self.flags, 0, None,
            ctypes.byref(given), None, ctypes.byref(out), None, None), minor)
        self.done = major == COMPLETE
        return _taken(out)

    def unwrap(self, token: bytes) -> bytes:
        minor, given, out = ctypes.c_uint32(), _buffer(token), _Buffer()
        _check(_library.gss_unwrap(ctypes.byref(minor), self.context, ctypes.byref(given), ctypes.byref(out), None, None),
               minor)
        return _taken(out)

    def wrap(self, data: bytes) -> bytes:
        minor, given, out = ctypes.c_uint32(), _buffer(data), _Buffer()
        _check(_library.gss_wrap(ctypes.byref(minor), self.context, 0, 0, ctypes.byref(given), None, ctypes.byref(out)),
               minor)
        return _taken(out)


class Client(kafka_client.Client):
    """A connection that logs in by Kerberos. `framing`: "v1" (SaslAuthenticate), "v0" (raw tokens after SaslHandshake)
    or "bare" (raw tokens and nothing before, as clients of Kafka 0.9). PermissionError when it is refused."""

    def __init__(self, port: int, env: dict[str, str] | None = None, framing: str = "v1", host: str = "127.0.0.1"):
        super().__init__(port, host=host)
        self.framing = framing
        if env is not None:
            try:
                self.prove(env)
            except BaseException:
                self.close()
                raise

    def begin(self) -> None:
        if self.framing != "bare":
            self.handshake("GSSAPI", 0 if self.framing == "v0" else 1)

    def exchange(self, token: bytes, last: bool = False) -> bytes:
        """Sends a token; the server's. Raw, nothing comes back for the last one."""
        if self.framing == "v1":
            return self.authenticate(token)
        self.send(struct.pack(">i", len(token)) + token)
        try:
            return b"" if last else self.frame()
        except Closed:
            raise PermissionError("closed") from None

    def prove(self, env: dict[str, str], authzid: str = "", layer: int = NONE, flags: int = MUTUAL | INTEGRITY) -> None:
        self.begin()
        context = Context(env, flags=flags)
        reply = self.exchange(context.step(b""))
        if not context.done:
            reply = self.exchange(context.step(reply))
        self.layers = context.unwrap(reply)
        last = self.exchange(context.wrap(bytes([layer, 0, 0, 0]) + authzid.encode()), last=True)
        if last:
            raise AssertionError(f"a token after the last: {last!r}")
