"""`netsim reach`: why a connection did not come about.

The attempts themselves are made by others (`netsim.reach`), between ends that people select. A reason comes from the
objects, and where it is a policy, from the counter of denied packets as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.explain.policies import PolicyIndex, set_members
from controlplane.explain.world import World
from controlplane.policy.rules import Posture
from controlplane.policy.verdict import Connection, Denial, End, denial
from netsim.reach import Attempt, Outcome

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
