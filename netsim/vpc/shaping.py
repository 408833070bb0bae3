"""What the ways between regions and zones carry: rates by htb, and delay, jitter and loss by netem.

What the router sends to a subnet leaves by the subnet's bridge. There stands an htb with a class for each way that is
limited, `from>to`, and an nft table says by source and destination which class a packet is of; all else passes as it
is. So a limit holds for all that goes that way into a subnet, together. A class keeps its number, which is made of its
name, and is changed in place: other classes, and what waits in them, do not notice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netsim import firewall as netfilter
from netsim import htb
from netsim.probe import require_netem
from netsim.vpc.plan import NodePlan, VpcPlan
from netsim.vpc.policy import PathRule

TABLE = "paths"
_LEAF = re.compile(r"^qdisc (\S+) [0-9a-f]+: parent 1:([0-9a-f]+) ", re.MULTILINE)
_CLASS = re.compile(r"^class htb 1:([0-9a-f]+) root", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a `PathRule`: from a place to a place, and the number of its class."""

    origin: str
    target: str
    rule: PathRule
    minor: int


def ways(rules: Sequence[PathRule]) -> list[Way]:
    """Both directions of each rule; a later rule for the same pair takes the place of an earlier one."""
    found = {pair: rule for rule in rules for pair in (rule.between, rule.between[::-1])}
    made: list[Way] = []
    taken: set[int] = set()
    for (origin, target), rule in sorted(found.items(), key=lambda item: item[0]):
        minor = htb.free_number_of(f"{origin}>{target}", taken)
        taken.add(minor)
        made.append(Way(origin, target, rule, minor))
    return made


def way_between(found: Iterable[Way], origin: tuple[str, str], target: tuple[str, str]) -> Way | None:
    """The way for packets between two (region, zone) places: that which names the most zones, if any does.

    Nothing is limited inside one zone.
    """
    if origin == target:
        return None
    fitting = [way for way in found if way.origin in origin and way.target in target]
    return max(fitting, key=lambda way: (way.origin == origin[1]) + (way.target == target[1]), default=None)


def table_text(plan: VpcPlan, nodes: Sequence[NodePlan]) -> str:
    """The nft commands that make the table by which packets find their class."""
    found = ways(plan.paths)
    by_place: dict[tuple[str, str], list[NodePlan]] = {}
    for node in nodes:
        by_place.setdefault((plan.subnet(node.subnet).region, node.zone), []).append(node)
    chains, jumps = [], []
    for number, (place, senders) in enumerate(sorted(by_place.items())):
        classes = {
            other: way.minor for other in sorted(by_place) if (way := way_between(found, place, other)) is not None
        }
        if classes:
            targets = [f"{each} : 1:{minor:x}" for other, minor in classes.items() for each in _ranges(by_place[other])]
            chains.append(
                f"  chain from-{number} {{\n    meta priority set ip daddr map {{ {', '.join(targets)} }}\n  }}"
            )
            jumps += [f"{each} : jump from-{number}" for each in _ranges(senders)]
    hook = ["    type filter hook postrouting priority mangle; policy accept;"]
    hook += [f"    ip saddr vmap {{ {', '.join(jumps)} }}"] if jumps else []
    lines = [f"table ip {TABLE} {{ }}", f"delete table ip {TABLE}", f"table ip {TABLE} {{", *chains]
    return "\n".join([*lines, "  chain postrouting {", *hook, "  }", "}"]) + "\n"


def require(rules: Iterable[PathRule]) -> None:
    """Raises `MissingRequirement` where a rule takes netem and the kernel has none."""
    impaired = next((rule for rule in rules if rule.impaired), None)
    if impaired is not None:
        require_netem(f"the path between {' and '.join(impaired.between)}")


def apply(plan: VpcPlan, nodes: Sequence[NodePlan]) -> None:
    """Makes classes and table so, in the calling thread's namespace, which is the router's."""
    found = ways(plan.paths)
    for subnet in plan.subnets:
        _apply_to_bridge(subnet.bridge, {f"{way.minor:x}": way.rule for way in found})
    netfilter.nft(table_text(plan, nodes))


def _apply_to_bridge(bridge: str, wanted: Mapping[str, PathRule]) -> None:
    queues = netfilter.run(["tc", "qdisc", "show", "dev", bridge])
    rooted, kinds = " htb 1: root " in queues, {minor: kind for kind, minor in _LEAF.findall(queues)}
    present = set(_CLASS.findall(netfilter.run(["tc", "class", "show", "dev", bridge]))) if rooted else set()
    lines = [] if rooted or not wanted else [f"qdisc add dev {bridge} root handle 1: htb default 0"]
    for minor, rule in wanted.items():
        lines += _class_lines(bridge, minor, rule, before=kinds.get(minor, ""))
    lines += [f"class del dev {bridge} parent 1: classid 1:{minor}" for minor in sorted(present - wanted.keys())]
    if lines:
        netfilter.run(["tc", "-batch", "-"], "\n".join(lines) + "\n")


def _class_lines(bridge: str, minor: str, rule: PathRule, *, before: str) -> list[str]:
    """`before` is the kind of the queue that the class has: one of another kind cannot be put in its place."""
    queue = htb.queue(rate=rule.rate, delay=rule.delay, jitter=rule.jitter, loss=rule.loss)
    other = before and before != queue.split()[0]
    return [
        f"class replace dev {bridge} parent 1: classid 1:{minor} htb {htb.limits(rule.rate)}",
        *([f"qdisc del dev {bridge} parent 1:{minor}"] if other else []),
        f"qdisc replace dev {bridge} parent 1:{minor} handle {minor}: {queue}",
    ]


def _ranges(nodes: Iterable[NodePlan]) -> list[str]:
    return [each for node in nodes for each in node.sources]
