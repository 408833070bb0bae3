"""What a whole pod asks for and is limited to, as quotas and limit ranges count it: billionths by resource.

Init containers run one after the other, so of them the largest counts, with those restarted for good
(sidecars) added to all that come later. The scheduler counts in its own units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from controlplane.api import quantity

Amounts = dict[str, int]
Part = Literal["requests", "limits"]


def amounts(container: Mapping[str, Any], part: Part) -> Amounts:
    """The requests or limits of one container, or of the pod as a whole."""
    return {name: quantity.nanos(value) for name, value in container.get("resources", {}).get(part, {}).items()}


def pod_amounts(spec: Mapping[str, Any], part: Part) -> Amounts:
    """The sum over the containers, or the largest init container; pod-level resources and overhead on top."""
    total: Amounts = {}
    for container in spec.get("containers", ()):
        _add(total, amounts(container, part))
    largest: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.get("initContainers", ()):
        own = amounts(container, part)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = sidecars
        else:
            own = _sum(own, sidecars)
        _raise(largest, own)
    _raise(total, largest)
    total |= amounts(spec, part)
    overhead = {name: quantity.nanos(value) for name, value in spec.get("overhead", {}).items()}
    for name, value in overhead.items():
        if part == "requests" or name in total:
            total[name] = total.get(name, 0) + value
    return total


def containers_of(spec: Mapping[str, Any]) -> Iterable[Any]:
    """Every container that has resources: init containers and containers."""
    yield from spec.get("initContainers", ())
    yield from spec.get("containers", ())


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def _raise(largest: Amounts, own: Amounts) -> None:
    for name, value in own.items():
        largest[name] = max(largest.get(name, 0), value)
