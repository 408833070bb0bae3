"""`netsim reach`: why a connection did not come about.

The attempts themselves are made by others (`netsim.reach`), between ends that people select. A reason comes from the
objects, and where it is a policy, from the counter of denied packets as well. Where these do not tell why, no reason is
made up: the cell says that a trace has to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controlplane.explain.policies import PolicyIndex, set_members
from controlplane.explain.world import World
from controlplane.faults.definition import FAULT
from controlplane.faults.status import is_active
from controlplane.policy.rules import Posture
from controlplane.policy.verdict import Connection, Denial, End, denial
from netsim.reach import Attempt, Outcome

Counters = Mapping[tuple[str, str, str], int]
"""Denied packets by node, chain and pod address."""


Firewall = Callable[[str, str, str, int], str | None]
"""Takes source, destination, protocol and port; the rule of the VPC's firewall that denies it, if one does."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where connections are made from: a pod, which has a uid, a node, or the host, which has no node.

    `name` is a place, as commands take it: `pod/web`, `shop/pod/web`, `node/node-1`.
    """

    name: str
    node: str
    address: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: an address and port. `ends` are the pods behind it, of which a Service may have several.

    `name` is a place, as commands take it, or an address. `outside` is the address by which the host knows it, if that
    is another one; "" if it knows none.
    """

    name: str
    address: str
    port: int
    ends: tuple[tuple[str, int], ...]
    service: bool = False
    outside: str | None = None

    def seen_from(self, source: Source) -> Target:
        """The same with the address by which the source knows it."""
        return self if source.node or self.outside is None else replace(self, address=self.outside)


@dataclass(frozen=True, slots=True)
class Reached:
    """One cell of the matrix. What is not `explained` only a trace can tell: the reason is then what is known."""

    source: Source
    target: Target
    result: str
    reason: str
    milliseconds: float
    explained: bool = True

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
        self._broken = any(map(is_active, world.objects(FAULT)))
        self._before = before
        self._after = after

    def of(self, source: Source, target: Target, attempt: Attempt, outcome: Outcome) -> Reached:
        """The cell for one attempt."""
        milliseconds = outcome.seconds * 1000
        if outcome.result == "ok":
            return Reached(source, target, "ok", "", milliseconds)
        if outcome.result == "failed":
            off = source.node not in ("", *self._running)
            return Reached(
                source, target, "failed", f"{source.node} does not run" if off else outcome.detail, milliseconds
            )
        denied = self._denied(source, target, attempt) if outcome.result == "timed out" else None
        if denied is not None and denied[0]:
            return Reached(source, target, "denied", denied[1], milliseconds)
        result, reason, known = ("denied", denied[1], True) if denied else self._otherwise(target, attempt, outcome)
        # These reasons are what should be. While something is broken on purpose, that may be it.
        return Reached(source, target, result, reason, milliseconds, explained=known and not self._broken)

    def _denied(self, source: Source, target: Target, attempt: Attempt) -> tuple[bool, str] | None:
        """What denies it, if anything does, and whether the kernel counted that."""
        policy = self._denial(source, target, attempt)
        rule = self._denied_on_the_way(source, target, attempt)
        # The VPC comes after what goes out of a pod, and before what comes into one.
        if policy is not None and self._counted(policy) and (rule is None or policy.direction == "egress"):
            return True, _told(policy, target)
        return None if rule is None else (False, f"denied by VPC firewall rule {rule}")

    def _otherwise(self, target: Target, attempt: Attempt, outcome: Outcome) -> tuple[str, str, bool]:
        """Result, reason, and whether that is known, of what nothing denies."""
        if not target.address:
            return "no route", "it has no address that is known outside; take a node and its node port", True
        if target.service and not target.ends and outcome.result != "no route":
            return outcome.result, "the Service has no endpoints", True
        if outcome.result == "refused":
            return "refused", f"nothing listens on {attempt.protocol} port {attempt.port}", True
        off = self._switched_off(target)
        if outcome.result == "no route":
            because = f": {', '.join(off)} does not run" if off else ""
            return "no route", f"no route to {attempt.address}{because}", True
        if off:
            return outcome.result, f"{', '.join(off)} does not run", True
        if attempt.protocol == "udp":
            return "no answer", "nothing answered; a UDP server need not", True
        return "timed out", "the packets were lost on the way", False

    def _switched_off(self, target: Target) -> list[str]:
        ends = (self._by_address.get(address) for address, _ in target.ends)
        return sorted({end.node for end in ends if end is not None} - {"", *self._running})

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

    def _counted(self, found: Denial) -> bool:
        where = (found.pod.node, Posture(found.direction, found.policies).name, found.pod.address)
        return self._after.get(where, 0) > self._before.get(where, 0)


def _told(found: Denial, target: Target) -> str:
    who = f" of {found.pod.text}" if found.direction == "egress" or target.service else ""
    return f"denied by {Posture(found.direction, found.policies).text} ({found.direction}{who})"
