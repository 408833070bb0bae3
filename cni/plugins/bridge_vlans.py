"""The VLAN fields of the bridge plugin: `vlan`, `vlanTrunk` and `preserveDefaultVlan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cni.errors import CniError, Code, InvalidConfig
from cni.plugins.interface import number
from netsim import link, vlan
from netsim.errors import AlreadyExists, Unsupported
from netsim.link import Link
from netsim.names import link_name
from netsim.netlink import Netlink

_DEFAULT = 1


@dataclass(frozen=True, slots=True)
class Vlans:
    """What a container's port is a member of: `access` untagged (0 for none), `trunks` tagged, both ends included."""

    access: int
    trunks: tuple[tuple[int, int], ...]
    keep_default: bool

    def __bool__(self) -> bool:
        return bool(self.access or self.trunks)

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Vlans:
        """From the plugin's configuration. Raises `InvalidConfig`."""
        access = number(written, "vlan", vlan.FIRST, vlan.LAST)
        trunks = tuple(_trunk(each) for each in written.get("vlanTrunk") or ())
        if access and trunks:
            raise InvalidConfig("vlanTrunk", written["vlanTrunk"], "it cannot be set together with vlan")
        return cls(access, trunks, bool(written.get("preserveDefaultVlan", True)))


def ensure_filtering(host: Netlink, bridge: str) -> None:
    """Has the bridge keep VLANs apart. Raises `CniError` on a kernel whose bridges cannot."""
    try:
        host.send(vlan.filtering(bridge, True))
    except Unsupported as error:
        raise CniError(
            Code.UNSUPPORTED_FIELD,
            "vlan: the bridges of this kernel do not know VLANs",
            "a kernel with CONFIG_BRIDGE_VLAN_FILTERING is needed",
        ) from error


def ensure_gateway_link(host: Netlink, bridge: Link, access: int, mtu: int) -> Link:
    """The link BRIDGE.VLAN, by which the namespace itself is in the VLAN: a veth pair whose other end is a port."""
    ifname, port = f"{bridge.ifname}.{access}", link_name("vlan", bridge.ifname, str(access))
    found = link.find_link(host, ifname)
    if found is None:
        try:
            host.send(link.new_veth(port, ifname, mtu=mtu, master=bridge.index))
        except AlreadyExists:
            # Someone else's ADD made it at this moment.
            return link.get_link(host, ifname)
        host.send(link.bridge_port(port, hairpin=False), link.change(ifname, up=True))
        join(host, port, Vlans(access, (), keep_default=False))
        found = link.get_link(host, ifname)
    return found


def join(host: Netlink, port: str, vlans: Vlans) -> None:
    """Makes a port of the bridge a member of its VLANs."""
    index = link.get_link(host, port).index
    if vlans.access:
        host.send(vlan.access(index, vlans.access))
    host.send(*(vlan.trunk(index, first, last) for first, last in vlans.trunks))
    if not vlans.keep_default and vlans.access != _DEFAULT:
        host.send(vlan.removal(index, _DEFAULT))


def _trunk(written: object) -> tuple[int, int]:
    if not isinstance(written, Mapping):
        raise InvalidConfig("vlanTrunk", written, "a list of {id} or {minID, maxID} is needed")
    single = number(written, "id", vlan.FIRST, vlan.LAST)
    first = number(written, "minID", vlan.FIRST, vlan.LAST, single)
    last = number(written, "maxID", vlan.FIRST, vlan.LAST, single)
    if not first or not last or last < first:
        raise InvalidConfig("vlanTrunk", dict(written), "id, or minID up to maxID, is needed")
    return first, last
