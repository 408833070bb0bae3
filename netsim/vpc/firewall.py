"""The VPC's firewall: rules of `netsim.vpc.policy` as one nft table in the router, with a counter a rule.

    forward:  known connections pass; what a node sends goes by `egress`, what a node is to get by `ingress`
    input:    what a node sends to the router itself (the API server, DNS) goes by `egress`

Nodes have /32 addresses and isolated ports, so what goes from node to node passes here even within one subnet. It is
stateful, as GCP's: an answer is never asked about. The table is replaced in one transaction and its counters, which
are objects of their own, go on counting. Pure text but for `apply` and `read_counters`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, collapse_addresses
from typing import NamedTuple

from netsim import firewall as netfilter
from netsim.vpc.default_rules import IMPLIED_ALLOW_EGRESS, IMPLIED_DENY_INGRESS, default_rules
from netsim.vpc.plan import NodePlan, VpcPlan
from netsim.vpc.policy import ANYWHERE, Direction, FirewallRule

TABLE = "vpc"
ESTABLISHED = "established"
LOG_GROUP = 78
"""The NFLOG group in the router's namespace that hears of connections by rules that log."""
_COUNTER = "rule-"
_LOGGED_BYTES = 128
_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132}


class Counted(NamedTuple):
    """What a rule has decided: packets that began a connection, or were denied, and their bytes."""

    packets: int
    bytes: int


def all_rules(plan: VpcPlan) -> list[FirewallRule]:
    """Every rule in the order in which it is asked: by priority, and of the same a denial first."""
    written = [*default_rules(plan), *plan.firewall]
    written.sort(key=lambda rule: (rule.priority, rule.action == "allow", rule.name))
    return [*written, IMPLIED_ALLOW_EGRESS, IMPLIED_DENY_INGRESS]


def table_text(plan: VpcPlan, nodes: Sequence[NodePlan], *, stale: Iterable[str] = ()) -> str:
    """The nft commands that make the table as it should be for these nodes; `stale` counters go."""
    rules = all_rules(plan)
    counters = [ESTABLISHED, *(_COUNTER + rule.name for rule in rules)]
    known = f"    ct state established,related counter name {ESTABLISHED} accept"
    lines = [
        f"table ip {TABLE} {{ }}",
        f"flush table ip {TABLE}",
        f"table ip {TABLE} {{",
        *(f"  counter {name} {{ }}" for name in counters),
        *_chain("egress", _chain_rules(rules, "egress", nodes)),
        *_chain("ingress", _chain_rules(rules, "ingress", nodes)),
        "  chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        known,
        '    iifname "br-*" jump egress',
        '    oifname "br-*" jump ingress',
        "  }",
        "  chain input {",
        "    type filter hook input priority filter; policy accept;",
        known,
        '    iifname "br-*" jump egress',
        "  }",
        "}",
        *(f"delete counter ip {TABLE} {name}" for name in sorted(set(stale) - set(counters))),
    ]
    return "\n".join(lines) + "\n"


def apply(plan: VpcPlan, nodes: Sequence[NodePlan]) -> None:
    """Makes the table so, in the calling thread's namespace, which is the router's."""
    netfilter.nft(table_text(plan, nodes, stale=_counter_objects()))


def read_counters() -> dict[str, Counted]:
    """What each rule has counted, by its name, in the calling thread's namespace; empty if there is no table."""
    found = _counter_objects()
    return {name.removeprefix(_COUNTER): counted for name, counted in found.items()}


def _counter_objects() -> dict[str, Counted]:
    text = netfilter.find_nft_table("ip", TABLE, as_json=True)
    if text is None:
        return {}
    objects = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
    return {each["name"]: Counted(each["packets"], each["bytes"]) for each in objects}


def _chain(name: str, rules: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", *(f"    {rule}" for rule in rules), "  }"]


def _chain_rules(rules: Iterable[FirewallRule], direction: Direction, nodes: Sequence[NodePlan]) -> list[str]:
    return [
        line for rule in rules if rule.direction == direction and not rule.disabled for line in _rule_lines(rule, nodes)
    ]


def _rule_lines(rule: FirewallRule, nodes: Sequence[NodePlan]) -> list[str]:
    """A line for each protocol that the rule is about; none if no node has its tags, for it matches nothing then."""
    sources = [*rule.source_ranges, *(f"{node.address}/32" for node in nodes if set(node.tags) & set(rule.source_tags))]
    if rule.source_tags and not sources:
        return []
    targets = [source for node in nodes if set(node.tags) & set(rule.target_tags) for source in node.sources]
    if rule.target_tags and not targets:
        return []
    matches = [*_match("saddr", sources), *_match("daddr", rule.destination_ranges)]
    matches += _match("daddr" if rule.direction == "ingress" else "saddr", targets)
    verdict = "return" if rule.action == "allow" else "drop"
    log = [_log(rule)] if rule.logging else []
    end = [*log, f"counter name {_COUNTER}{rule.name}", verdict, f'comment "{rule.name}"']
    return [" ".join([*matches, *protocol, *end]) for protocol in _protocols(rule.protocols)]


def _match(field: str, ranges: Iterable[str]) -> list[str]:
    collapsed = [str(each) for each in collapse_addresses(map(IPv4Network, ranges))]
    return [f"ip {field} {{ {', '.join(collapsed)} }}"] if collapsed and collapsed != [ANYWHERE] else []


def _protocols(protocols: Sequence[str]) -> list[list[str]]:
    """What to match for each: without ports all in one line, then a line a protocol with ports."""
    if "all" in protocols:
        return [[]]
    whole = sorted(_NUMBERS.get(each) or int(each) for each in protocols if ":" not in each)
    lines = [[f"ip protocol {{ {', '.join(map(str, whole))} }}"]] if whole else []
    ports: dict[str, list[str]] = {}
    for name, _, port in (each.partition(":") for each in protocols if ":" in each):
        ports.setdefault(name, []).append(port)
    return lines + [[f"{name} dport {{ {', '.join(_merged(each))} }}"] for name, each in ports.items()]


def _merged(ports: Iterable[str]) -> list[str]:
    """Ports and ranges of ports in order, overlaps joined: nft refuses a set in which one is there twice."""
    merged: list[list[int]] = []
    for first, last in sorted((int(each.split("-")[0]), int(each.split("-")[-1])) for each in ports):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return [f"{first}-{last}" if first != last else str(first) for first, last in merged]


def _log(rule: FirewallRule) -> str:
    return f'log prefix "{rule.direction} {rule.action} {rule.name}" group {LOG_GROUP} snaplen {_LOGGED_BYTES}'
