"""Name: bridge

Description: puts a container on a bridge of the namespace that it is called in, by a veth pair.

Syntax:
    bridge            the bridge's name, made if it is not there; default "cni0"
    isGateway         the bridge gets the gateway's address, and the namespace forwards
    isDefaultGateway  the same, and the container's default route goes there
    forceAddress      a different address that the bridge has in that subnet is taken off
    ipMasq            what leaves the subnet gets the address of the way out
    mtu               of both ends; default 1500
    hairpinMode       a container reaches itself by an address that is translated on the bridge's far side
    portIsolation     containers reach the bridge and what is behind it, and not each other
    promiscMode       the bridge takes every frame; not together with hairpinMode
    vlan              the container's untagged frames are of this VLAN, and its gateway is a link BRIDGE.VLAN
    vlanTrunk         list of {id}, {minID, maxID}: VLANs whose tagged frames the container gets
    preserveDefaultVlan  the port stays in VLAN 1 as well; default true
    ipam              configuration of the plugin that gives addresses
With the capability `mac` the container's MAC address is set; else it is made of its IPv4 address.

Example: {"type": "bridge", "bridge": "cbr0", "isGateway": true, "hairpinMode": true, "mtu": 1460, "ipam": {...}}
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface

from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig, UnsupportedField
from cni.plugins.bridge_vlans import Vlans, ensure_filtering, ensure_gateway_link, join
from cni.plugins.interface import (
    DEFAULT_ROUTE,
    check_inside,
    differs,
    ensure_namespace_exists,
    flag,
    given_addresses,
    ipam_type,
    masquerade_container,
    masquerade_no_more,
    mtu,
    outer_name,
)
from cni.spec import Interface, Result, RouteConfig
from netsim import address, link, namespace, route, syscalls, sysctl
from netsim.errors import AlreadyExists, NotFound
from netsim.link import Link
from netsim.names import hardware_address, hardware_address_of
from netsim.netlink import Netlink
from netsim.route import Route

_REFUSED = ("macspoofchk",)


@dataclass(frozen=True, slots=True)
class _Config:
    bridge: str
    gateway: bool
    default_gateway: bool
    force_address: bool
    masquerade: bool
    mtu: int
    hairpin: bool
    isolated: bool
    promiscuous: bool
    vlans: Vlans
    ipam: str
    mac: str


class Bridge:
    """The main plugin."""

    def add(self, call: Call) -> Result:
        """Addresses from IPAM, then the link, then what is in the container's namespace."""
        config = _read(call)
        ensure_namespace_exists(call)
        with ExitStack() as undo:
            given = given_addresses(call, config.ipam, undo) if config.ipam else Result()
            bridge = _ensure_bridge(call, config, given)
            made = _attach(call, config, bridge, given, undo)
            if config.masquerade:
                masquerade_container(call, given, undo)
            undo.pop_all()
        return made

    def delete(self, call: Call) -> None:
        """The link first, so that an address is not given out again while a container still uses it."""
        config = _read(call)
        _detach(call)
        if config.masquerade:
            masquerade_no_more(call)
        if config.ipam:
            call.surroundings.invoke("DEL", config.ipam, call)

    def check(self, call: Call) -> None:
        """Raises if a link, an address or a route is not as ADD left it."""
        config = _read(call)
        if config.ipam:
            call.surroundings.invoke("CHECK", config.ipam, call)
        host = call.surroundings.netlink()
        bridge, port = link.find_link(host, config.bridge), link.find_link(host, outer_name(call))
        if bridge is None or bridge.kind != "bridge":
            raise differs(f"there is no bridge {config.bridge}")
        if port is None or port.master != bridge.index or not port.up:
            raise differs(f"link {outer_name(call)} is not up in bridge {config.bridge}")
        check_inside(call)

    def gc(self, call: Call) -> None:
        """The links went with their namespaces; addresses are IPAM's to free."""
        config = _read(call)
        if config.ipam:
            call.surroundings.invoke("GC", config.ipam, call)

    def status(self, call: Call) -> None:
        """Ready when the configuration is right and IPAM is ready."""
        config = _read(call)
        if config.ipam:
            call.surroundings.invoke("STATUS", config.ipam, call)


def _read(call: Call) -> _Config:
    written = call.config
    for field in _REFUSED:
        if written.get(field):
            raise UnsupportedField(field, written[field])
    default_gateway = flag(written, "isDefaultGateway")
    if flag(written, "hairpinMode") and flag(written, "promiscMode"):
        raise InvalidConfig("promiscMode", True, "it cannot be set together with hairpinMode")
    return _Config(
        bridge=str(written.get("bridge") or "cni0"),
        gateway=flag(written, "isGateway") or default_gateway,
        default_gateway=default_gateway,
        force_address=flag(written, "forceAddress"),
        masquerade=flag(written, "ipMasq"),
        mtu=mtu(written),
        hairpin=flag(written, "hairpinMode"),
        isolated=flag(written, "portIsolation"),
        promiscuous=flag(written, "promiscMode"),
        vlans=Vlans.read(written),
        ipam=ipam_type(written),
        mac=str(written.get("runtimeConfig", {}).get("mac") or call.args.get("MAC") or ""),
    )


def _ensure_bridge(call: Call, config: _Config, given: Result) -> Link:
    host = call.surroundings.netlink()
    found = link.find_link(host, config.bridge)
    gateways = [f"{ip.gateway}/{ip.address.partition('/')[2]}" for ip in given.ips]
    if found is None:
        mac = hardware_address_of(given.ips[0].gateway) if gateways else hardware_address(config.bridge)
        try:
            found = link.ensure_bridge(host, config.bridge, address=mac, mtu=config.mtu)
        except AlreadyExists:
            # Someone else's ADD made it at this moment.
            found = link.get_link(host, config.bridge)
    if found.kind != "bridge":
        raise CniError(Code.INVALID_CONFIG, f"link {config.bridge} is there and is not a bridge")
    if config.vlans:
        ensure_filtering(host, config.bridge)
    if config.promiscuous:
        host.send(link.change(config.bridge, promiscuous=True))
    if config.gateway:
        gateway = ensure_gateway_link(host, found, config.vlans.access, config.mtu) if config.vlans.access else found
        _ensure_gateway(host, config, gateway, gateways)
    return found


def _ensure_gateway(host: Netlink, config: _Config, bridge: Link, gateways: list[str]) -> None:
    present = {str(found.interface): found.interface.network for found in address.list_addresses(host, bridge.index)}
    for gateway in gateways:
        if gateway in present:
            continue
        for other, network in present.items():
            if network.overlaps(IPv4Interface(gateway).network):
                if not config.force_address:
                    raise CniError(
                        Code.INVALID_CONFIG,
                        f"{bridge.ifname} has address {other}, not {gateway}",
                        "see forceAddress",
                    )
                host.send(address.removal(bridge.index, other))
        address.ensure_address(host, bridge.index, gateway)
    sysctl.ensure("net.ipv4.ip_forward", 1)


def _attach(call: Call, config: _Config, bridge: Link, given: Result, undo: ExitStack) -> Result:
    host, port = call.surroundings.netlink(), outer_name(call)
    first = given.ips[0].address.split("/")[0] if given.ips else ""
    mac = config.mac or (hardware_address_of(first) if first else hardware_address(call.container_id, call.ifname))
    port_mac = hardware_address(call.container_id, call.ifname, "port")
    with syscalls.opened(call.netns) as inside:
        pair = link.new_veth(
            port,
            call.ifname,
            mtu=config.mtu,
            peer_netns=inside,
            address=port_mac,
            peer_address=mac,
            master=bridge.index,
        )
        try:
            host.send(pair)
        except AlreadyExists:
            # An earlier ADD of this very container was cut short, or never deleted; the pair it left is replaced.
            link.delete_link(host, port)
            host.send(pair)
        undo.callback(link.delete_link, host, port)
        host.send(link.bridge_port(port, hairpin=config.hairpin, isolated=config.isolated))
        if config.vlans:
            join(host, port, config.vlans)
        routes = _routes(config, given)
        with namespace.entered_descriptor(inside), Netlink() as container:
            _set_up(container, call.ifname, given, routes)
    interfaces = (
        Interface(bridge.ifname, bridge.address, bridge.mtu),
        Interface(port, port_mac, config.mtu),
        Interface(call.ifname, mac, config.mtu, call.netns),
    )
    ips = tuple(replace(ip, interface=2) for ip in given.ips)
    return Result(interfaces, ips, routes, call.config.get("dns") or given.dns)


def _detach(call: Call) -> None:
    host, port = call.surroundings.netlink(), outer_name(call)
    if call.netns and os.path.exists(call.netns):
        link.delete_link(host, port)
        return
    # Without its namespace the pair goes by itself, along with those of other namespaces that go now; to delete it
    # would take 25 ms, in which nobody on this host can change a link. Down, it carries nothing until then.
    with suppress(NotFound):
        host.send(link.change(port, up=False))


def _set_up(container: Netlink, ifname: str, given: Result, routes: tuple[RouteConfig, ...]) -> None:
    index = link.get_link(container, ifname).index
    container.send(
        link.change("lo", up=True),
        *(address.new_address(index, ip.address) for ip in given.ips),
        link.change(ifname, up=True),
        *(route.new_route(_route(each, given, index)) for each in routes),
    )


def _routes(config: _Config, given: Result) -> tuple[RouteConfig, ...]:
    if config.default_gateway and not any(each.dst == DEFAULT_ROUTE for each in given.routes):
        return (*given.routes, RouteConfig(DEFAULT_ROUTE))
    return given.routes


def _route(each: RouteConfig, given: Result, index: int) -> Route:
    return Route(each.dst, (each.gw or given.ips[0].gateway,), index=index, protocol=route.BOOT_PROTOCOL)


PLUGIN = Bridge()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
