"""`netsim reach`: who is asked, and why a connection did not come about.

The attempts themselves are made by others (`netsim.reach`); here is what they are about. A reason comes from the
objects, and where it is a policy, from the counter of denied packets as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api.kinds import NODE, POD, SERVICE
from controlplane.api.selectors import compile_labels
from controlplane.api.types import Object
from controlplane.explain.policies import PolicyIndex, set_members
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import NothingToExplain, World, find
from controlplane.policy.model import first_ipv4
from controlplane.policy.rules import Posture
from controlplane.policy.verdict import Connection, Denial, End, denial
from netsim.reach import Attempt, Outcome, Protocol

DEFAULT_PORT = 80
HOST = "host"

Counters = Mapping[tuple[str, str, str], int]
"""Denied packets by node, chain and pod address."""


Firewall = Callable[[str, str, str, int], str | None]
"""Takes source, destination, protocol and port; the rule of the VPC's firewall that denies it, if one does."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where connections are made from: a pod, which has a uid, a node, or the host, which has no node."""

    name: str
    node: str
    address: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: an address and port. `ends` are the pods behind it, of which a Service may have several."""

    name: str
    address: str
    port: int
    ends: tuple[tuple[str, int], ...]
    service: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """One cell of the matrix."""

    source: Source
    target: Target
    result: str
    reason: str
    milliseconds: float

    def document(self, protocol: str) -> dict[str, Any]:
        """For JSON."""
        return {
            "from": self.source.name,
            "to": self.target.name,
            "address": self.target.address,
            "port": self.target.port,
            "protocol": protocol,
            "result": self.result,
            "reason": self.reason,
            "milliseconds": round(self.milliseconds, 2),
        }


def sources(world: World, selections: Sequence[str], namespace: str) -> list[Source]:
    """The pods, nodes or host that are selected; with no selection every pod of the namespace, of all if that is ""."""
    found: dict[str, Source] = {}
    for selection in selections or [""]:
        kind, _, name = selection.partition("/")
        if selection == HOST:
            found[selection] = Source(selection, "", world.host_address())
            continue
        if kind == "node" and name:
            node = find(world, NODE, "", name)
            found[selection] = Source(selection, name, _internal(node))
            continue
        for pod in _pods(world, selection, namespace):
            metadata = pod["metadata"]
            address = _address(pod)
            if address:
                text = f"{metadata['namespace']}/{metadata['name']}"
                found[text] = Source(text, pod["spec"]["nodeName"], address, metadata["uid"])
    if not found:
        raise NothingToExplain(f"no pod with an address is selected by {' '.join(selections) or 'the namespace'}")
    return [found[name] for name in sorted(found)]


def targets(world: World, selections: Sequence[str], namespace: str, *, port: int, protocol: Protocol) -> list[Target]:
    """The pods, Services and addresses that are selected. `port` 0 is the first that a pod or Service declares."""
    found: dict[str, Target] = {}
    index = ServiceIndex(world)
    for selection in selections or [""]:
        kind, _, name = selection.partition("/")
        if first_ipv4([selection]):
            found[selection] = _at(index, selection, port=port, protocol=protocol)
            continue
        if kind in ("service", "svc") and name:
            of, _, name = name.rpartition(":") if ":" in name else (namespace, "", name)
            target = _service(world, index, of or "default", name, port=port, protocol=protocol)
            found[target.name] = target
            continue
        for pod in _pods(world, selection, namespace):
            address = _address(pod)
            if address:
                text = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                number = port or _first_port(pod, protocol)
                found[text] = Target(text, address, number, ((address, number),))
    if not found:
        raise NothingToExplain(f"no pod with an address is selected by {' '.join(selections) or 'the namespace'}")
    return [found[name] for name in sorted(found)]


def counters(world: World) -> dict[tuple[str, str, str], int]:
    """The denied packets of every pod of every node, now."""
    return {
        (node, chain, member.entry): member.packets
        for node in world.nodes()
        for chain, members in set_members(world.sets(node)).items()
        for member in members
    }


class Reasons:
    """Tells why attempts came to what they came to."""

    def __init__(self, world: World, before: Counters, after: Counters, *, firewall: Firewall | None = None) -> None:
        self._policies = PolicyIndex(world)
        self._by_address = {pod.address: pod for pod in self._policies.pods.values()}
        self._running = world.nodes()
        self._firewall = firewall
        self._before = before
        self._after = after

    def of(self, source: Source, target: Target, attempt: Attempt, outcome: Outcome) -> Reached:
        """The cell for one attempt."""
        result, reason = self._reason(source, target, attempt, outcome)
        return Reached(source, target, result, reason, outcome.seconds * 1000)

    def _reason(self, source: Source, target: Target, attempt: Attempt, outcome: Outcome) -> tuple[str, str]:
        if outcome.result == "ok":
            return "ok", ""
        if target.service and not target.ends and outcome.result != "no route":
            return outcome.result, "the Service has no endpoints"
        if outcome.result == "timed out":
            found = self._denial(source, target, attempt)
            if found is not None:
                return self._told(found, target)
            rule = self._denied_on_the_way(source, target, attempt)
            if rule is not None:
                return "denied", f"denied by VPC firewall rule {rule}; see: netsim vpc firewall"
            if attempt.protocol == "udp":
                return "no answer", "nothing answered; a UDP server need not"
            return "timed out", "no policy denies it; the packets were lost elsewhere"
        if outcome.result == "refused":
            return "refused", f"nothing listens on {attempt.protocol} port {attempt.port}"
        if outcome.result == "no route":
            off = sorted(
                {end.node for address, _ in target.ends if (end := self._by_address.get(address)) is not None}
                - {"", *self._running}
            )
            because = f": {', '.join(off)} does not run" if off else ""
            return "no route", f"no route to {attempt.address}{because}"
        return outcome.result, outcome.detail

    def _denial(self, source: Source, target: Target, attempt: Attempt) -> Denial | None:
        for address, port in target.ends:
            # What a node sends to its own pods is always allowed.
            end = End(address, self._by_address.get(address))
            if not source.uid and end.pod is not None and end.pod.node == source.node:
                continue
            connection = Connection(
                End(source.address, self._by_address.get(source.address)), end, attempt.protocol, port
            )
            found = denial(connection, self._policies.selecting, self._policies.labels)
            if found is not None:
                return found
        return None

    def _denied_on_the_way(self, source: Source, target: Target, attempt: Attempt) -> str | None:
        if self._firewall is None:
            return None
        rules = (self._firewall(source.address, address, attempt.protocol, port) for address, port in target.ends)
        return next((rule for rule in rules if rule is not None), None)

    def _told(self, found: Denial, target: Target) -> tuple[str, str]:
        posture = Posture(found.direction, found.policies)
        where = (found.pod.node, posture.name, found.pod.address)
        counted = self._after.get(where, 0) > self._before.get(where, 0)
        who = f" of {found.pod.text}" if found.direction == "egress" or target.service else ""
        if not counted:
            return "timed out", f"{posture.text} denies it, but no denied packet was counted at {found.pod.text}"
        return "denied", f"denied by {posture.text} ({found.direction}{who})"


def _pods(world: World, selection: str, namespace: str) -> list[Object]:
    """`selection` is a label selector or pod/NAME, with "NAMESPACE:" before it or not."""
    kind, _, name = selection.partition("/")
    by_name = kind == "pod" and bool(name)
    text = name if by_name else selection
    of, separator, rest = text.partition(":")
    namespace, text = (of, rest) if separator else (namespace, text)
    if by_name:
        return [find(world, POD, namespace or "default", text)]
    takes = compile_labels(text)
    return [
        pod
        for pod in world.objects(POD)
        if namespace in ("", pod["metadata"]["namespace"]) and takes(pod["metadata"].get("labels") or {})
    ]


def _at(index: ServiceIndex, address: str, *, port: int, protocol: Protocol) -> Target:
    """An address, which may be one of a Service's, or lead to one by a node port."""
    for ports in index.ports.values():
        for found in ports:
            fronted = address in found.addresses and port in (0, found.port)
            if found.protocol == protocol and (fronted or (port and port == found.node_port)):
                ends = tuple((each.ip, each.port) for each in index.endpoints(found) if each.ready)
                return Target(address, address, port or found.port, ends, service=True)
    number = port or DEFAULT_PORT
    return Target(address, address, number, ((address, number),))


def _service(world: World, index: ServiceIndex, namespace: str, name: str, *, port: int, protocol: Protocol) -> Target:
    find(world, SERVICE, namespace, name)
    text = f"service/{namespace}/{name}"
    ports = index.ports[namespace, name]
    for found in ports:
        if found.protocol == protocol and port in (0, found.port):
            ends = tuple((each.ip, each.port) for each in index.endpoints(found) if each.ready)
            return Target(text, found.cluster_ip, found.port, ends, service=True)
    known = ", ".join(f"{each.port}/{each.protocol}" for each in ports) or "none that a proxy serves"
    raise NothingToExplain(f"Service {namespace}/{name} has no {protocol} port {port or ''}; its ports: {known}")


def _first_port(pod: Object, protocol: Protocol) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("protocol", "TCP").lower() == protocol:
                return int(port["containerPort"])
    return DEFAULT_PORT


def _address(pod: Object) -> str:
    return first_ipv4(each["ip"] for each in (pod.get("status") or {}).get("podIPs") or ())


def _internal(node: Object) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "")
