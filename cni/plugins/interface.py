"""What the plugins share that give a container an interface: IPAM asked, fields read, the container's end checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig, InvalidEnvironment
from cni.spec import IPConfig, Result
from netsim import address, link, namespace, route
from netsim.errors import NotFound
from netsim.names import link_name
from netsim.netlink import Netlink

DEFAULT_ROUTE = "0.0.0.0/0"
_LARGEST_MTU = 65535


def flag(written: Mapping[str, Any], field: str) -> bool:
    """A field that is true or false, false if it is not there. Raises `InvalidConfig`."""
    value = written.get(field, False)
    if not isinstance(value, bool):
        raise InvalidConfig(field, value, "true or false is needed")
    return value


def number(written: Mapping[str, Any], field: str, lowest: int, highest: int, default: int = 0) -> int:
    """A field that is a whole number; not there, or 0, it is the default. Raises `InvalidConfig`."""
    value = written.get(field) or default
    if value == default:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise InvalidConfig(field, value, f"a number from {lowest} to {highest} is needed")
    return value


def mtu(written: Mapping[str, Any], default: int = 1500) -> int:
    """The field `mtu`, in bytes."""
    return number(written, "mtu", 68, _LARGEST_MTU, default)


def ipam_type(written: Mapping[str, Any]) -> str:
    """The plugin that gives addresses; empty if none is to."""
    return str((written.get("ipam") or {}).get("type") or "")


def ensure_namespace_exists(call: Call) -> None:
    """Raises `InvalidEnvironment` if the container's namespace is not there."""
    if not os.path.exists(call.netns):
        raise InvalidEnvironment("CNI_NETNS", details=f"there is no namespace {call.netns!r}")


def given_addresses(call: Call, ipam: str, undo: ExitStack) -> Result:
    """What the IPAM plugin gives, each address with a gateway; given back when `undo` unwinds."""
    undo.callback(call.surroundings.invoke, "DEL", ipam, call)
    given = call.surroundings.invoke("ADD", ipam, call)
    if given is None or not given.ips:
        raise CniError(Code.INVALID_CONFIG, f"IPAM plugin {ipam} gave no address")
    if any(":" in ip.address for ip in given.ips):
        raise CniError(Code.UNSUPPORTED_FIELD, "unsupported: IPAM gave an IPv6 address")
    for ip in given.ips:
        _check("address", ip.address, IPv4Interface)
        _check("gateway", ip.gateway or ip.address, IPv4Interface)
    for each in given.routes:
        if ":" in each.dst + each.gw:
            raise CniError(Code.UNSUPPORTED_FIELD, f"unsupported: IPAM gave a route of IPv6: {each.dst}")
        _check("dst", each.dst, IPv4Network)
        _check("gw", each.gw or "0.0.0.0", IPv4Address)
    return replace(given, ips=tuple(_with_gateway(ip) for ip in given.ips))


def masquerade_container(call: Call, given: Result, undo: ExitStack) -> None:
    """The rules of `ipMasq`, taken away again when `undo` unwinds."""
    # An executable that makes no rules starts sooner without what runs programs.
    from cni import masquerade

    undo.callback(masquerade.remove, call.network, call.container_id)
    masquerade.ensure(call.network, call.container_id, [ip.address for ip in given.ips])


def masquerade_no_more(call: Call) -> None:
    """Takes the rules of `ipMasq` away; none is no error."""
    from cni import masquerade

    masquerade.remove(call.network, call.container_id)


def outer_name(call: Call) -> str:
    """The name of the veth end that stays with the caller."""
    return link_name("veth", call.container_id, call.ifname)


def check_inside(call: Call) -> None:
    """Raises if the container's end lacks an address or a route of what ADD made, or is not up."""
    expected = call.previous or Result()
    try:
        with namespace.entered(call.netns), Netlink() as container:
            nic = link.get_link(container, call.ifname)
            addresses = {str(found.interface) for found in address.list_addresses(container, nic.index)}
            destinations = {found.destination for found in route.list_routes(container)}
    except NotFound as error:
        raise differs(str(error)) from error
    missing = {ip.address for ip in expected.ips} - addresses
    lost = {str(IPv4Network(each.dst)) for each in expected.routes} - destinations
    if not nic.up or missing or lost:
        what = "it is not up" if not nic.up else f"it lacks {', '.join(sorted(missing | lost))}"
        raise differs(f"{call.ifname} of the container is not as it was made: {what}")


def differs(what: str) -> CniError:
    """The error of a CHECK that finds something else than ADD made."""
    return CniError(Code.CHECK_FAILED, what)


def _check(field: str, text: str, parse: Callable[[str], object]) -> None:
    try:
        parse(text)
    except ValueError as error:
        raise InvalidConfig(field, text, str(error)) from error


def _with_gateway(ip: IPConfig) -> IPConfig:
    """An IPAM plugin may leave the gateway out; it is the first address then."""
    return ip if ip.gateway else replace(ip, gateway=str(IPv4Interface(ip.address).network[1]))
