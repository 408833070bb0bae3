"""The rules and sets of one node, made from the pods on it and the policies that select them: pure text from values.

    FORWARD ─▶ NETSIM-POLICY ─┬─ replies, and a pod to itself: back
                              ├─ from a pod with egress policies ─▶ NETSIM-EG-x ─ allowed: back ─ else DROP
                              └─ to a pod with ingress policies ──▶ NETSIM-IN-x ─ allowed: back ─ else DROP

Pods that the same policies select share a chain and a set, so that a replica that comes is one more member of a set.
Every rule is met after a Service's DNAT and before the node changes the source, in the table filter ahead of
kube-proxy's own rules. What a pod's own node sends or gets passes INPUT or OUTPUT and is always allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.policy import names
from controlplane.policy.model import Block, Direction, NamedPort, Peer, Pod, Pods, Policy, Port, Rule, Selection
from controlplane.policy.sets import LONGEST_COMMENT, AddressSet, block_members

SELF_MATCH, LOG_TARGET = "bpf", "NFLOG"
DISPENSABLE = {
    SELF_MATCH: "a pod may be kept from itself",
    LOG_TARGET: "denied packets are counted and not logged",
}
"""Matches and targets that a kernel may lack, and what is then not so."""
NFLOG_GROUP = 100
LOGGED_PER_SECOND, LOGGED_BURST = 10, 50
JUMP = f'-m comment --comment "netsim network policies" -j {names.ROOT}'
SAME_ADDRESS = "6,32 0 0 12,7 0 0 0,32 0 0 16,29 0 1 0,6 0 0 65535,6 0 0 0"
"""Source equals destination, as the classic BPF program that `bpf_asm` makes of: ld [12]; tax; ld [16]; jeq x."""

Members = Callable[[Selection], Mapping[str, Pod]]
"""The pods of the cluster that a selection takes, by uid."""


@dataclass(frozen=True, slots=True)
class Posture:
    """One direction of the pods that exactly these policies select; the name of its chain is also that of its set."""

    direction: Direction
    policies: tuple[Policy, ...]

    @property
    def name(self) -> str:
        prefix = names.INGRESS if self.direction == "ingress" else names.EGRESS
        return names.name(prefix, f"{self.direction}:{','.join(policy.text for policy in self.policies)}")

    @property
    def text(self) -> str:
        """The policies, for people."""
        return ", ".join(policy.text for policy in self.policies)


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """All that a node's kernel shall hold: chains of the table filter and sets. Without a policy, nothing."""

    chains: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sets: Mapping[str, AddressSet] = field(default_factory=dict)
    postures: Mapping[str, Posture] = field(default_factory=dict)
    """By the name of the chain."""


def postures_of(policies: Sequence[Policy]) -> list[Posture]:
    """The postures of a pod that these policies select: one for each direction that any of them speaks of."""
    found = []
    directions: tuple[Direction, ...] = ("egress", "ingress")
    for direction in directions:
        speaking = tuple(policy for policy in policies if policy.rules(direction) is not None)
        if speaking:
            found.append(Posture(direction, speaking))
    return found


def compile_node(
    pods: Iterable[tuple[Pod, Sequence[Policy]]], members: Members, *, without: Collection[str] = ()
) -> NodePolicy:
    """The rules of a node, given its pods, each with the policies that select it in the order of their names.

    `without` are those of `DISPENSABLE` that the kernel lacks: their rules are left out.
    """
    postures: dict[str, Posture] = {}
    selected: dict[str, dict[str, str]] = {}
    for pod, policies in pods:
        for posture in postures_of(policies):
            name = posture.name
            postures[name] = posture
            selected.setdefault(name, {})[pod.address] = pod.text
    if not postures:
        return NodePolicy()
    sets: dict[str, AddressSet] = {}
    chains: dict[str, Sequence[str]] = {names.ROOT: list(_root(postures, without))}
    for name in sorted(postures):
        sets[name] = AddressSet("hash:ip", selected[name], counters=True)
        chains[name] = list(_posture_chain(postures[name], name, sets, members, without))
    return NodePolicy(chains, sets, postures)


def _root(postures: Mapping[str, Posture], without: Collection[str]) -> Iterator[str]:
    yield (
        f"-A {names.ROOT} -m conntrack --ctstate RELATED,ESTABLISHED "
        '-m comment --comment "replies, and connections that were there before a policy" -j RETURN'
    )
    if SELF_MATCH not in without:
        yield (
            f'-A {names.ROOT} -m bpf --bytecode "{SAME_ADDRESS}" '
            '-m comment --comment "a pod may always reach itself" -j RETURN'
        )
    for name in sorted(postures, key=lambda each: (postures[each].direction, each)):
        posture = postures[name]
        side = "src" if posture.direction == "egress" else "dst"
        comment = _comment(f"{posture.direction} of pods selected by {posture.text}")
        yield f"-A {names.ROOT} -m set --match-set {name} {side} ! --update-counters {comment} -j {name}"


def _posture_chain(
    posture: Posture, chain: str, sets: dict[str, AddressSet], members: Members, without: Collection[str]
) -> Iterator[str]:
    for policy in posture.policies:
        for number, rule in enumerate(policy.rules(posture.direction) or (), 1):
            said = f"{policy.text} {posture.direction} rule {number}"
            for match, what in _matches(rule, posture.direction, sets, members):
                yield f"-A {chain} {match}{_comment(f'{said}: {what}')} -j RETURN"
    side = "src" if posture.direction == "egress" else "dst"
    log = f"-m limit --limit {LOGGED_PER_SECOND}/second --limit-burst {LOGGED_BURST}"
    if LOG_TARGET not in without and any(policy.log for policy in posture.policies):
        yield f"-A {chain} {log} -j NFLOG --nflog-prefix {chain} --nflog-group {NFLOG_GROUP}"
    # The set's own counters say which pod's packets these were.
    denied = _comment(f"denied: no {posture.direction} rule of {posture.text} allows it")
    yield f"-A {chain} -m set --match-set {chain} {side} {denied} -j DROP"


def _matches(
    rule: Rule, direction: Direction, sets: dict[str, AddressSet], members: Members
) -> Iterator[tuple[str, str]]:
    """What a rule allows, each as matches of iptables and as words."""
    peers = [_peer_match(peer, direction, sets, members) for peer in rule.peers] if rule.peers is not None else [_ANY]
    ports = [_port_match(port, sets, members) for port in rule.ports] if rule.ports is not None else [_ANY]
    other = "from" if direction == "ingress" else "to"
    for address, _, peer, peer_words in peers:
        for _, protocol, port, port_words in ports:
            yield f"{address}{protocol}{peer}{port}", f"{port_words or 'all'} {other} {peer_words or 'anywhere'}"


_Match = tuple[str, str, str, str]
"""Address match, protocol match, extensions, words; iptables prints them in this order."""
_ANY: _Match = ("", "", "", "")


def _peer_match(peer: Peer, direction: Direction, sets: dict[str, AddressSet], members: Members) -> _Match:
    side, option = ("src", "-s") if direction == "ingress" else ("dst", "-d")
    if isinstance(peer, Pods):
        name = peer_set(peer)
        sets[name] = AddressSet("hash:ip", {pod.address: pod.text for pod in members(peer).values()})
    elif peer.excepts:
        name = block_set(peer)
        sets[name] = AddressSet("hash:net", block_members(peer.cidr, peer.excepts))
    else:
        return "" if _is_everywhere(peer) else f"{option} {peer.cidr} ", "", "", peer.text
    return "", "", f"-m set --match-set {name} {side} ", peer.text


def _port_match(port: Port, sets: dict[str, AddressSet], members: Members) -> _Match:
    protocol = f"-p {port.protocol} "
    if port.name:
        named = NamedPort(port.protocol, port.name)
        name = port_set(named)
        sets[name] = AddressSet(
            "hash:ip,port",
            {
                f"{pod.address},{port.protocol}:{number}": pod.text
                for pod in members(named).values()
                for number in named.numbers(pod)
            },
        )
        return "", protocol, f"-m set --match-set {name} dst,dst ", port.text
    if not port.first:
        return "", protocol, "", port.text
    numbers = f"{port.first}:{port.last}" if port.last != port.first else str(port.first)
    return "", protocol, f"-m {port.protocol} --dport {numbers} ", port.text


def peer_set(peer: Pods) -> str:
    """The name of the set of such peers."""
    return names.name(names.PEER, f"{peer.namespace}|{peer.namespace_selector}|{peer.pod_selector}")


def block_set(block: Block) -> str:
    """The name of the set of a range without parts."""
    return names.name(names.BLOCK, block.text)


def port_set(named: NamedPort) -> str:
    """The name of the set of the ports of a name."""
    return names.name(names.PORT, f"{named.protocol}|{named.name}")


def _is_everywhere(block: Block) -> bool:
    return block.cidr == "0.0.0.0/0"


def _comment(text: str) -> str:
    text = text.replace('"', "'")
    if len(text) > LONGEST_COMMENT:
        text = text[: LONGEST_COMMENT - 3] + "..."
    return f'-m comment --comment "{text}"'
