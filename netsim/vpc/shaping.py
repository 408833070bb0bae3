"""What the ways between regions and zones carry: rates by htb, and delay, jitter and loss by netem.

What the router sends to a subnet leaves by the subnet's bridge. There stands an htb with a class for each way that is
limited, `from>to`, and an nft table says by source and destination which class a packet is of; all else passes as it
is. So a limit holds for all that goes that way into a subnet, together. A class keeps its number, which is made of its
name, and is changed in place: other classes, and what waits in them, do not notice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netsim import firewall as netfilter
from netsim.probe import require_netem
from netsim.vpc.plan import NodePlan, VpcPlan
from netsim.vpc.policy import PathRule

TABLE = "paths"
_UNLIMITED = 100_000_000_000
_BURST_SECONDS = 0.002
_SMALLEST_BURST = 16_000
_QUEUE_SECONDS = 0.1
_SMALLEST_QUEUE = 262_144
_NETEM_PACKETS = 100_000
_CLASSES = 0xFFFE
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
        minor = int.from_bytes(hashlib.sha256(f"{origin}>{target}".encode()).digest()[:4]) % _CLASSES + 1
        while minor in taken:
            minor = minor % _CLASSES + 1
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
    rate = rule.rate or _UNLIMITED
    burst = max(int(rate / 8 * _BURST_SECONDS), _SMALLEST_BURST)
    queue = _netem(rule) if rule.impaired else _fifo(rule)
    other = before and before != queue.split()[0]
    return [
        f"class replace dev {bridge} parent 1: classid 1:{minor} htb rate {rate}bit burst {burst} cburst {burst}",
        *([f"qdisc del dev {bridge} parent 1:{minor}"] if other else []),
        f"qdisc replace dev {bridge} parent 1:{minor} handle {minor}: {queue}",
    ]


def _netem(rule: PathRule) -> str:
    delay = f" delay {rule.delay}us" + (f" {rule.jitter}us" if rule.jitter else "") if rule.delay or rule.jitter else ""
    loss = f" loss {rule.loss:g}%" if rule.loss else ""
    return f"netem limit {_NETEM_PACKETS}{delay}{loss}"


def _fifo(rule: PathRule) -> str:
    return f"bfifo limit {max(int(rule.rate / 8 * _QUEUE_SECONDS), _SMALLEST_QUEUE)}"


def _ranges(nodes: Iterable[NodePlan]) -> list[str]:
    return [each for node in nodes for each in node.sources]
