"""The client side of the gRPC health checking protocol, as much of HTTP/2 as one unary call needs.

Of the response only the message is read, not the compressed header fields: a server that answers without a message
says by that alone that it is not healthy.
"""

from __future__ import annotations

import asyncio
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = b"/grpc.health.v1.Health/Check"
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
LONGEST_MESSAGE = 1024

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED = 0x4, 0x8
_STREAM = 1
# Of HPACK: fields of the static table, and literals that name one (RFC 7541, appendix A).
_POST, _HTTP, _AUTHORITY_IS, _PATH_IS, _LITERAL = b"\x83", b"\x86", b"\x01", b"\x04", b"\x00"


async def check(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: str, agent: str) -> str:
    """Asks for the health of `service` ("" is the whole server): one of STATUSES, or "" if the server does not say.

    Raises ConnectionError when the other end does not speak HTTP/2 or ends the connection.
    """
    fields = ((b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", agent.encode()))
    headers = _POST + _HTTP + _PATH_IS + _text(PATH) + _AUTHORITY_IS + _text(b"localhost")
    headers += b"".join(_LITERAL + _text(name) + _text(value) for name, value in fields)
    name = service.encode()
    request = b"\x0a" + _number(len(name)) + name if name else b""
    writer.write(
        PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, _STREAM, headers)
        + _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, len(request)) + request)
    )
    try:
        return _status(await _answer(reader, writer))
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the server ended the connection without an answer") from error


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The data that the server sends on our stream."""
    found = b""
    while True:
        head = await reader.readexactly(9)
        size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        if size > 16384:
            raise ConnectionError("the server does not speak HTTP/2")
        body = await reader.readexactly(size)
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            writer.write(_frame(kind, _ACK, 0, body if kind == _PING else b""))
        elif kind == _GOAWAY:
            raise ConnectionError("the server refused the call")
        elif int.from_bytes(head[5:]) != _STREAM:
            continue
        elif kind == _RST_STREAM:
            return b""
        elif kind == _DATA:
            found += body[1 : size - body[0]] if flags & _PADDED else body
        if kind in (_DATA, _HEADERS) and (flags & _END_STREAM or len(found) > LONGEST_MESSAGE):
            return found


def _status(message: bytes) -> str:
    """Reads a HealthCheckResponse: its only field is the number 1, the status."""
    body = message[5:]
    if len(message) < 5 or message[0]:
        return ""
    if not body:
        return STATUSES[0]
    return STATUSES[body[1]] if len(body) == 2 and body[0] == 0x08 and body[1] < len(STATUSES) else ""


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body


def _text(value: bytes) -> bytes:
    return bytes((len(value),)) + value


def _number(value: int) -> bytes:
    """A protobuf varint."""
    found = b""
    while value > 0x7F:
        found += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return found + bytes((value,))
