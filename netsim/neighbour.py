"""Permanent neighbours: the MAC address of an IPv4 address on a link, and the vxlan peer that a MAC address is behind.

The first are what `ip neigh`, the second what `bridge fdb` shows. Both are told to the kernel, which learns none of
them by itself on a link that is made so.
"""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from netsim.messages import neighbour_message
from netsim.netlink import NLM_F_CREATE, NLM_F_REPLACE, Netlink, Request, attributes

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_PERMANENT = 0x80
_AF_BRIDGE = 7
_HEADER = struct.Struct("=BxxxiHBB")
_NOWHERE = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A MAC address, and the IPv4 address that has it (`family` AF_INET) or that it is behind (AF_BRIDGE)."""

    address: str
    mac: str
    family: int = socket.AF_INET


def forwarding(mac: str, peer: str) -> Neighbour:
    """What is for `mac` goes to the vxlan peer of that address."""
    return Neighbour(peer, mac, _AF_BRIDGE)


def reconcile(netlink: Netlink, index: int, wanted: Iterable[Neighbour]) -> None:
    """Makes the permanent neighbours on the link of that ifindex those that are wanted."""
    target, present = set(wanted), set(list_neighbours(netlink, index))
    # A MAC address is behind one peer: what takes another's place must not go after it came.
    netlink.send(
        *(_encode(_RTM_DELNEIGH, 0, index, each) for each in sorted(present - target, key=_order)),
        *(
            _encode(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index, each)
            for each in sorted(target - present, key=_order)
        ),
    )


def list_neighbours(netlink: Netlink, index: int) -> list[Neighbour]:
    """The permanent neighbours on a link, of both kinds."""
    return [*_list(netlink, index, socket.AF_INET), *_list(netlink, index, _AF_BRIDGE)]


def _list(netlink: Netlink, index: int, family: int) -> list[Neighbour]:
    # The kernel selects the link by a field that only the dump of the bridge's table has; so all are read.
    message = neighbour_message(_RTM_GETNEIGH, 0, [], index=0, state=0, family=family)
    found = []
    for answer in netlink.dump(Request(message, "list neighbours")):
        _family, link, state, _flags, _kind = _HEADER.unpack_from(answer.body)
        values = attributes(answer.body, 12)
        if link == index and state & _NUD_PERMANENT and len(values.get(_NDA_DST, b"")) == 4:
            mac = values.get(_NDA_LLADDR, b"").hex(":")
            if mac != _NOWHERE:
                found.append(Neighbour(socket.inet_ntoa(values[_NDA_DST]), mac, family))
    return found


@functools.lru_cache(maxsize=256)
def _encode(kind: int, flags: int, index: int, each: Neighbour) -> Request:
    attrs = [("NDA_DST", each.address), ("NDA_LLADDR", each.mac)]
    own = each.family == _AF_BRIDGE
    message = neighbour_message(
        kind, flags, attrs, index=index, state=_NUD_PERMANENT, family=each.family, own_table=own
    )
    return Request(message, f"neighbour {each.mac} at {each.address}")


def _order(each: Neighbour) -> tuple[int, str, str]:
    return each.family, each.address, each.mac
