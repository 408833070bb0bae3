"""ICMP echo messages (RFC 792): a request as bytes, and whether a packet is the reply to it."""

from __future__ import annotations

import struct

_REQUEST, _REPLY = 8, 0
_HEAD = struct.Struct(">BBHHH")


def request(identifier: int, sequence: int, data: bytes) -> bytes:
    """The message, without an IP header. Both numbers have 16 bits."""
    checksum = _checksum(_HEAD.pack(_REQUEST, 0, 0, identifier, sequence) + data)
    return _HEAD.pack(_REQUEST, 0, checksum, identifier, sequence) + data


def is_reply(packet: bytes, identifier: int, sequence: int) -> bool:
    """Whether an IPv4 packet, as a raw socket gives it, answers the request with these numbers."""
    start = (packet[0] & 0xF) * 4
    if len(packet) < start + _HEAD.size:
        return False
    kind, _code, _sum, *numbers = _HEAD.unpack_from(packet, start)
    return kind == _REPLY and numbers == [identifier, sequence]


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
