"""Links: veth pairs, bridges and the like, as rtnetlink requests and as the few verbs on them.

Functions that return a `Request` only say what is wanted, so that callers can put several into one
`Netlink.send`; the verbs send. Links are named by `ifname` throughout, so no look-up precedes a change.
"""

from __future__ import annotations

import errno
import functools
import struct
from dataclasses import dataclass

from netsim import messages
from netsim.errors import NotFound
from netsim.messages import link_message
from netsim.netlink import NLM_F_CREATE, NLM_F_EXCL, Answer, Netlink, Request, attributes, text

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER = 1, 3, 4, 5, 10
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_CARRIER_DOWN_COUNT, _IFLA_INFO_KIND = 18, 20, 48, 1
_RTEXT_FILTER_SKIP_STATS = 8
_ADDR_GEN_MODE_NONE = 1
_IFF_UP, _IFF_PROMISC, _IFF_ALLMULTI = 0x1, 0x100, 0x200
_HEADER = struct.Struct("=BxHiII")
_INTEGER = struct.Struct("=I")

_EXISTS = frozenset({errno.EEXIST})
_ABSENT = frozenset({errno.ENODEV})


_REMEMBERED = 64
"""Encoding costs more than sending, and the same few requests come again for every container."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel describes it; `peer` is the ifindex of a veth's other end, `master` of its bridge, `outages`
    how often it has lost its carrier."""

    index: int
    ifname: str
    kind: str
    up: bool
    mtu: int
    address: str
    alias: str
    peer: int
    master: int
    outages: int


def new_bridge(ifname: str, *, address: str, mtu: int) -> Request:
    """Asks for a bridge with a fixed MAC address, so that it does not change with the ports."""
    # A bridge that has only just been made learns nothing by waiting: no forward delay, no spanning tree.
    options = {"attrs": [("IFLA_BR_FORWARD_DELAY", 0), ("IFLA_BR_STP_STATE", 0)]}
    attrs = [*_kind("bridge", options), ("IFLA_IFNAME", ifname), ("IFLA_ADDRESS", address), ("IFLA_MTU", mtu)]
    return Request(link_message(_RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attrs), f"create bridge {ifname}")


def new_veth(
    ifname: str,
    peer: str,
    *,
    mtu: int,
    peer_netns: int | None = None,
    address: str = "",
    peer_address: str = "",
    master: int | None = None,
) -> Request:
    """Asks for a veth pair with both names, and the peer at once in the namespace that `peer_netns` (a descriptor) is.

    Neither end is up afterwards: a veth that comes up before its peer exists fails with ENOTCONN.
    """
    name_hole, mac_hole, peer_mac_hole = messages.name_hole(ifname), *messages.MAC_HOLES
    message = _veth_message(
        name_hole,
        peer,
        mtu,
        peer_netns=None if peer_netns is None else messages.NUMBER_HOLE,
        address=mac_hole if address else "",
        peer_address=peer_mac_hole if peer_address else "",
        master=master,
    )
    values = [(name_hole.encode(), ifname.encode())]
    values += [(_raw(mac_hole), _raw(address))] if address else []
    values += [(_raw(peer_mac_hole), _raw(peer_address))] if peer_address else []
    values += [(_INTEGER.pack(messages.NUMBER_HOLE), _INTEGER.pack(peer_netns))] if peer_netns is not None else []
    return Request(messages.filled(message, *values), f"create veth pair {ifname} and {peer}")


def new_vxlan(ifname: str, *, vni: int, port: int, local: str = "", below: int = 0) -> Request:
    """Asks for a vxlan link that learns nothing by itself, as flannel's: its neighbours are told to it.

    It sends from the address `local` by the link with the ifindex `below`.
    """
    options: list[tuple[str, object]] = [("IFLA_VXLAN_ID", vni), ("IFLA_VXLAN_PORT", port), ("IFLA_VXLAN_LEARNING", 0)]
    if local:
        options.append(("IFLA_VXLAN_LOCAL", local))
    if below:
        options.append(("IFLA_VXLAN_LINK", below))
    attrs = [*_kind("vxlan", {"attrs": options}), ("IFLA_IFNAME", ifname)]
    return Request(link_message(_RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attrs), f"create vxlan {ifname}")


def new_ifb(ifname: str, *, mtu: int) -> Request:
    """Asks for an ifb link: what another link receives can be sent through it, and through its queue."""
    attrs = [("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "ifb")]}), ("IFLA_IFNAME", ifname), ("IFLA_MTU", mtu)]
    return Request(link_message(_RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attrs), f"create ifb {ifname}")


@functools.lru_cache(maxsize=_REMEMBERED)
def change(
    ifname: str,
    *,
    up: bool | None = None,
    alias: str | None = None,
    master: int | None = None,
    mtu: int | None = None,
    address: str | None = None,
    queue_length: int | None = None,
    promiscuous: bool | None = None,
    all_multicast: bool | None = None,
) -> Request:
    """Asks to change what is given of a link, and to leave the rest. `master` 0 takes it out of its bridge."""
    given = [
        ("IFLA_IFALIAS", alias),
        ("IFLA_MASTER", master),
        ("IFLA_MTU", mtu),
        ("IFLA_ADDRESS", address),
        ("IFLA_TXQLEN", queue_length),
    ]
    attrs = [("IFLA_IFNAME", ifname)] + [pair for pair in given if pair[1] is not None]
    bits = {_IFF_PROMISC: promiscuous, _IFF_ALLMULTI: all_multicast}
    states = {bit: on for bit, on in bits.items() if on is not None}
    return Request(link_message(_RTM_NEWLINK, 0, attrs, up=up, states=states), f"change link {ifname}")


def bridge_port(ifname: str, *, hairpin: bool, isolated: bool = False) -> Request:
    """Asks to bring a port of a bridge up, without an IPv6 address of its own.

    `hairpin` lets a frame leave by the port that it came in by: a pod that reaches itself by a Service. Between
    `isolated` ports the bridge forwards nothing.
    """
    hole = messages.name_hole(ifname)
    message = messages.filled(_port_message(hole, hairpin, isolated), (hole.encode(), ifname.encode()))
    return Request(message, f"bring bridge port {ifname} up")


def removal(ifname: str) -> Request:
    """Asks to delete a link; one that is gone is as good."""
    message = link_message(_RTM_DELLINK, 0, [("IFLA_IFNAME", ifname)])
    return Request(message, f"delete link {ifname}", _ABSENT)


def get_link(netlink: Netlink, ifname: str) -> Link:
    """The link of that name. Raises `NotFound`."""
    return _parse(netlink.get(_lookup(ifname)))


def find_link(netlink: Netlink, ifname: str) -> Link | None:
    """The link of that name, or None."""
    try:
        return get_link(netlink, ifname)
    except NotFound:
        return None


def get_loopback(netlink: Netlink) -> Link:
    """`lo`, which is the first link of every namespace and carries the namespace's mark."""
    attrs = [("IFLA_EXT_MASK", _RTEXT_FILTER_SKIP_STATS)]
    return _parse(netlink.get(Request(link_message(_RTM_GETLINK, 0, attrs, index=1), "look up link lo")))


def list_links(netlink: Netlink) -> list[Link]:
    """All links of the namespace, in the order of their ifindex."""
    attrs = [("IFLA_EXT_MASK", _RTEXT_FILTER_SKIP_STATS)]
    return [_parse(answer) for answer in netlink.dump(Request(link_message(_RTM_GETLINK, 0, attrs), "list links"))]


def ensure_bridge(netlink: Netlink, ifname: str, *, address: str, mtu: int) -> Link:
    """A bridge of that name that is up; one that exists keeps its ports and addresses."""
    found = find_link(netlink, ifname)
    if found is None:
        netlink.send(new_bridge(ifname, address=address, mtu=mtu), change(ifname, up=True))
        return get_link(netlink, ifname)
    if not found.up or found.mtu != mtu:
        netlink.send(change(ifname, up=True, mtu=mtu))
    return found


def delete_link(netlink: Netlink, ifname: str) -> None:
    """Deletes a link and with it its veth peer; a link that is gone is no error."""
    netlink.send(removal(ifname))


@functools.lru_cache(maxsize=_REMEMBERED)
def _veth_message(
    ifname: str,
    peer: str,
    mtu: int,
    *,
    peer_netns: int | None,
    address: str,
    peer_address: str,
    master: int | None,
) -> bytes:
    peer_attrs: list[tuple[str, object]] = [("IFLA_IFNAME", peer), ("IFLA_MTU", mtu)]
    if peer_address:
        peer_attrs.append(("IFLA_ADDRESS", peer_address))
    if peer_netns is not None:
        peer_attrs.append(("IFLA_NET_NS_FD", peer_netns))
    attrs = _kind("veth", {"attrs": [("VETH_INFO_PEER", {"attrs": peer_attrs})]})
    attrs += [("IFLA_IFNAME", ifname), ("IFLA_MTU", mtu)]
    if address:
        attrs.append(("IFLA_ADDRESS", address))
    if master is not None:
        attrs.append(("IFLA_MASTER", master))
    return link_message(_RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attrs)


@functools.lru_cache(maxsize=_REMEMBERED)
def _port_message(ifname: str, hairpin: bool, isolated: bool) -> bytes:
    no_ipv6_address = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_MODE_NONE)]}
    flags = [("IFLA_BRPORT_MODE", int(hairpin)), ("IFLA_BRPORT_ISOLATED", int(isolated))]
    port = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": flags})]
    attrs = [
        ("IFLA_IFNAME", ifname),
        ("IFLA_AF_SPEC", {"attrs": [("AF_INET6", no_ipv6_address)]}),
        ("IFLA_LINKINFO", {"attrs": port}),
    ]
    return link_message(_RTM_NEWLINK, 0, attrs, up=True)


def _raw(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


@functools.lru_cache(maxsize=_REMEMBERED)
def _lookup(ifname: str) -> Request:
    attrs = [("IFLA_IFNAME", ifname), ("IFLA_EXT_MASK", _RTEXT_FILTER_SKIP_STATS)]
    return Request(link_message(_RTM_GETLINK, 0, attrs), f"look up link {ifname}")


def _kind(kind: str, data: object) -> list[tuple[str, object]]:
    return [("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", data)]})]


def _parse(answer: Answer) -> Link:
    _family, _hardware, index, flags, _change = _HEADER.unpack_from(answer.body)
    found = attributes(answer.body, 16)
    info = attributes(found.get(_IFLA_LINKINFO, b""), 0)
    return Link(
        index=index,
        ifname=text(found.get(_IFLA_IFNAME, b"")),
        kind=text(info.get(_IFLA_INFO_KIND, b"")),
        up=bool(flags & _IFF_UP),
        mtu=_number(found.get(_IFLA_MTU)),
        address=found.get(_IFLA_ADDRESS, b"").hex(":"),
        alias=text(found.get(_IFLA_IFALIAS, b"")),
        peer=_number(found.get(_IFLA_LINK)),
        master=_number(found.get(_IFLA_MASTER)),
        outages=_number(found.get(_IFLA_CARRIER_DOWN_COUNT)),
    )


def _number(value: bytes | None) -> int:
    return _INTEGER.unpack(value)[0] if value else 0
