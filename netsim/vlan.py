"""VLANs of a bridge: which of them its ports are members of, as `bridge vlan` shows it."""

from __future__ import annotations

import errno

from netsim.messages import link_message
from netsim.netlink import Request

FIRST, LAST = 1, 4094
"""The identifiers that a frame can carry."""

_RTM_NEWLINK, _RTM_SETLINK, _RTM_DELLINK = 16, 19, 17
_AF_BRIDGE = 7
_PVID, _UNTAGGED, _RANGE_BEGIN, _RANGE_END = 0x2, 0x4, 0x8, 0x10
_ABSENT = frozenset({errno.ENOENT, errno.ENODEV})


def filtering(bridge: str, enabled: bool) -> Request:
    """Asks a bridge to keep VLANs apart, or not to look at them."""
    data = {"attrs": [("IFLA_BR_VLAN_FILTERING", int(enabled))]}
    info = [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", data)]
    attrs = [("IFLA_IFNAME", bridge), ("IFLA_LINKINFO", {"attrs": info})]
    return Request(link_message(_RTM_NEWLINK, 0, attrs), f"set VLAN filtering of bridge {bridge}")


def access(index: int, vlan: int) -> Request:
    """Asks to have the port of that ifindex send and take untagged frames as that VLAN's."""
    return _membership(index, [(vlan, _PVID | _UNTAGGED)], f"make port {index} a member of VLAN {vlan}")


def trunk(index: int, first: int, last: int) -> Request:
    """Asks to have the port of that ifindex carry the tagged frames of the VLANs from `first` to `last`."""
    members = [(first, 0)] if first == last else [(first, _RANGE_BEGIN), (last, _RANGE_END)]
    return _membership(index, members, f"make port {index} a member of VLANs {first}-{last}")


def removal(index: int, vlan: int) -> Request:
    """Asks to take a port out of a VLAN; one that is no member is as good."""
    what = f"take port {index} out of VLAN {vlan}"
    return Request(_message(_RTM_DELLINK, index, [(vlan, 0)]), what, _ABSENT)


def _membership(index: int, members: list[tuple[int, int]], what: str) -> Request:
    return Request(_message(_RTM_SETLINK, index, members), what)


def _message(kind: int, index: int, members: list[tuple[int, int]]) -> bytes:
    infos = [("IFLA_BRIDGE_VLAN_INFO", {"vid": vlan, "flags": flags}) for vlan, flags in members]
    return link_message(kind, 0, [("IFLA_AF_SPEC", {"attrs": infos})], index=index, family=_AF_BRIDGE)
