"""The VPC of a cluster as documents: what `netsim vpc` prints. Plans from cluster.json, counters from the kernel.

Where the router's namespace is not there, as after a reboot, what only the kernel knows is None.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from controlplane.config import ResolvedCluster
from controlplane.fabric import vpc_plan
from netsim import firewall as programs
from netsim import namespace, route
from netsim.netlink import Netlink
from netsim.route import Route
from netsim.vpc import firewall, shaping
from netsim.vpc.default_rules import IMPLIED_ALLOW_EGRESS, IMPLIED_DENY_INGRESS
from netsim.vpc.plan import VpcPlan
from netsim.vpc.policy import DEFAULT_PRIORITY, INTERNET

Document = dict[str, Any]
Result = TypeVar("Result")


def subnets(cluster: ResolvedCluster) -> list[Document]:
    """The subnets with their ranges; that of Services is a secondary range of the first, as on GKE."""
    return [
        {
            "name": subnet.name,
            "region": subnet.region,
            "range": str(subnet.range),
            "gateway": str(subnet.gateway),
            "secondaryRanges": ({"pods": str(subnet.pod_range)} if subnet.pod_range is not None else {})
            | {name: str(network) for name, network in subnet.secondary.items()}
            | ({"services": str(cluster.service_range)} if number == 0 else {}),
            "egress": subnet.egress,
            "nodes": sum(node.subnet == subnet.name for node in cluster.nodes),
            "zones": sorted({node.zone for node in cluster.nodes if node.subnet == subnet.name}),
        }
        for number, subnet in enumerate(cluster.subnets)
    ]


def addresses(cluster: ResolvedCluster) -> list[Document]:
    """Every address of the VPC that is given away, but for those of pods."""
    found = [_address(str(subnet.gateway), "gateway", subnet.name, subnet.name) for subnet in cluster.subnets]
    found.append(_address(str(cluster.api_vpc_address), "API server and DNS", "kubernetes", cluster.subnets[0].name))
    found += [
        _address(str(node.address), "node", node.name, node.subnet)
        | {"podRange": str(node.pod_range) if node.pod_range is not None else None}
        for node in cluster.nodes
    ]
    balancers = [each for each in _routes_of(cluster) or () if each.protocol == route.BALANCER_PROTOCOL]
    return found + [_address(each.destination.partition("/")[0], "load balancer", "", "") for each in balancers]


def routes(cluster: ResolvedCluster) -> list[Document]:
    """The routes that there are without anybody's doing, then the custom ones; `active`: its next hop is there."""
    present = _routes_of(cluster)
    always = None if present is None else True
    found = [_route(f"subnet-{each.name}", str(each.range), each.name, 0, always) for each in cluster.subnets]
    if cluster.pod_network == "routed":
        ranges = {node.name: str(node.pod_range) for node in cluster.nodes if node.pod_range is not None}
        # That of a node which is switched off is withdrawn.
        found += [
            _route(f"pods-{name}", destination, name, 0, _is_there(destination, route.PROTOCOL, 0, present))
            for name, destination in ranges.items()
        ]
    found.append(_route("default-internet-gateway", "0.0.0.0/0", INTERNET, DEFAULT_PRIORITY, always))
    return found + [
        _route(
            each.name,
            each.destination,
            each.node or each.address or INTERNET,
            each.priority,
            _is_there(each.destination, route.STATIC_PROTOCOL, each.priority, present),
            tags=each.tags,
        )
        for each in cluster.routes
    ]


def rules(cluster: ResolvedCluster) -> list[Document]:
    """The firewall rules in the order in which they are asked, with what each has counted."""
    counted = _in_router(vpc_plan(cluster), firewall.read_counters)
    implied = {IMPLIED_ALLOW_EGRESS.name, IMPLIED_DENY_INGRESS.name}
    custom = {rule.name for rule in cluster.firewall}
    return [
        {
            "name": rule.name,
            "origin": "implied" if rule.name in implied else "custom" if rule.name in custom else "default",
            "direction": rule.direction,
            "priority": rule.priority,
            "action": rule.action,
            "protocols": list(rule.protocols),
            "sourceRanges": list(rule.source_ranges),
            "destinationRanges": list(rule.destination_ranges),
            "sourceTags": list(rule.source_tags),
            "targetTags": list(rule.target_tags),
            "disabled": rule.disabled,
            "logging": rule.logging,
            "packets": counted[rule.name].packets if counted and rule.name in counted else None,
            "bytes": counted[rule.name].bytes if counted and rule.name in counted else None,
        }
        for rule in firewall.all_rules(vpc_plan(cluster))
    ]


def paths(cluster: ResolvedCluster) -> list[Document]:
    """What the ways between places carry, in each direction, and what went by and was lost there."""
    plan = vpc_plan(cluster)
    counted = _in_router(plan, lambda: _queue_counters(plan)) or {}
    return [
        {
            "from": way.origin,
            "to": way.target,
            "rate": way.rule.rate or None,
            "delay": way.rule.delay,
            "jitter": way.rule.jitter,
            "loss": way.rule.loss,
            "bytes": counted.get(f"{way.minor:x}:", (None, None))[0],
            "dropped": counted.get(f"{way.minor:x}:", (None, None))[1],
        }
        for way in shaping.ways(plan.paths)
    ]


def everything(cluster: ResolvedCluster) -> Document:
    """The whole VPC."""
    return {
        "name": cluster.name,
        "mode": cluster.mode,
        "podNetwork": cluster.pod_network,
        "mtu": cluster.mtu,
        "podMtu": cluster.pod_mtu,
        "router": vpc_plan(cluster).router_namespace,
        "subnets": subnets(cluster),
        "routes": routes(cluster),
        "firewall": rules(cluster),
        "paths": paths(cluster),
        "addresses": addresses(cluster),
    }


def _address(address: str, kind: str, name: str, subnet: str) -> Document:
    return {"address": address, "kind": kind, "name": name, "subnet": subnet}


def _route(
    name: str, destination: str, hop: str, priority: int, active: bool | None, *, tags: tuple[str, ...] = ()
) -> Document:
    said = {"name": name, "destination": destination, "nextHop": hop, "priority": priority, "tags": list(tags)}
    return said | {"active": active}


def _is_there(destination: str, protocol: int, priority: int, present: list[Route] | None) -> bool | None:
    """Whether the router has it; None where there is no router."""
    if present is None:
        return None
    wanted = (destination, protocol, priority, route.RouteType.UNICAST)
    return any((each.destination, each.protocol, each.metric, each.type) == wanted for each in present)


def _routes_of(cluster: ResolvedCluster) -> list[Route] | None:
    def read() -> list[Route]:
        with Netlink() as netlink:
            return route.list_routes(netlink, table=None)

    return _in_router(vpc_plan(cluster), read)


def _queue_counters(plan: VpcPlan) -> dict[str, tuple[int, int]]:
    """Bytes and drops of each leaf by its handle, of all bridges together."""
    found: dict[str, tuple[int, int]] = {}
    bridges = {subnet.bridge for subnet in plan.subnets}
    for queue in json.loads(programs.run(["tc", "-s", "-j", "qdisc", "show"]) or "[]"):
        if queue["dev"] in bridges and "parent" in queue:
            sent, dropped = found.get(queue["handle"], (0, 0))
            found[queue["handle"]] = sent + queue["bytes"], dropped + queue["drops"]
    return found


def _in_router(plan: VpcPlan, work: Callable[[], Result]) -> Result | None:
    if not namespace.exists(plan.router_namespace):
        return None
    with namespace.entered(plan.router_path):
        return work()
