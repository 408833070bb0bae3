"""Name: portmap

Description: leads ports of the namespace that it is called in to a container. It comes behind a plugin that gives the
container its address.

Syntax:
    snat          local clients, and containers of the same subnet, reach a mapped port too; default true
    markMasqBit   the bit of a packet's mark that is used for those; default 13
    capabilities  {"portMappings": true}; the runtime then says which ports: list of
                  {hostPort, containerPort, protocol (tcp, udp or sctp), hostIP}
`masqAll`, `conditionsV4`, `conditionsV6`, `externalSetMarkChain` and `backend` other than iptables are refused by name.

Example: {"type": "portmap", "capabilities": {"portMappings": true}}
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from cni import host_ports
from cni.call import Call
from cni.errors import CniError, Code, InvalidConfig, UnsupportedField
from cni.host_ports import Owner, PortMapping
from cni.plugins.interface import differs, flag, number
from cni.spec import VALID_ATTACHMENTS, Result
from netsim import conntrack, sysctl
from netsim.errors import MissingRequirement

_REFUSED = ("masqAll", "conditionsV4", "conditionsV6", "externalSetMarkChain")
_PROTOCOLS = ("tcp", "udp", "sctp")
_DEFAULT_BIT = 13


class PortMap:
    """The plugin."""

    def add(self, call: Call) -> Result:
        """The rules; the result is the earlier plugins' as it is."""
        mappings = _mappings(call)
        if call.previous is None:
            raise CniError(Code.INVALID_CONFIG, "portmap has to come behind a plugin that gives an address")
        if not mappings:
            return call.previous
        address = next((ip.address for ip in call.previous.ips if ":" not in ip.address), "")
        if not address:
            raise CniError(Code.INVALID_CONFIG, "portmap: the container has no IPv4 address")
        snat = flag({"snat": True, **call.config}, "snat")
        host_ports.ensure(_owner(call), address, mappings, snat=snat, mark_bit=_mark_bit(call))
        if snat:
            _let_loopback_be_translated(call.previous)
        _forget_flows(mappings)
        return call.previous

    def delete(self, call: Call) -> None:
        """Takes the rules away; a container that no port was mapped to costs nothing."""
        if _mappings(call):
            host_ports.remove(_owner(call))

    def check(self, call: Call) -> None:
        """Raises if a mapped port leads nowhere or elsewhere."""
        mappings = _mappings(call)
        rules = host_ports.find(_owner(call)) if mappings else []
        ips = [ip.address.partition("/")[0] for ip in (call.previous or Result()).ips]
        for mapping in mappings:
            ends = [f"--dport {mapping.host_port} -j DNAT --to-destination {ip}:{mapping.container_port}" for ip in ips]
            if not any(rule.endswith(end) for rule in rules for end in ends):
                raise differs(f"there is no rule for port {mapping.host_port}/{mapping.protocol}")

    def gc(self, call: Call) -> None:
        """Takes away the rules of containers of this network that are not attached any more."""
        valid = call.config.get(VALID_ATTACHMENTS) or ()
        host_ports.keep_only(call.network, {item["containerID"] for item in valid})

    def status(self, call: Call) -> None:
        """Ready when the configuration is right."""
        _read_fields(call)


def _owner(call: Call) -> Owner:
    return Owner(call.network, call.container_id)


def _read_fields(call: Call) -> None:
    for field in _REFUSED:
        if call.config.get(field):
            raise UnsupportedField(field, call.config[field])
    if call.config.get("backend", "iptables") != "iptables":
        raise UnsupportedField("backend", call.config["backend"])
    flag({"snat": True, **call.config}, "snat")
    _mark_bit(call)


def _mark_bit(call: Call) -> int:
    return number(call.config, "markMasqBit", 0, 31, _DEFAULT_BIT)


def _mappings(call: Call) -> list[PortMapping]:
    _read_fields(call)
    written = call.config.get("runtimeConfig", {}).get("portMappings") or ()
    # A port that is mapped to 0 is one that nobody asked for.
    return [_mapping(each) for each in written if each.get("hostPort")]


def _mapping(written: Mapping[str, Any]) -> PortMapping:
    protocol = str(written.get("protocol") or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise InvalidConfig("portMappings", dict(written), f"protocol: one of {', '.join(_PROTOCOLS)} is needed")
    host_ip = str(written.get("hostIP") or "")
    try:
        address = IPv4Address(host_ip or "0.0.0.0")
    except AddressValueError as error:
        raise InvalidConfig("portMappings", dict(written), "hostIP: an IPv4 address is needed") from error
    return PortMapping(
        host_port=number(written, "hostPort", 1, 65535),
        container_port=number(written, "containerPort", 1, 65535, 0) or _missing(written),
        protocol=protocol,
        host_ip="" if address.is_unspecified else host_ip,
    )


def _missing(written: Mapping[str, Any]) -> int:
    raise InvalidConfig("portMappings", dict(written), "containerPort is needed")


def _let_loopback_be_translated(previous: Result) -> None:
    """What is sent to a mapped port of 127.0.0.1 leaves by the first link outside of the container."""
    outside = [each.name for each in previous.interfaces if not each.sandbox]
    if outside:
        sysctl.ensure(f"net.ipv4.conf.{outside[0].replace('.', '/')}.route_localnet", 1)


def _forget_flows(mappings: list[PortMapping]) -> None:
    """UDP that went elsewhere, or nowhere, before the rules were there would go on doing so."""
    # Without the program conntrack until such a flow has been silent for its time-out.
    with suppress(MissingRequirement):
        for mapping in mappings:
            if mapping.protocol == "udp":
                conntrack.delete_udp_flows("--orig-port-dst", str(mapping.host_port))


PLUGIN = PortMap()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
