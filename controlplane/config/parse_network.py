"""The fields `spec.network` and `spec.dns` of cluster.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, TypeVar, cast

from cni.spec import CURRENT_VERSION, SUPPORTED_VERSIONS
from controlplane.config.fields import Field, refuse_twice
from controlplane.config.parse_policy import parse_path, parse_route, parse_rule
from controlplane.config.regions import REGIONS, auto_subnets
from controlplane.config.types import Egress, Mode, PodNetwork, SubnetConfig
from netsim.vpc.policy import FirewallRule, PathRule, StaticRoute

_FIELDS = (
    "mode",
    "podNetwork",
    "mtu",
    "offloads",
    "regions",
    "subnets",
    "serviceRange",
    "loadBalancerRange",
    "egress",
    "routes",
    "firewall",
    "paths",
    "cni",
)
_EGRESS = ("nat", "none")
_POD_NETWORKS = ("routed", "vxlan")
_SERVER = r"[0-9]{1,3}(\.[0-9]{1,3}){3}(:[0-9]{1,5})?"
_DOMAIN = r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?"

Item = TypeVar("Item", FirewallRule, StaticRoute)


@dataclass(frozen=True, slots=True)
class Network:
    """What `spec.network` says, in the types and with the meanings of `ClusterConfig`."""

    mode: Mode | None = None
    pod_network: PodNetwork | None = None
    regions: tuple[str, ...] = ()
    mtu: int | None = None
    offloads: bool | None = None
    subnets: tuple[SubnetConfig, ...] = ()
    service_range: IPv4Network | None = None
    load_balancer_range: IPv4Network | None = None
    egress: Egress | None = None
    routes: tuple[StaticRoute, ...] | None = None
    firewall: tuple[FirewallRule, ...] | None = None
    paths: tuple[PathRule, ...] | None = None
    cni: Mapping[str, Any] | None = None


def parse_network(field: Field) -> Network:
    """All of `spec.network`."""
    parts = field.mapping(_FIELDS)
    mode = _mode(parts["mode"]) if "mode" in parts else None
    return Network(
        mode=mode,
        pod_network=cast(PodNetwork, parts["podNetwork"].choice(_POD_NETWORKS)) if "podNetwork" in parts else None,
        regions=_regions(parts["regions"], mode) if "regions" in parts else (),
        mtu=parts["mtu"].integer(1280, 9000) if "mtu" in parts else None,
        offloads=parts["offloads"].boolean() if "offloads" in parts else None,
        subnets=_subnets(parts, mode),
        service_range=parts["serviceRange"].network(12, 28) if "serviceRange" in parts else None,
        load_balancer_range=parts["loadBalancerRange"].network(16, 30) if "loadBalancerRange" in parts else None,
        egress=cast(Egress, parts["egress"].choice(_EGRESS)) if "egress" in parts else None,
        routes=_named(parts["routes"], "routes", parse_route) if "routes" in parts else None,
        firewall=_named(parts["firewall"], "firewall rules", parse_rule) if "firewall" in parts else None,
        paths=tuple(map(parse_path, parts["paths"].items("a list of paths"))) if "paths" in parts else None,
        cni=_cni(parts["cni"]) if "cni" in parts else None,
    )


def _cni(field: Field) -> Mapping[str, Any]:
    """A CNI network configuration list but for its name; what is in the plugins' objects is theirs."""
    parts = field.mapping(("cniVersion", "plugins"))
    version = parts["cniVersion"].choice(SUPPORTED_VERSIONS) if "cniVersion" in parts else CURRENT_VERSION
    items = parts["plugins"].items("a list of plugins") if "plugins" in parts else []
    if not items:
        raise field.refuse("plugins: a list of at least one is needed")
    for item in items:
        found = item.plain()
        if not isinstance(found, dict) or not isinstance(found.get("type"), str):
            raise item.refuse("an object with the plugin's type")
    return {"cniVersion": version, "plugins": [item.plain() for item in items]}


def parse_dns(field: Field) -> tuple[Mapping[str, tuple[str, ...]] | None, tuple[str, ...] | None]:
    """All of `spec.dns`: the servers of stub domains, and those of every other name."""
    parts = field.mapping(("stubDomains", "upstreamNameservers"))
    upstream = _servers(parts["upstreamNameservers"]) if "upstreamNameservers" in parts else None
    if "stubDomains" not in parts:
        return None, upstream
    stubs = {domain.lower(): _servers(each) for domain, each in parts["stubDomains"].entries(_DOMAIN).items()}
    return stubs, upstream


def _mode(field: Field) -> Mode:
    if field.node.value in _POD_NETWORKS:
        raise field.refuse(f"that is for podNetwork: {field.node.value}; allowed here is custom or auto")
    return cast(Mode, field.choice(("custom", "auto")))


def _regions(field: Field, mode: Mode | None) -> tuple[str, ...]:
    if mode != "auto":
        raise field.refuse("it goes with mode: auto; in mode custom a subnet says its region")
    return tuple(item.choice(REGIONS) for item in field.items("a list of regions"))


def _subnets(parts: Mapping[str, Field], mode: Mode | None) -> tuple[SubnetConfig, ...]:
    if mode == "auto":
        if "subnets" in parts:
            raise parts["subnets"].refuse("mode: auto makes them; leave them out, or write mode: custom")
        return auto_subnets(_regions(parts["regions"], mode) if "regions" in parts else ())
    if "subnets" not in parts:
        return ()
    items = parts["subnets"].items("a list of subnets")
    if not items:
        allowed = "a cluster needs one subnet; leave the field out for the default"
        raise parts["subnets"].refuse(allowed, found="found no subnet")
    subnets = tuple(_subnet(item) for item in items)
    refuse_twice(items, [subnet.name for subnet in subnets])
    return subnets


def _subnet(field: Field) -> SubnetConfig:
    parts = field.mapping(("name", "region", "range", "podRange", "secondaryRanges", "egress"))
    if "name" not in parts:
        raise field.refuse("write name: and a name", found="the field name is missing")
    return SubnetConfig(
        name=parts["name"].label(),
        region=parts["region"].label() if "region" in parts else SubnetConfig().region,
        range=parts["range"].network(8, 29) if "range" in parts else None,
        pod_range=parts["podRange"].network(8, 28) if "podRange" in parts else None,
        secondary=_secondary(parts["secondaryRanges"]) if "secondaryRanges" in parts else {},
        egress=cast(Egress, parts["egress"].choice(_EGRESS)) if "egress" in parts else None,
    )


def _secondary(field: Field) -> dict[str, IPv4Network]:
    items = field.items("a list of secondary ranges")
    found = []
    for item in items:
        parts = item.mapping(("name", "range"))
        missing = next((name for name in ("name", "range") if name not in parts), None)
        if missing is not None:
            raise item.refuse(f"write {missing}: and a {missing}", found=f"the field {missing} is missing")
        found.append((parts["name"].label(), parts["range"].network(8, 28)))
    refuse_twice(items, [name for name, _ in found])
    return dict(found)


def _named(field: Field, what: str, parse: Callable[[Field], Item]) -> tuple[Item, ...]:
    items = field.items(f"a list of {what}")
    found = tuple(parse(item) for item in items)
    refuse_twice(items, [each.name for each in found])
    return found


def _servers(field: Field) -> tuple[str, ...]:
    allowed = "allowed is an IPv4 address, with a port if need be, as 10.1.2.3:5353"
    return tuple(item.string(_SERVER, allowed=allowed) for item in field.items("a list of addresses"))
