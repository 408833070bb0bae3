"""A story as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.tracing.story import Leg, Step, Story

_SIGNS = {
    "in": "▶",
    "out": "◀",
    "rule": "·",
    "verdict": "✗",
    "nat": "⇄",
    "route": "⤳",
    "connection": "≡",
    "tunnel": "⊃",
}
_NAMES = {
    "in": "in ",
    "out": "out",
    "rule": "",
    "verdict": "",
    "nat": "nat",
    "route": "route",
    "connection": "conntrack",
    "tunnel": "",
}


def to_lines(story: Story) -> Iterator[str]:
    """The whole story, one line a step, latencies beside what was captured."""
    yield f"{story.source} → {story.target}, {story.protocol}"
    for leg in story.legs:
        yield ""
        yield f"{'The probe' if leg.direction == 'request' else 'What came back'}: {leg.packet}"
        yield from _leg(leg)
    yield ""
    verdict = "delivered" if story.result == "delivered" else f"not delivered ({story.result})"
    where = f", at {story.where}" if story.where else ""
    yield f"Result: {verdict}{where}: {story.reason}"


def _leg(leg: Leg) -> Iterator[str]:
    previous = leg.times[0] if leg.times else None
    for visit in leg.visits:
        yield f"  {visit.place}"
        for step in visit.steps:
            yield f"    {_moment(step, previous):>10}  {_told(step)}"
            if (reason := step.data.get("reason")) and step.kind == "rule":
                yield f"    {'':>10}      {_detail(step, str(reason))}"
            previous = step.time or previous
    times = leg.times
    if len(times) > 1:
        yield f"  {(times[-1] - times[0]) / 1000:.0f} µs from the first link to the last"


def _told(step: Step) -> str:
    name = _NAMES[step.kind]
    return f"{_SIGNS[step.kind]} {name + ' ' if name else ''}{step.text}"


def _detail(step: Step, reason: str) -> str:
    chance = step.data.get("probability")
    return f"{reason} (probability {chance:.3f})" if chance else reason


def _moment(step: Step, previous: int | None) -> str:
    if step.time is None or previous is None:
        return ""
    return f"+{(step.time - previous) / 1000:.0f} µs"
