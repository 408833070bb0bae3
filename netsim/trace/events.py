"""What the kernel tells of a traced packet: NFT_MSG_TRACE of nfnetlink (linux/netfilter/nf_tables.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from netsim.netlink import attributes, text

_MESSAGE = 10 << 8 | 17
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID = 1, 2, 3, 4, 5, 6
_LINK, _NETWORK, _TRANSPORT, _IIF, _OIF, _MARK = 7, 8, 9, 10, 12, 14
_POLICY = 16
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
FLAGS = ((2, "S"), (1, "F"), (4, "R"), (8, "P"), (16, "."))
"""The bits of a TCP header that are told, and their letters."""
_HEADER = struct.Struct("=IHHII")
_NFGEN_BYTES = 4
_VERDICTS = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}


class Kind(IntEnum):
    """What an event tells of."""

    POLICY = 1
    RETURN = 2
    RULE = 3


class PacketHead(NamedTuple):
    """The packet as it is at that moment. Ports are 0 and flags empty where the protocol has none."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    flags: str
    number: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Event:
    """A packet met a rule, came to the end of a chain, or to a chain's policy.

    `trace` tells one packet from another. `packet`, `iif` and `oif` (ifindex, 0 for none) come with the first event of
    a hook only.
    """

    trace: int
    kind: Kind
    table: str
    chain: str
    handle: int
    verdict: str
    target: str
    packet: PacketHead | None
    iif: int
    oif: int
    mark: int
    time: int


def parse(data: bytes, family_ipv4: int, time: int) -> list[Event]:
    """The events in what one recv() gave; those of other families are left out. `time` in nanoseconds."""
    found = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            break
        if kind == _MESSAGE and data[offset + _HEADER.size] == family_ipv4:
            found.append(_event(data[offset + _HEADER.size + _NFGEN_BYTES : offset + length], time))
        offset += (length + 3) & ~3
    return found


def _event(body: bytes, time: int) -> Event:
    values = attributes(body, 0)
    kind = Kind(_number(values, _TYPE))
    verdict = attributes(values.get(_VERDICT, b""), 0)
    code = _signed(verdict.get(_VERDICT_CODE)) if kind is not Kind.POLICY else _number(values, _POLICY)
    return Event(
        trace=_number(values, _ID),
        kind=kind,
        table=text(values.get(_TABLE, b"")),
        chain=text(values.get(_CHAIN, b"")),
        handle=int.from_bytes(values.get(_HANDLE, b"")),
        verdict=_VERDICTS.get(code, str(code)),
        target=text(verdict.get(_VERDICT_CHAIN, b"")),
        packet=_head(values.get(_NETWORK, b""), values.get(_TRANSPORT, b"")),
        iif=_number(values, _IIF),
        oif=_number(values, _OIF),
        mark=_number(values, _MARK),
        time=time,
    )


def _head(network: bytes, transport: bytes) -> PacketHead | None:
    if len(network) < 20:
        return None
    protocol = _PROTOCOLS.get(network[9], str(network[9]))
    ports = (
        struct.unpack_from("!HH", transport) if protocol in ("tcp", "udp", "sctp") and len(transport) >= 4 else (0, 0)
    )
    flags = ""
    if protocol == "tcp" and len(transport) >= 14:
        flags = "".join(letter for bit, letter in FLAGS if transport[13] & bit)
    if protocol == "icmp" and transport:
        flags = str(transport[0])
    source, destination = (".".join(map(str, network[start : start + 4])) for start in (12, 16))
    number = int.from_bytes(network[4:6])
    return PacketHead(protocol, source, ports[0], destination, ports[1], flags, number, network[8])


def _number(values: dict[int, bytes], code: int) -> int:
    return int.from_bytes(values.get(code, b""))


def _signed(value: bytes | None) -> int:
    return struct.unpack("!i", value)[0] if value else -1
