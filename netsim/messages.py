"""rtnetlink requests as bytes: the headers of four kinds of message, and the attributes that netsim sends.

No more than that: a library for all of rtnetlink takes longer to load than a pod's network takes to make, and what is
sent here is these few. Answers are read by `netsim.netlink.attributes`. Numbers and layouts are those of the kernel's
`include/uapi/linux/`: `if_link.h`, `if_addr.h`, `rtnetlink.h`, `neighbour.h`, `veth.h`, `if_bridge.h`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_IFF_UP = 1
_SHORTEST_HOLE = 3
_NTF_SELF = 0x02
MAC_HOLES = ("7e:7e:7e:7e:7e:7e", "7d:7d:7d:7d:7d:7d")
NUMBER_HOLE = 0x7C7C7C7C
ADDRESS_HOLE = "123.123.123.123"
"""Values that do not come up by themselves, one a kind."""

Attributes = Sequence[tuple[str, Any]]
"""Netlink attributes: (name, value), a nested one being a list of the same."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_NEXTHOP = struct.Struct("=HBBi")
_BYTE, _SHORT, _INTEGER = struct.Struct("=B"), struct.Struct("!H"), struct.Struct("=I")
_VLAN = struct.Struct("=HH")


def name_hole(ifname: str) -> str:
    """A stand-in for a link's name in a message that is encoded once and used for many (see `filled`)."""
    return "\x7f" * len(ifname) if len(ifname) > _SHORTEST_HOLE else ifname


def filled(message: bytes, *values: tuple[bytes, bytes]) -> bytes:
    """A message with its holes filled: (hole, value of the same length) pairs.

    Encoding the nested message of a veth pair takes as long as the kernel takes to make one, and but for a name and
    two addresses it is the same for every container of a node.
    """
    for hole, value in values:
        message = message.replace(hole, value)
    return message


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _hardware(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _nested(attributes: Attributes) -> bytes:
    parts = []
    for name, value in attributes:
        kind, encode = _ATTRIBUTES[name]
        data = encode(value)
        parts.append(_ATTRIBUTE.pack(len(data) + _ATTRIBUTE.size, kind) + data + bytes(-len(data) % 4))
    return b"".join(parts)


def _peer(attributes: Attributes) -> bytes:
    """A veth's other end, which is a link message of its own."""
    return _LINK.pack(0, 0, 0, 0, 0) + _nested(attributes)


def _hops(hops: Sequence[tuple[str, int, int]]) -> bytes:
    """Next hops (gateway, RTNH_F_ flags, ifindex or 0) of equal weight."""
    parts = []
    for gateway, flags, index in hops:
        data = _nested([("RTA_GATEWAY", gateway)])
        parts.append(_NEXTHOP.pack(_NEXTHOP.size + len(data), flags, 0, index) + data)
    return b"".join(parts)


_ATTRIBUTES: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "IFLA_ADDRESS": (1, _hardware),
    "IFLA_IFNAME": (3, _text),
    "IFLA_MTU": (4, _INTEGER.pack),
    "IFLA_MASTER": (10, _INTEGER.pack),
    "IFLA_TXQLEN": (13, _INTEGER.pack),
    "IFLA_LINKINFO": (18, _nested),
    "IFLA_IFALIAS": (20, _text),
    "IFLA_AF_SPEC": (26, _nested),
    "IFLA_NET_NS_FD": (28, _INTEGER.pack),
    "IFLA_EXT_MASK": (29, _INTEGER.pack),
    "IFLA_INFO_KIND": (1, _text),
    "IFLA_INFO_DATA": (2, _nested),
    "IFLA_INFO_SLAVE_KIND": (4, _text),
    "IFLA_INFO_SLAVE_DATA": (5, _nested),
    "IFLA_BR_FORWARD_DELAY": (1, _INTEGER.pack),
    "IFLA_BR_STP_STATE": (5, _INTEGER.pack),
    "IFLA_BR_VLAN_FILTERING": (7, _BYTE.pack),
    "IFLA_BRPORT_MODE": (4, _BYTE.pack),
    "IFLA_BRPORT_ISOLATED": (33, _BYTE.pack),
    "IFLA_BRIDGE_VLAN_INFO": (2, lambda value: _VLAN.pack(*value)),
    "IFLA_VXLAN_ID": (1, _INTEGER.pack),
    "IFLA_VXLAN_LINK": (3, _INTEGER.pack),
    "IFLA_VXLAN_LOCAL": (4, socket.inet_aton),
    "IFLA_VXLAN_LEARNING": (7, _BYTE.pack),
    "IFLA_VXLAN_PORT": (15, _SHORT.pack),
    "VETH_INFO_PEER": (1, _peer),
    "AF_INET6": (10, _nested),
    "IFLA_INET6_ADDR_GEN_MODE": (8, _BYTE.pack),
    "IFA_ADDRESS": (1, socket.inet_aton),
    "IFA_LOCAL": (2, socket.inet_aton),
    "IFA_BROADCAST": (4, socket.inet_aton),
    "IFA_FLAGS": (8, _INTEGER.pack),
    "RTA_DST": (1, socket.inet_aton),
    "RTA_OIF": (4, _INTEGER.pack),
    "RTA_GATEWAY": (5, socket.inet_aton),
    "RTA_PRIORITY": (6, _INTEGER.pack),
    "RTA_PREFSRC": (7, socket.inet_aton),
    "RTA_MULTIPATH": (9, _hops),
    "RTA_TABLE": (15, _INTEGER.pack),
    "NDA_DST": (1, socket.inet_aton),
    "NDA_LLADDR": (2, _hardware),
}
"""Of each attribute its number and how its value is encoded."""


def _message(kind: int, flags: int, body: bytes, attributes: Attributes) -> bytes:
    payload = body + _nested(attributes)
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, 0, 0) + payload


def link_message(
    kind: int,
    flags: int,
    attributes: Attributes,
    *,
    index: int = 0,
    up: bool | None = None,
    family: int = 0,
    states: Mapping[int, bool] | None = None,
) -> bytes:
    """An `ifinfomsg`; `up` None leaves the link's state as it is, `states` are further IFF_ bits to set or clear."""
    given = {**(states or {}), **({} if up is None else {_IFF_UP: up})}
    wanted = sum(bit for bit, on in given.items() if on)
    return _message(kind, flags, _LINK.pack(family, 0, index, wanted, sum(given)), attributes)


def address_message(
    kind: int, flags: int, attributes: Attributes, *, index: int, prefixlen: int, scope: int = 0, family: int = 2
) -> bytes:
    """An `ifaddrmsg`, IPv4 unless told."""
    return _message(kind, flags, _ADDRESS.pack(family, prefixlen, 0, scope, index), attributes)


def route_message(
    kind: int,
    flags: int,
    attributes: Attributes,
    *,
    prefixlen: int,
    table: int,
    protocol: int,
    scope: int,
    route_type: int,
    nexthop_flags: int = 0,
    family: int = 2,
) -> bytes:
    """An `rtmsg`, IPv4 unless told."""
    body = _ROUTE.pack(family, prefixlen, 0, 0, table, protocol, scope, route_type, nexthop_flags)
    return _message(kind, flags, body, attributes)


def neighbour_message(
    kind: int, flags: int, attributes: Attributes, *, index: int, state: int, family: int = 2, own_table: bool = False
) -> bytes:
    """An `ndmsg`, IPv4 unless told. `own_table` is that of the link itself, and not of a bridge that it is in."""
    body = _NEIGHBOUR.pack(family, index, state, _NTF_SELF if own_table else 0, 0)
    return _message(kind, flags, body, attributes)
