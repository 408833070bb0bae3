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
    ipam              configuration of the plugin that gives addresses
With the capability `mac` the container's MAC address is set; else it is made of its IPv4 address.

Example: {"type": "bridge", "bridge": "cbr0", "isGateway": true, "hairpinMode": true, "mtu": 1460, "ipam": {...}}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from cni import masquerade
from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig, InvalidEnvironment, UnsupportedField
from cni.spec import Interface, IPConfig, Result, RouteConfig
from netsim import address, link, namespace, route, syscalls, sysctl
from netsim.errors import AlreadyExists, NotFound
from netsim.link import Link
from netsim.names import hardware_address, hardware_address_of, link_name
from netsim.netlink import Netlink
from netsim.route import Route

_REFUSED = ("vlan", "vlanTrunk", "macspoofchk", "promiscMode", "portIsolation", "preserveDefaultVlan")
_DEFAULT = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class _Config:
    bridge: str
    gateway: bool
    default_gateway: bool
    force_address: bool
    masquerade: bool
    mtu: int
    hairpin: bool
    ipam: str
    mac: str


class Bridge:
    """The main plugin."""

    def add(self, call: Call) -> Result:
        """Addresses from IPAM, then the link, then what is in the container's namespace."""
        config = _read(call)
        if not os.path.exists(call.netns):
            raise InvalidEnvironment("CNI_NETNS", details=f"there is no namespace {call.netns!r}")
        with ExitStack() as undo:
            given = _addresses(config, call, undo)
            bridge = _ensure_bridge(call, config, given)
            made = _attach(call, config, bridge, given, undo)
            if config.masquerade:
                undo.callback(masquerade.remove, call.network, call.container_id)
                masquerade.ensure(call.network, call.container_id, [ip.address for ip in given.ips])
            undo.pop_all()
        return made

    def delete(self, call: Call) -> None:
        """The link first, so that an address is not given out again while a container still uses it."""
        config = _read(call)
        _detach(call)
        if config.masquerade:
            masquerade.remove(call.network, call.container_id)
        if config.ipam:
            call.surroundings.invoke("DEL", config.ipam, call)

    def check(self, call: Call) -> None:
        """Raises if a link, an address or a route is not as ADD left it."""
        config = _read(call)
        if config.ipam:
            call.surroundings.invoke("CHECK", config.ipam, call)
        host = call.surroundings.netlink()
        bridge, port = link.find_link(host, config.bridge), link.find_link(host, _port(call))
        if bridge is None or bridge.kind != "bridge":
            raise _differs(f"there is no bridge {config.bridge}")
        if port is None or port.master != bridge.index or not port.up:
            raise _differs(f"link {_port(call)} is not up in bridge {config.bridge}")
        _check_inside(call)

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
    mtu = written.get("mtu") or 1500
    if not isinstance(mtu, int) or not 68 <= mtu <= 65535:
        raise InvalidConfig("mtu", mtu, "a number from 68 to 65535 is needed")
    ipam = written.get("ipam") or {}
    default_gateway = _flag(written, "isDefaultGateway")
    return _Config(
        bridge=str(written.get("bridge") or "cni0"),
        gateway=_flag(written, "isGateway") or default_gateway,
        default_gateway=default_gateway,
        force_address=_flag(written, "forceAddress"),
        masquerade=_flag(written, "ipMasq"),
        mtu=mtu,
        hairpin=_flag(written, "hairpinMode"),
        ipam=str(ipam.get("type") or ""),
        mac=str(written.get("runtimeConfig", {}).get("mac") or call.args.get("MAC") or ""),
    )


def _flag(written: Mapping[str, Any], field: str) -> bool:
    value = written.get(field, False)
    if not isinstance(value, bool):
        raise InvalidConfig(field, value, "true or false is needed")
    return value


def _addresses(config: _Config, call: Call, undo: ExitStack) -> Result:
    if not config.ipam:
        return Result()
    undo.callback(call.surroundings.invoke, "DEL", config.ipam, call)
    given = call.surroundings.invoke("ADD", config.ipam, call)
    if given is None or not given.ips:
        raise CniError(Code.INVALID_CONFIG, f"IPAM plugin {config.ipam} gave no address")
    if any(":" in ip.address for ip in given.ips):
        raise CniError(Code.UNSUPPORTED_FIELD, "unsupported: IPAM gave an IPv6 address")
    return replace(given, ips=tuple(_with_gateway(ip) for ip in given.ips))


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
    if config.gateway:
        _ensure_gateway(host, config, found, gateways)
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
                        f"bridge {config.bridge} has address {other}, not {gateway}",
                        "see forceAddress",
                    )
                host.send(address.removal(bridge.index, other))
        address.ensure_address(host, bridge.index, gateway)
    sysctl.ensure("net.ipv4.ip_forward", 1)


def _attach(call: Call, config: _Config, bridge: Link, given: Result, undo: ExitStack) -> Result:
    host, port = call.surroundings.netlink(), _port(call)
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
        host.send(link.bridge_port(port, hairpin=config.hairpin))
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
    host, port = call.surroundings.netlink(), _port(call)
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
    if config.default_gateway and not any(each.dst == _DEFAULT for each in given.routes):
        return (*given.routes, RouteConfig(_DEFAULT))
    return given.routes


def _route(each: RouteConfig, given: Result, index: int) -> Route:
    return Route(each.dst, (each.gw or given.ips[0].gateway,), index=index, protocol=route.BOOT_PROTOCOL)


def _with_gateway(ip: IPConfig) -> IPConfig:
    """An IPAM plugin may leave the gateway out; it is the first address then."""
    return ip if ip.gateway else replace(ip, gateway=str(IPv4Interface(ip.address).network[1]))


def _port(call: Call) -> str:
    return link_name("veth", call.container_id, call.ifname)


def _check_inside(call: Call) -> None:
    expected = call.previous or Result()
    try:
        with namespace.entered(call.netns), Netlink() as container:
            nic = link.get_link(container, call.ifname)
            addresses = {str(found.interface) for found in address.list_addresses(container, nic.index)}
            destinations = {found.destination for found in route.list_routes(container)}
    except NotFound as error:
        raise _differs(str(error)) from error
    missing = {ip.address for ip in expected.ips} - addresses
    lost = {str(IPv4Network(each.dst)) for each in expected.routes} - destinations
    if not nic.up or missing or lost:
        what = "it is not up" if not nic.up else f"it lacks {', '.join(sorted(missing | lost))}"
        raise _differs(f"{call.ifname} of the container is not as it was made: {what}")


def _differs(what: str) -> CniError:
    return CniError(Code.CHECK_FAILED, what)


PLUGIN = Bridge()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
