"""How far and how fast a HorizontalPodAutoscaler may go: stabilization, policies, minimum, maximum; upstream's.

Kept in memory only, as upstream keeps it: for a controller that starts anew, what there is counts as recommended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.controllers.autoscaler_replicas import DEFAULT_TOLERANCE, Tolerance

DOWN_WINDOW_SECONDS = 300
"""For so long the highest recommendation holds, where nothing is said."""
DEFAULT_UP: dict[str, Any] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DEFAULT_DOWN: dict[str, Any] = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
LONGEST_SECONDS = 3600

Moment = tuple[float, int]
"""Seconds, and a number of replicas."""
Reason = tuple[str, str, str]
"""Status, reason and message of a condition."""


@dataclass(slots=True)
class History:
    """What was recommended and what was done, the oldest first."""

    recommended: list[Moment] = field(default_factory=list)
    grown: list[Moment] = field(default_factory=list)
    shrunk: list[Moment] = field(default_factory=list)

    def begin(self, current: int, now: float) -> None:
        """The first look: nothing shrinks before the window is over."""
        if not self.recommended:
            self.recommended.append((now, current))

    def scaled(self, before: int, after: int, now: float) -> None:
        """Notes a change that was made."""
        if after > before:
            self.grown.append((now, after - before))
        elif after < before:
            self.shrunk.append((now, before - after))
        for events in (self.recommended, self.grown, self.shrunk):
            events[:] = [one for one in events if now - one[0] <= LONGEST_SECONDS]


@dataclass(frozen=True, slots=True)
class Limited:
    """`replicas` are what may be had now; the conditions say whether, and why it is not what was asked for."""

    replicas: int
    able: Reason
    limited: Reason


def rules_of(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """How to grow and how to shrink."""
    behavior = spec.get("behavior") or {}
    return behavior.get("scaleUp") or DEFAULT_UP, behavior.get("scaleDown") or DEFAULT_DOWN


def tolerance_of(spec: Mapping[str, Any], parse: Any) -> Tolerance:
    """How far the use may be off; `parse` reads a quantity in thousandths."""
    shares = [rules.get("tolerance") for rules in rules_of(spec)]
    up, down = (DEFAULT_TOLERANCE if share is None else parse(share) / 1000 for share in shares)
    return Tolerance(up, down)


def limit(wanted: int, current: int, spec: Mapping[str, Any], history: History, now: float) -> Limited:
    """What may be had of the `wanted` replicas now; notes the recommendation."""
    up, down = rules_of(spec)
    stable, able = _stabilized(wanted, current, up, down, history, now)
    lowest, highest = spec.get("minReplicas", 1), spec["maxReplicas"]
    if stable > current:
        ceiling = _growth_limit(current, up, history, now)
        if stable > min(ceiling, highest):
            return Limited(min(ceiling, highest), able, _too_many(ceiling, highest))
    elif stable < current:
        floor = _shrink_limit(current, down, history, now)
        if stable < max(floor, lowest):
            return Limited(max(floor, lowest), able, _too_few(floor, lowest))
    clamped = min(max(stable, lowest), highest)
    if clamped != stable:
        return Limited(clamped, able, _too_many(highest, highest) if stable > highest else _too_few(lowest, lowest))
    return Limited(stable, able, ("False", "DesiredWithinRange", "the desired count is within the acceptable range"))


def _stabilized(
    wanted: int, current: int, up: Mapping[str, Any], down: Mapping[str, Any], history: History, now: float
) -> tuple[int, Reason]:
    grow_window = up.get("stabilizationWindowSeconds") or 0
    given = down.get("stabilizationWindowSeconds")
    shrink_window = DOWN_WINDOW_SECONDS if given is None else given
    recent = history.recommended
    lowest = min([wanted, *(one for at, one in recent if now - at < grow_window)])
    highest = max([wanted, *(one for at, one in recent if now - at < shrink_window)])
    longest = max(grow_window, shrink_window)
    history.recommended = [*(one for one in recent if now - one[0] < longest), (now, wanted)]
    stable = min(max(current, lowest), highest)
    if stable == wanted:
        return stable, ("True", "ReadyForNewScale", "recommended size matches current size")
    if stable < wanted:
        text = "recent recommendations were lower than current one, applying the lowest recent recommendation"
        return stable, ("True", "ScaleUpStabilized", text)
    text = "recent recommendations were higher than current one, applying the highest recent recommendation"
    return stable, ("True", "ScaleDownStabilized", text)


def _growth_limit(current: int, rules: Mapping[str, Any], history: History, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in rules.get("policies") or ():
        period = policy["periodSeconds"]
        start = current - _changes(history.grown, period, now) + _changes(history.shrunk, period, now)
        grown = start + policy["value"] if policy["type"] == "Pods" else math.ceil(start * (1 + policy["value"] / 100))
        limits.append(grown)
    return _select(limits, rules, current, widest=max)


def _shrink_limit(current: int, rules: Mapping[str, Any], history: History, now: float) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in rules.get("policies") or ():
        period = policy["periodSeconds"]
        start = current - _changes(history.grown, period, now) + _changes(history.shrunk, period, now)
        left = start - policy["value"] if policy["type"] == "Pods" else int(start * (1 - policy["value"] / 100))
        limits.append(left)
    return _select(limits, rules, current, widest=min)


def _select(limits: Sequence[int], rules: Mapping[str, Any], current: int, *, widest: Any) -> int:
    if not limits:
        return current
    narrowest = min if widest is max else max
    chosen = narrowest(limits) if rules.get("selectPolicy") == "Min" else widest(limits)
    return int(max(chosen, current) if widest is max else min(chosen, current))


def _changes(events: Iterable[Moment], period: float, now: float) -> int:
    return sum(change for at, change in events if now - at < period)


def _too_many(ceiling: int, highest: int) -> Reason:
    if highest <= ceiling:
        return "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    return "True", "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"


def _too_few(floor: int, lowest: int) -> Reason:
    if lowest >= floor:
        return "True", "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    return "True", "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"
