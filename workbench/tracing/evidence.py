"""All that was heard of one probe, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from controlplane.explain.meaning import Interpreter
from netsim.capture import Packet, Point
from netsim.trace import Outcome, Probe, RuleBook
from workbench.tracing.passes import Pass


@dataclass(slots=True)
class Evidence:
    """All that was heard. `places` names each namespace, `passes` are by its name, `links` names by ifindex."""

    probe: Probe
    sender: tuple[str, int]
    outcome: Outcome
    points: list[Point] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    passes: dict[str, list[Pass]] = field(default_factory=dict)
    books: dict[str, RuleBook] = field(default_factory=dict)
    interpreters: dict[str, Interpreter] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)
    namespaces: dict[str, Path] = field(default_factory=dict)
