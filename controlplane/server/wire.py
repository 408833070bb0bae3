"""The wire format of protobuf: a message as its numbered fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN, _RANGE = 1 << 63, 1 << 64


class Malformed(Exception):
    """The bytes are no message."""


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an unsigned int, a float for fixed sizes, or bytes."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif wire_type == _BYTES:
            length, position = _varint(data, position)
            if position + length > end:
                raise Malformed("unexpected EOF")
            yield number, data[position : position + length]
            position += length
        elif wire_type in (_FIXED64, _FIXED32):
            layout, size = ("<d", 8) if wire_type == _FIXED64 else ("<f", 4)
            if position + size > end:
                raise Malformed("unexpected EOF")
            yield number, struct.unpack_from(layout, data, position)[0]
            position += size
        else:
            raise Malformed(f"wire type {wire_type} is not known")


def signed(value: int) -> int:
    """A varint read as int64, as Go writes int32 and int64."""
    return value - _RANGE if value >= _SIGN else value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise Malformed("unexpected EOF" if shift <= 63 else "integer overflow")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & (_RANGE - 1), position
