"""Whether policies allow a connection, decided from the objects alone: what the kernel's rules are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from controlplane.policy.model import Block, Direction, NamedPort, Peer, Pod, Policy, Port, Rule

LabelsOf = Callable[[str], Mapping[str, str]]
"""The labels of a namespace."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection: an address, and the pod that has it, if one does."""

    address: str
    pod: Pod | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """Which side denies a connection: `policies` select `pod`, and no rule of theirs allows it."""

    direction: Direction
    pod: Pod
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """What is asked about; `port` is 0 for a protocol without ports."""

    source: End
    destination: End
    protocol: str
    port: int = 0


def denial(connection: Connection, selecting: Callable[[Pod], Sequence[Policy]], labels_of: LabelsOf) -> Denial | None:
    """Who denies a connection, the client's side asked first; None if it is allowed."""
    if connection.source.address == connection.destination.address:
        return None
    sides: tuple[tuple[Direction, End, End], ...] = (
        ("egress", connection.source, connection.destination),
        ("ingress", connection.destination, connection.source),
    )
    for direction, subject, peer in sides:
        if subject.pod is None:
            continue
        policies = tuple(each for each in selecting(subject.pod) if each.rules(direction) is not None)
        rules = [rule for policy in policies for rule in policy.rules(direction) or ()]
        if policies and not any(_allows(rule, connection, peer, labels_of) for rule in rules):
            return Denial(direction, subject.pod, policies)
    return None


def _allows(rule: Rule, connection: Connection, peer: End, labels_of: LabelsOf) -> bool:
    if rule.peers is not None and not any(_is_peer(each, peer, labels_of) for each in rule.peers):
        return False
    return rule.ports is None or any(_is_port(port, connection) for port in rule.ports)


def _is_peer(wanted: Peer, peer: End, labels_of: LabelsOf) -> bool:
    if isinstance(wanted, Block):
        address = IPv4Address(peer.address)
        excepted = any(address in IPv4Network(each) for each in wanted.excepts)
        return address in IPv4Network(wanted.cidr) and not excepted
    return peer.pod is not None and wanted.matches(peer.pod, labels_of(peer.pod.namespace))


def _is_port(port: Port, connection: Connection) -> bool:
    if port.protocol != connection.protocol:
        return False
    if port.name:
        pod = connection.destination.pod
        return pod is not None and connection.port in NamedPort(port.protocol, port.name).numbers(pod)
    return not port.first or port.first <= connection.port <= port.last
