"""Name: ptp

Description: joins a container to the namespace that the plugin is called in by a veth pair of its own, without a
bridge: every packet is routed.

Syntax:
    mtu      of both ends; default 1500
    ipMasq   what leaves the container for elsewhere gets the address of the way out
    ipam     configuration of the plugin that gives addresses; needed
    dns      handed on in the result

The container's end has the address and, on it, a route to the gateway alone; the rest of its subnet lies behind the
gateway. The other end has the gateway's address as a /32 and a route to the container.

Example: {"type": "ptp", "ipMasq": true, "mtu": 1460, "ipam": {"type": "host-local", ...}}
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Interface

from cni.call import Call
from cni.errors import InvalidConfig
from cni.plugins.interface import (
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
from cni.spec import Interface, Result
from netsim import address, link, namespace, route, syscalls, sysctl
from netsim.errors import AlreadyExists
from netsim.names import hardware_address, hardware_address_of
from netsim.netlink import Netlink, Request
from netsim.route import Route


class PointToPoint:
    """The main plugin."""

    def add(self, call: Call) -> Result:
        """Addresses from IPAM, the pair, and routes on both sides of it."""
        ipam = _ipam(call)
        ensure_namespace_exists(call)
        with ExitStack() as undo:
            given = given_addresses(call, ipam, undo)
            made = _attach(call, given, undo)
            if flag(call.config, "ipMasq"):
                masquerade_container(call, given, undo)
            undo.pop_all()
        return made

    def delete(self, call: Call) -> None:
        """The pair first, so that an address is not given out again while a container still uses it."""
        link.delete_link(call.surroundings.netlink(), outer_name(call))
        if flag(call.config, "ipMasq"):
            masquerade_no_more(call)
        call.surroundings.invoke("DEL", _ipam(call), call)

    def check(self, call: Call) -> None:
        """Raises if a link, an address or a route is not as ADD left it."""
        call.surroundings.invoke("CHECK", _ipam(call), call)
        host = call.surroundings.netlink()
        outer = link.find_link(host, outer_name(call))
        if outer is None or not outer.up:
            raise differs(f"link {outer_name(call)} is not up")
        routes = {found.destination for found in route.list_routes(host)}
        for ip in (call.previous or Result()).ips:
            if f"{IPv4Interface(ip.address).ip}/32" not in routes:
                raise differs(f"there is no route to {ip.address}")
        check_inside(call)

    def gc(self, call: Call) -> None:
        """The links went with their namespaces; addresses are IPAM's to free."""
        call.surroundings.invoke("GC", _ipam(call), call)

    def status(self, call: Call) -> None:
        """Ready when the configuration is right and IPAM is ready."""
        call.surroundings.invoke("STATUS", _ipam(call), call)


def _ipam(call: Call) -> str:
    mtu(call.config)
    found = ipam_type(call.config)
    if not found:
        raise InvalidConfig("ipam", call.config.get("ipam"), "a plugin that gives addresses is needed")
    return found


def _attach(call: Call, given: Result, undo: ExitStack) -> Result:
    host, outer, size = call.surroundings.netlink(), outer_name(call), mtu(call.config)
    mac = hardware_address_of(str(IPv4Interface(given.ips[0].address).ip))
    outer_mac = hardware_address(call.container_id, call.ifname, "port")
    with syscalls.opened(call.netns) as inside:
        pair = link.new_veth(outer, call.ifname, mtu=size, peer_netns=inside, address=outer_mac, peer_address=mac)
        try:
            host.send(pair)
        except AlreadyExists:
            # An earlier ADD of this very container was cut short, or never deleted; the pair it left is replaced.
            link.delete_link(host, outer)
            host.send(pair)
        undo.callback(link.delete_link, host, outer)
        with namespace.entered_descriptor(inside), Netlink() as container:
            _set_up_inside(container, call.ifname, given)
    _set_up_outside(host, outer, given)
    sysctl.ensure("net.ipv4.ip_forward", 1)
    interfaces = (Interface(outer, outer_mac, size), Interface(call.ifname, mac, size, call.netns))
    ips = tuple(replace(ip, interface=1) for ip in given.ips)
    return Result(interfaces, ips, given.routes, call.config.get("dns") or given.dns)


def _set_up_inside(container: Netlink, ifname: str, given: Result) -> None:
    index = link.get_link(container, ifname).index
    requests: list[Request] = [link.change("lo", up=True), link.change(ifname, up=True)]
    for ip in given.ips:
        own = IPv4Interface(ip.address)
        requests.append(address.new_address(index, ip.address, prefix_route=False))
        requests.append(route.new_route(_route(f"{ip.gateway}/32", "", index, source=str(own.ip))))
        requests.append(route.new_route(_route(str(own.network), ip.gateway, index, source=str(own.ip))))
    requests += [route.new_route(_route(each.dst, each.gw or given.ips[0].gateway, index)) for each in given.routes]
    container.send(*requests)


def _set_up_outside(host: Netlink, outer: str, given: Result) -> None:
    # Only now that the peer exists may this end come up.
    host.send(link.change(outer, up=True))
    index = link.get_link(host, outer).index
    for ip in given.ips:
        host.send(
            address.new_address(index, f"{ip.gateway}/32"),
            route.new_route(_route(f"{IPv4Interface(ip.address).ip}/32", "", index), replace=True),
        )


def _route(destination: str, gateway: str, index: int, *, source: str = "") -> Route:
    gateways = (gateway,) if gateway else ()
    return Route(destination, gateways, index=index, source=source, protocol=route.BOOT_PROTOCOL)


PLUGIN = PointToPoint()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
