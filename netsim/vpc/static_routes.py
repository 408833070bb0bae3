"""Custom routes in the router: those for everybody in its main table, those with tags in a table a kind of sender.

The metric of a route is its priority, so the kernel chooses as GCP does: the longest prefix, then the lowest priority.
Nodes to which the same tagged routes apply share a table with all the routes that apply to them, and `ip rule` leads
what they send there. What is inside the VPC is thrown back to the main table: no custom route goes before a subnet.
A next hop that is not there takes its route with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from netsim import firewall, route
from netsim.netlink import Netlink
from netsim.route import Route, RouteType
from netsim.vpc.plan import NodePlan, VpcPlan
from netsim.vpc.policy import StaticRoute

FIRST_TABLE = 7800
_MOST_TABLES = 100
_RULE_PRIORITY = 7800


def sync(netlink: Netlink, plan: VpcPlan, nodes: Sequence[NodePlan]) -> None:
    """Makes routes and rules right. Called in the router's namespace, of which `netlink` is."""
    gateway = _internet(netlink)
    wanted = [made for each in plan.routes if not each.tags and (made := _route(each, nodes, gateway)) is not None]
    tables = _tables(plan, nodes)
    for table, (custom, _senders) in tables.items():
        own = [made for each in custom if (made := _route(each, nodes, gateway)) is not None]
        wanted += [replace(each, table=table) for each in (*own, *_inside(plan), *_default(gateway))]
    route.reconcile(netlink, wanted, lambda found: found.protocol == route.STATIC_PROTOCOL)
    _sync_rules({source: table for table, (_custom, senders) in tables.items() for source in senders})


def _route(custom: StaticRoute, nodes: Sequence[NodePlan], internet: Route | None) -> Route | None:
    """The kernel's form of a route, or None if its next hop is not there."""
    hop = custom.address or next((node.address for node in nodes if node.name == custom.node), "")
    made = Route(custom.destination, (hop,), protocol=route.STATIC_PROTOCOL, metric=custom.priority)
    if hop:
        return made
    if custom.node or internet is None:
        return None
    return replace(made, gateways=internet.gateways, index=internet.index)


def _tables(plan: VpcPlan, nodes: Sequence[NodePlan]) -> dict[int, tuple[list[StaticRoute], list[str]]]:
    """By table: the routes in it, and the ranges of those that send by it."""
    found: dict[tuple[str, ...], tuple[list[StaticRoute], list[str]]] = {}
    for node in nodes:
        tagged = [each for each in plan.routes if set(each.tags) & set(node.tags)]
        if tagged:
            custom = [each for each in plan.routes if each in tagged or not each.tags]
            kind = found.setdefault(tuple(each.name for each in tagged), (custom, []))
            kind[1].extend(node.sources)
    return {FIRST_TABLE + number: found[kind] for number, kind in enumerate(sorted(found)[:_MOST_TABLES])}


def _inside(plan: VpcPlan) -> Iterator[Route]:
    ranges = [each for subnet in plan.subnets for each in (subnet.range, *subnet.pod_ranges)]
    for each in (*ranges, plan.service_range, plan.load_balancer_range):
        yield Route(each, type=RouteType.THROW, protocol=route.STATIC_PROTOCOL)


def _default(internet: Route | None) -> list[Route]:
    return [] if internet is None else [replace(internet, protocol=route.STATIC_PROTOCOL)]


def _internet(netlink: Netlink) -> Route | None:
    return next((each for each in route.list_routes(netlink) if each.protocol == route.UPLINK_PROTOCOL), None)


def _sync_rules(wanted: dict[str, int]) -> None:
    present = _rules()
    lines = [
        f"rule del priority {_RULE_PRIORITY} from {each} lookup {table}" for each, table in present - wanted.items()
    ]
    lines += [
        f"rule add priority {_RULE_PRIORITY} from {each} lookup {table}" for each, table in wanted.items() - present
    ]
    if lines:
        firewall.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")


def _rules() -> set[tuple[str, int]]:
    """What each range of senders is led to, in the calling thread's namespace."""
    listed = json.loads(firewall.run(["ip", "-json", "rule", "list"]) or "[]")
    return {
        (str(IPv4Network(f"{each['src']}/{each.get('srclen', 32)}")), int(each["table"]))
        for each in listed
        if each.get("priority") == _RULE_PRIORITY
    }
