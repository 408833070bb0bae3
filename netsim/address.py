"""IPv4 addresses on links."""

from __future__ import annotations

import errno
import functools
import ipaddress
import socket
import struct
from dataclasses import dataclass

from netsim import messages
from netsim.messages import address_message
from netsim.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Netlink, Request, attributes

_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_NOPREFIXROUTE = 0x200
_NUMBER = struct.Struct("!I")
_POINT_TO_POINT = 31
_HEADER = struct.Struct("=BBBBI")
_GONE = frozenset({errno.EADDRNOTAVAIL, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Address:
    """An address on a link, with its prefix length."""

    index: int
    interface: ipaddress.IPv4Interface


def new_address(index: int, interface: str, *, replace: bool = False, prefix_route: bool = True) -> Request:
    """Asks to put `interface`, such as "10.44.1.2/24", on the link of that ifindex.

    `replace` makes one that is there already no error. Without `prefix_route` no route to the prefix comes with it.
    """
    text, _, length = interface.partition("/")
    mode = NLM_F_REPLACE if replace else NLM_F_EXCL
    broadcast = _broadcast(interface) if int(length) < _POINT_TO_POINT else ""
    message = _new_message(index, int(length), broadcast, mode, prefix_route)
    hole = socket.inet_aton(messages.ADDRESS_HOLE)
    return Request(messages.filled(message, (hole, socket.inet_aton(text))), f"add address {interface}")


def removal(index: int, interface: str) -> Request:
    """Asks to take an address off a link; one that is gone is as good."""
    address = ipaddress.IPv4Interface(interface)
    attrs = [("IFA_LOCAL", str(address.ip))]
    message = address_message(_RTM_DELADDR, 0, attrs, index=index, prefixlen=address.network.prefixlen)
    return Request(message, f"delete address {interface}", _GONE)


def list_addresses(netlink: Netlink, index: int | None = None) -> list[Address]:
    """The IPv4 addresses of the namespace, or of one link."""
    answers = netlink.dump(_listing(index or 0))
    found = []
    for answer in answers:
        _family, prefixlen, _flags, _scope, link = _HEADER.unpack_from(answer.body)
        values = attributes(answer.body, 8)
        local = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
        if local and (index is None or link == index):
            found.append(Address(link, ipaddress.IPv4Interface((local, prefixlen))))
    return found


@functools.lru_cache(maxsize=64)
def _new_message(index: int, prefixlen: int, broadcast: str, mode: int, prefix_route: bool) -> bytes:
    attrs: list[tuple[str, object]] = [("IFA_LOCAL", messages.ADDRESS_HOLE), ("IFA_ADDRESS", messages.ADDRESS_HOLE)]
    attrs += [("IFA_BROADCAST", broadcast)] if broadcast else []
    attrs += [] if prefix_route else [("IFA_FLAGS", _IFA_F_NOPREFIXROUTE)]
    return address_message(_RTM_NEWADDR, NLM_F_CREATE | mode, attrs, index=index, prefixlen=prefixlen)


def _broadcast(interface: str) -> str:
    address, _, length = interface.partition("/")
    (number,) = _NUMBER.unpack(socket.inet_aton(address))
    return socket.inet_ntoa(_NUMBER.pack(number | (1 << 32 - int(length)) - 1))


@functools.lru_cache(maxsize=64)
def _listing(index: int) -> Request:
    return Request(address_message(_RTM_GETADDR, 0, [], index=index, prefixlen=0), "list addresses")


def ensure_address(netlink: Netlink, index: int, interface: str) -> None:
    """Puts an address on a link unless it has it."""
    netlink.send(new_address(index, interface, replace=True))
