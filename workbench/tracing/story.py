"""A packet's story as data: legs of visits of steps, and how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

StepKind = Literal["in", "out", "rule", "verdict", "nat", "route", "connection", "tunnel"]


@dataclass(slots=True)
class Step:
    """One thing that happened. `time` is nanoseconds since the epoch where a capture saw it, else None.

    `data` has the parts for JSON: table, chain, rule, service, endpoint, probability, policies, link, …
    """

    kind: StepKind
    text: str
    time: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Visit:
    """The packet in one network namespace: `place` is `pod/web`, `node/node-1`, `router` or `host`."""

    place: str
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Leg:
    """One way: of the probe, or of the first thing that came back."""

    direction: Literal["request", "reply"]
    packet: str
    visits: list[Visit] = field(default_factory=list)

    @property
    def times(self) -> list[int]:
        """Of all captures, in order."""
        return [step.time for visit in self.visits for step in visit.steps if step.time is not None]


@dataclass(slots=True)
class Story:
    """`result` is `delivered`, or why not in a word: `no-endpoints`, `policy`, `firewall`, `rejected`, `dropped`,
    `partition`, `fault`, `no-route`, `no-neighbour`, `no-port`, `not-listening`, `mtu`, `link-down`, `lost`,
    `no-answer`. `reason` is a sentence."""

    source: str
    target: str
    protocol: str
    legs: list[Leg] = field(default_factory=list)
    result: str = ""
    reason: str = ""
    where: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
