"""SPDY/3.1 frames to and from bytes: many streams over one connection, as clients before WebSocket had them.

Not a connection: what frames do is in `spdy_connection.py`. After the SPDY Protocol, Draft 3.1
(chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1). Header blocks are compressed with one zlib
stream a direction, seeded with the protocol's dictionary.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS = 1, 2, 3, 4
PING, GOAWAY, HEADERS, WINDOW_UPDATE = 6, 7, 8, 9
FLAG_FIN = 0x01

PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5
"""Statuses of RST_STREAM."""

FRAME_BOUND = 1 << 20
HEADERS_BOUND = 64 << 10
_CONTROL = 0x80000000
_STREAM_ID = 0x7FFFFFFF

_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_NAMES = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_VALUES = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(name)) + name.encode() for name in (*_NAMES.split(), *_MORE_NAMES))
    + _VALUES.encode()
)
"""Section 2.6.10.1 of the specification: names with their lengths, then usual values."""


class SpdyError(ConnectionError):
    """The peer does not keep to the protocol; the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: `kind` is 0 for data, else a control frame's type; `number` is a ping's id or a reset's status."""

    kind: int
    stream: int = 0
    data: bytes = b""
    fin: bool = False
    headers: Mapping[str, str] | None = None
    number: int = 0


class FrameReader:
    """Turns what comes in, in pieces of any size, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with `data`; SpdyError for one that cannot be read."""
        self._buffer += data
        while len(self._buffer) >= 8:
            head, rest = struct.unpack_from(">II", self._buffer)
            flags, length = rest >> 24, rest & 0xFFFFFF
            if length > FRAME_BOUND:
                raise SpdyError(f"a frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if not head & _CONTROL:
                yield Frame(0, head & _STREAM_ID, body, bool(flags & FLAG_FIN))
                continue
            if head >> 16 & 0x7FFF != VERSION:
                raise SpdyError(f"version {head >> 16 & 0x7FFF} of SPDY")
            yield self._control(head & 0xFFFF, bool(flags & FLAG_FIN), body)

    def _control(self, kind: int, fin: bool, body: bytes) -> Frame:
        try:
            match kind:
                case 1:
                    (stream,) = struct.unpack_from(">I4x2x", body)
                    return Frame(kind, stream & _STREAM_ID, fin=fin, headers=self._headers(body[10:]))
                case 2 | 8:
                    (stream,) = struct.unpack_from(">I", body)
                    return Frame(kind, stream & _STREAM_ID, fin=fin, headers=self._headers(body[4:]))
                case 3 | 9:
                    stream, number = struct.unpack_from(">II", body)
                    return Frame(kind, stream & _STREAM_ID, number=number)
                case 6 | 7:
                    (number,) = struct.unpack_from(">I", body)
                    return Frame(kind, number=number)
        except struct.error as error:
            raise SpdyError(f"a frame of type {kind} with {len(body)} bytes") from error
        return Frame(kind, data=body)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, HEADERS_BOUND)
        except zlib.error as error:
            raise SpdyError(f"headers: {error}") from error
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {HEADERS_BOUND} bytes")
        (count,) = struct.unpack_from(">I", plain)
        words, at = [], 4
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", plain, at)
            words.append(plain[at + 4 : at + 4 + length].decode("latin-1"))
            at += 4 + length
        return dict(zip(words[::2], words[1::2], strict=True))


class FrameWriter:
    """Turns frames into bytes, which must go out in this order: the compression of headers goes on."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def data(self, stream: int, data: bytes, *, fin: bool = False) -> bytes:
        """A DATA frame; `data` has less than 2^24 bytes."""
        return struct.pack(">II", stream, (FLAG_FIN if fin else 0) << 24 | len(data)) + data

    def syn_stream(self, stream: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        """Opens a stream."""
        return _control(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._headers(headers), fin=fin)

    def syn_reply(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """Accepts a stream."""
        return _control(SYN_REPLY, struct.pack(">I", stream) + self._headers(headers))

    def rst_stream(self, stream: int, status: int) -> bytes:
        """Ends a stream in both directions."""
        return _control(RST_STREAM, struct.pack(">II", stream, status))

    def ping(self, number: int) -> bytes:
        """A ping, or the answer to one."""
        return _control(PING, struct.pack(">I", number))

    def goaway(self, last_stream: int) -> bytes:
        """Announces the end of the connection; `last_stream` is the last that was accepted."""
        return _control(GOAWAY, struct.pack(">II", last_stream, 0))

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for text in (text for pair in headers.items() for text in pair):
            plain += struct.pack(">I", len(text)) + text.encode("latin-1")
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, body: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">II", _CONTROL | VERSION << 16 | kind, (FLAG_FIN if fin else 0) << 24 | len(body)) + body
