"""`netsim explain policy`: the pods that a policy selects, its chains, sets and counters, and what was denied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.kinds import NETWORK_POLICY
from controlplane.explain import saved
from controlplane.explain.meaning import Interpreter
from controlplane.explain.policies import Member, PolicyIndex, set_members
from controlplane.explain.service import rule_text
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import Section, World, find
from controlplane.policy.model import Direction, Policy, Rule

LAST_DENIALS = 10
_DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")


def explain_policy(world: World, namespace: str, name: str) -> list[Section]:
    """The policy in words, then the chains, sets and denied packets of each node."""
    find(world, NETWORK_POLICY, namespace, name)
    services, index = ServiceIndex(world), PolicyIndex(world)
    policy = next(each for each in index.policies if each.key == (namespace, name))
    sections = [_head(policy, index)]
    for node in world.nodes():
        lines = saved.parse(world.rules(node))
        section = _node(world, node, policy, Interpreter(services, index, node, lines))
        if section is not None:
            sections.append(section)
    sections.append(_denials(world, policy))
    return sections


def explain_policies(world: World) -> list[Section]:
    """Every policy in words, with the packets that were denied to its pods."""
    index = PolicyIndex(world)
    members = {node: set_members(world.sets(node)) for node in world.nodes()}
    sections = []
    for policy in index.policies:
        denied: dict[str, int] = {}
        for node, sets in members.items():
            for chain, posture in index.postures(node).items():
                if policy in posture.policies:
                    for each in sets.get(chain, ()):
                        denied[each.comment] = denied.get(each.comment, 0) + each.packets
        head = _head(policy, index)
        lines = [*head.lines, f"denied packets by pod: {_counts(denied)}"]
        sections.append(Section(policy.text, head.title, lines, {**head.data, "denied": denied}))
    return sections or [Section("policies", "NetworkPolicies", ["there is none: everything is allowed"])]


def _head(policy: Policy, index: PolicyIndex) -> Section:
    pods = [pod.text for pod in index.selected(policy)]
    lines = [f"selects {policy.pod_selector or 'every pod of the namespace'}: {', '.join(pods) or 'no pod now'}"]
    data: dict[str, Any] = {"podSelector": policy.pod_selector, "pods": pods}
    for direction in _DIRECTIONS:
        rules = policy.rules(direction)
        if rules is None:
            lines.append(f"{direction}: not its matter")
            data[direction] = None
            continue
        words = [_words(rule, direction) for rule in rules]
        lines.append(f"{direction}: denied" + (", but for:" if words else ""))
        lines += [f"  {number}. {each}" for number, each in enumerate(words, 1)]
        data[direction] = words
    return Section("policy", f"NetworkPolicy {policy.text}", lines, data)


def _words(rule: Rule, direction: Direction) -> str:
    peers = " or ".join(peer.text for peer in rule.peers) if rule.peers is not None else "anywhere"
    ports = ", ".join(port.text for port in rule.ports) if rule.ports is not None else "everything"
    return f"{ports} {'from' if direction == 'ingress' else 'to'} {peers or 'nowhere'}"


def _node(world: World, node: str, policy: Policy, interpreter: Interpreter) -> Section | None:
    postures = {name: each for name, each in interpreter.postures.items() if policy in each.policies}
    if not postures:
        return None
    members = set_members(world.sets(node))
    lines = [line for line in interpreter.lines if line.chain in postures or line.target in postures]
    text: list[str] = []
    data: list[dict[str, Any]] = []
    for chain, posture in postures.items():
        text.append(f"filter {chain}: {interpreter.chain(chain)}")
        rules = [line for line in lines if line.chain == chain]
        for line in rules:
            text += rule_text(line, interpreter.rule(line).reason)
        denied = {each.comment or each.entry: each.packets for each in members.get(chain, ())}
        text.append(f"  denied {posture.direction} packets by pod: {_counts(denied)}")
        data.append(
            {
                "chain": chain,
                "direction": posture.direction,
                "policies": [each.text for each in posture.policies],
                "rules": [line.document() | interpreter.rule(line).document() for line in rules],
                "denied": denied,
            }
        )
        if not rules:
            text.append("  its rules are not in the kernel")
    sets = _sets(interpreter, members, [line.text for line in lines])
    text += [f"set {each['set']} {each['purpose']}: {_names(each['members'])}" for each in sets]
    return Section(node, f"Node {node}", text, {"chains": data, "sets": sets})


def _sets(interpreter: Interpreter, members: dict[str, list[Member]], rules: Sequence[str]) -> list[dict[str, Any]]:
    """The sets that rules name, but for those of the selected pods, which are shown with their counters."""
    words = {word for rule in rules for word in rule.split()}
    return [
        {
            "set": name,
            "purpose": interpreter.set(name),
            "members": [{"entry": each.entry, "name": each.comment} for each in found],
        }
        for name, found in members.items()
        if name in words and name not in interpreter.postures
    ]


def _names(members: list[dict[str, str]]) -> str:
    return (
        ", ".join(f"{each['entry']} ({each['name']})" if each["name"] else each["entry"] for each in members) or "empty"
    )


def _counts(denied: dict[str, int]) -> str:
    return ", ".join(f"{pod} {count}" for pod, count in sorted(denied.items()) if count) or "none"


def _denials(world: World, policy: Policy) -> Section:
    found = [line for line in world.denials() if policy.text in _field(line, "policy").split(",")][-LAST_DENIALS:]
    return Section("denials", "Last denied packets", found or ["none in the log"], found)


def _field(line: str, name: str) -> str:
    return next((word.partition("=")[2] for word in line.split() if word.startswith(f"{name}=")), "")
