"""The kernel's events of one namespace, gathered: a packet's pass of a hook's chains, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from controlplane.explain.meaning import Interpreter
from controlplane.explain.saved import parse_line
from netsim.trace import Event, Kind, PacketHead, RuleBook
from netsim.trace.watch import TABLE
from workbench.tracing.story import Step

DROPPED = ("drop",)


@dataclass(slots=True)
class Pass:
    """One packet in one base chain: what it was at its beginning, and every event until its end."""

    head: PacketHead
    table: str
    chain: str
    iif: int
    oif: int
    events: list[Event] = field(default_factory=list)

    @property
    def dropped(self) -> bool:
        """Whether it ended here."""
        return any(event.verdict in DROPPED for event in self.events)


def gather(events: Iterable[Event]) -> list[Pass]:
    """The passes of all packets, ours left out."""
    found: list[Pass] = []
    current: dict[int, Pass] = {}
    for event in events:
        if event.packet is not None:
            made = Pass(event.packet, event.table, event.chain, event.iif, event.oif)
            current[event.trace] = made
            found.append(made)
        if event.trace in current:
            current[event.trace].events.append(event)
    return [each for each in found if each.table != TABLE]


def steps_of(each: Pass, book: RuleBook, interpreter: Interpreter | None) -> list[Step]:
    """A step for each rule that the packet met, and for what the chain did with it in the end."""
    steps = []
    for event in each.events:
        rule = book.find(event.table, event.handle) if event.handle else None
        if rule is not None:
            said = _meaning(rule.text, event.table, interpreter) if rule.iptables else {"reason": _comment(rule.text)}
            target = f" → {event.target}" if event.target else ""
            text = f"{event.table} {event.chain}: {_short(rule.text)}{target}"
            data = {"table": event.table, "chain": event.chain, "rule": rule.text, "verdict": event.verdict, **said}
            steps.append(Step("rule", text, data=data))
        elif event.kind is Kind.POLICY and event.verdict in DROPPED:
            data = {"table": event.table, "chain": event.chain, "verdict": event.verdict}
            steps.append(
                Step("verdict", f"{event.table} {event.chain}: the chain's policy is {event.verdict}", data=data)
            )
    return steps


def _meaning(text: str, table: str, interpreter: Interpreter | None) -> dict[str, object]:
    line = parse_line(text, table)
    return interpreter.rule(line).document() if interpreter is not None and line is not None else {}


def _comment(text: str) -> str:
    _before, found, after = text.partition('comment "')
    return after.split('"', 1)[0] if found else ""


def _short(text: str) -> str:
    """A rule without its own chain's name and its comment."""
    words = text.split(" ")
    kept: list[str] = []
    skipping = quoted = False
    for word in words[2:] if words[0] == "-A" else words:
        if quoted:
            quoted = not (word.endswith('"') and not word.endswith('\\"'))
            continue
        if skipping:
            skipping = False
            quoted = word.startswith('"') and not (word.endswith('"') and len(word) > 1)
            continue
        if word == "--comment" or (word == "comment" and words[0] != "-A"):
            skipping = True
            continue
        kept.append(word)
    return " ".join(kept).replace("-m comment ", "")
