"""What one Ethernet frame says, as far as a line of text tells it: ARP, IPv4 with TCP, UDP and ICMP, DNS, VXLAN.

For more there are tshark and scapy; this is for showing packets as they come, thousands a second.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from dataclasses import dataclass

_ARP, _IPV4, _IPV6, _VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
_ICMP, _TCP, _UDP, _SCTP = 1, 6, 17, 132
_VXLAN_PORTS = (4789, 8472)
_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x10, "."), (0x20, "U"))
_ICMP_TEXT = {
    (0, 0): "echo reply",
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 3): "port unreachable",
    (3, 4): "too big, fragmentation needed",
    (3, 10): "host prohibited",
    (3, 13): "filtered",
    (8, 0): "echo request",
    (11, 0): "time exceeded",
}
_KEPT = 64
"""Bytes that tell a packet from others: more may be cut off, and at one point more than at another."""
_FRAGMENT_OFFSET, _MORE = 0x1FFF, 0x2000
_WORDS = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Who speaks to whom: protocol, addresses and ports (0 where the protocol has none)."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int

    @property
    def reply(self) -> Endpoints:
        """The other direction."""
        return Endpoints(self.protocol, self.destination, self.destination_port, self.source, self.source_port)


@dataclass(frozen=True, slots=True)
class Summary:
    """A frame. `identity` stays the same when addresses and ports are translated on the way; empty if nothing does.

    `inner` is the frame that a VXLAN packet carries.
    """

    protocol: str
    info: str
    endpoints: Endpoints | None = None
    identity: tuple[object, ...] = ()
    inner: Summary | None = None


def dissect(frame: bytes) -> Summary:
    """What the frame says; one that is cut or unknown is told as far as it goes."""
    try:
        return _frame(frame)
    except (IndexError, struct.error):
        return Summary("?", f"{len(frame)} bytes that end too early")


def _frame(frame: bytes) -> Summary:
    offset = 12
    (kind,) = struct.unpack_from("!H", frame, offset)
    while kind == _VLAN:
        offset += 4
        (kind,) = struct.unpack_from("!H", frame, offset)
    body = frame[offset + 2 :]
    if kind == _IPV4:
        return _ipv4(body)
    if kind == _ARP:
        return _arp(body)
    if kind == _IPV6:
        ends = Endpoints("IPv6", str(ipaddress.IPv6Address(body[8:24])), 0, str(ipaddress.IPv6Address(body[24:40])), 0)
        return Summary("IPv6", f"next header {body[6]}", ends)
    return Summary(f"0x{kind:04x}", f"{len(body)} bytes")


def _arp(body: bytes) -> Summary:
    (operation,) = struct.unpack_from("!H", body, 6)
    sender, hardware, target = _dotted(body, 14), body[8:14].hex(":"), _dotted(body, 24)
    text = f"who has {target}? tell {sender}" if operation == 1 else f"{sender} is at {hardware}"
    return Summary("ARP", text, Endpoints("ARP", sender, 0, target, 0))


def _ipv4(packet: bytes) -> Summary:
    header, (total, number, fragment) = (packet[0] & 15) * 4, struct.unpack_from("!HHH", packet, 2)
    protocol, source, destination = packet[9], _dotted(packet, 12), _dotted(packet, 16)
    # A capture may have kept less than the packet had.
    body, size = packet[header:total], total - header
    if fragment & _FRAGMENT_OFFSET:
        ends = Endpoints("IPv4", source, 0, destination, 0)
        text = f"fragment of {number} at {(fragment & _FRAGMENT_OFFSET) * 8}, {size} bytes"
        return Summary("IPv4", text, ends, ("fragment", number, fragment & _FRAGMENT_OFFSET, size))
    more = ", more fragments follow" if fragment & _MORE else ""
    if protocol == _TCP:
        return _tcp(body, size, (source, destination), number, more)
    if protocol == _UDP:
        return _udp(body, (source, destination), number, more)
    if protocol == _ICMP:
        return _icmp(body, size, (source, destination), number, more)
    if protocol == _SCTP:
        ports = _WORDS.unpack_from(body)
        ends = Endpoints("SCTP", source, ports[0], destination, ports[1])
        return Summary("SCTP", f"{size} bytes", ends, ("SCTP", number, zlib.crc32(body[12:_KEPT])))
    return Summary(f"protocol {protocol}", f"{size} bytes", Endpoints("IPv4", source, 0, destination, 0))


def _tcp(body: bytes, size: int, between: tuple[str, str], number: int, more: str) -> Summary:
    source, destination = between
    source_port, destination_port, sequence, acknowledged = struct.unpack_from("!HHII", body)
    flags, window = body[13], struct.unpack_from("!H", body, 14)[0]
    length = size - (body[12] >> 4) * 4
    named = "".join(letter for bit, letter in _FLAGS if flags & bit)
    text = f"[{named}] seq {sequence}, ack {acknowledged}, win {window}, length {length}{more}"
    ends = Endpoints("TCP", source, source_port, destination, destination_port)
    return Summary("TCP", text, ends, ("TCP", number, sequence, acknowledged, flags, length))


def _udp(body: bytes, between: tuple[str, str], number: int, more: str) -> Summary:
    source, destination = between
    source_port, destination_port, length = struct.unpack_from("!HHH", body)
    data = body[8:]
    ends = Endpoints("UDP", source, source_port, destination, destination_port)
    identity = ("UDP", number, length, zlib.crc32(data[:_KEPT]))
    if destination_port in _VXLAN_PORTS and len(data) > 8:
        inner = dissect(data[8:])
        return Summary("VXLAN", f"vni {int.from_bytes(data[4:7])}", ends, identity, inner)
    if 53 in (source_port, destination_port):
        return Summary("DNS", _dns(data) or f"length {len(data)}", ends, identity)
    return Summary("UDP", f"length {length - 8}{more}", ends, identity)


def _icmp(body: bytes, size: int, between: tuple[str, str], number: int, more: str) -> Summary:
    source, destination = between
    kind, code = body[0], body[1]
    text = _ICMP_TEXT.get((kind, code), f"type {kind} code {code}")
    ends = Endpoints("ICMP", source, 0, destination, 0)
    if kind in (0, 8):
        echo, sequence = struct.unpack_from("!HH", body, 4)
        # A translation may change the id. The IP identification alone is 0 for many a program's packets.
        identity = ("ICMP", number, kind, sequence, size, zlib.crc32(body[8:_KEPT]))
        return Summary("ICMP", f"{text}, id {echo}, seq {sequence}{more}", ends, identity)
    about = dissect(bytes(12) + b"\x08\x00" + body[8:]) if kind in (3, 11) and len(body) > 28 else None
    if kind == 3 and code == 4:
        text += f", mtu {struct.unpack_from('!H', body, 6)[0]}"
    if about is not None and about.endpoints is not None:
        ends_of = about.endpoints
        text += f", of {ends_of.protocol} to {ends_of.destination}:{ends_of.destination_port}"
    return Summary("ICMP", text, ends, ("ICMP", number, kind, code, size))


def _dns(data: bytes) -> str:
    """A question or answer in short, or nothing if it is none."""
    from dnslib import DNSError, DNSRecord

    try:
        record = DNSRecord.parse(data)
    except (DNSError, ValueError, IndexError, struct.error):
        return ""
    asked = f"{record.q.qname} {_qtype(record)}" if record.questions else ""
    if record.header.qr == 0:
        return f"query {asked}"
    found = ", ".join(str(answer.rdata) for answer in record.rr) or _rcode(record)
    return f"answer {asked}: {found}"


def _qtype(record: object) -> str:
    from dnslib import QTYPE

    return str(QTYPE.get(record.q.qtype))  # type: ignore[attr-defined]


def _rcode(record: object) -> str:
    from dnslib import RCODE

    return str(RCODE.get(record.header.rcode))  # type: ignore[attr-defined]


def _dotted(data: bytes, offset: int) -> str:
    return ".".join(map(str, struct.unpack_from("4B", data, offset)))
