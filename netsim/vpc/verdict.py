"""What the VPC's firewall says of a connection, from the rules alone: for those who explain why one failed.

It follows what `netsim.vpc.firewall` writes for the kernel, and asks nothing of the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from netsim.vpc.firewall import all_rules
from netsim.vpc.overlay import PORT
from netsim.vpc.plan import NodePlan, VpcPlan
from netsim.vpc.policy import Direction, FirewallRule


@dataclass(frozen=True, slots=True)
class Connection:
    """The first packet of a connection, as the router sees it; `port` is 0 for protocols without ports."""

    source: str
    destination: str
    protocol: str
    port: int = 0


def denying_rule(plan: VpcPlan, nodes: Sequence[NodePlan], asked: Connection) -> FirewallRule | None:
    """The rule that denies a connection, or None if all let it pass or it does not come by the router."""
    source, target = _node_of(nodes, asked.source), _node_of(nodes, asked.destination)
    if source is not None and source is target:
        return None
    if plan.overlay and source is not None:
        asked = _in_overlay(asked, source, target)
    rules = all_rules(plan)
    sides: list[tuple[NodePlan | None, Direction]] = [(source, "egress"), (target, "ingress")]
    for node, direction in sides:
        if node is not None:
            rule = _first(rules, direction, node, nodes, asked)
            if rule.action == "deny":
                return rule
    return None


def _first(
    rules: Sequence[FirewallRule], direction: Direction, node: NodePlan, nodes: Sequence[NodePlan], asked: Connection
) -> FirewallRule:
    """The first rule that matches; the implied ones do in any case."""
    return next(
        rule
        for rule in rules
        if rule.direction == direction
        and not rule.disabled
        and (not rule.target_tags or set(rule.target_tags) & set(node.tags))
        and _from(rule, nodes, asked.source)
        and (not rule.destination_ranges or _inside(asked.destination, rule.destination_ranges))
        and any(_speaks(each, asked) for each in rule.protocols)
    )


def _from(rule: FirewallRule, nodes: Sequence[NodePlan], source: str) -> bool:
    if not rule.source_ranges and not rule.source_tags:
        return True
    tagged = any(node.address == source and set(node.tags) & set(rule.source_tags) for node in nodes)
    return tagged or _inside(source, rule.source_ranges)


def _speaks(protocol: str, asked: Connection) -> bool:
    name, _, ports = protocol.partition(":")
    if name != "all" and name != asked.protocol:
        return False
    first, _, last = ports.partition("-")
    return not ports or int(first) <= asked.port <= int(last or first)


def _node_of(nodes: Sequence[NodePlan], address: str) -> NodePlan | None:
    return next((node for node in nodes if _inside(address, node.sources)), None)


def _in_overlay(asked: Connection, source: NodePlan, target: NodePlan | None) -> Connection:
    """To a pod of another node: vxlan between the nodes; to anybody else: with the node's address."""
    if target is not None and asked.destination != target.address:
        return Connection(source.address, target.address, "udp", PORT)
    return replace(asked, source=source.address)


def _inside(address: str, ranges: Sequence[str]) -> bool:
    return any(IPv4Address(address) in IPv4Network(each) for each in ranges)
