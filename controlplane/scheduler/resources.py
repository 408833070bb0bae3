"""What a pod asks for and what a node has, in integers: CPU in thousandths, the rest in units.

The sum over containers is upstream's resource.PodRequests: sidecars run beside the containers,
other init containers one after another before them, and pod-level requests override both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from controlplane.api.quantity import milli, whole

Amounts = dict[str, int]

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"

DEFAULT_SCORE_CPU = 100
DEFAULT_SCORE_MEMORY = 200 * 1024 * 1024
"""What a container without a request counts for in scores, so that such pods spread too."""


@lru_cache(maxsize=4096)
def amount(resource: str, text: str | int | float) -> int:
    """The quantity in the unit of its resource."""
    return milli(text) if resource == CPU else whole(text)


def amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    """A wire resource list in integers."""
    return {name: amount(name, text) for name, text in (quantities or {}).items()}


def pod_requests(spec: Mapping[str, Any]) -> Amounts:
    """What the pod as a whole needs of a node."""
    total = _sum(_container_requests(container) for container in spec.get("containers") or ())
    inits = spec.get("initContainers")
    if inits:
        total = _with_inits(total, inits)
    total.update(amounts((spec.get("resources") or {}).get("requests")))
    for name, value in amounts(spec.get("overhead")).items():
        total[name] = total.get(name, 0) + value
    return total


def score_requests(spec: Mapping[str, Any], requests: Amounts) -> tuple[int, int]:
    """CPU and memory for scores, where a container that asks for nothing counts for something."""
    containers = spec.get("containers") or ()
    silent_cpu = silent_memory = 0
    for container in containers:
        asked = _container_requests(container)
        silent_cpu += CPU not in asked
        silent_memory += MEMORY not in asked
    return (
        requests.get(CPU, 0) + silent_cpu * DEFAULT_SCORE_CPU,
        requests.get(MEMORY, 0) + silent_memory * DEFAULT_SCORE_MEMORY,
    )


def _container_requests(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources")
    if not resources:
        return {}
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def _with_inits(total: Amounts, inits: Iterable[Mapping[str, Any]]) -> Amounts:
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in inits:
        asked = _container_requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, asked))
            asked = sidecars
        else:
            asked = _sum((sidecars, asked))
        peak = _maximum(peak, asked)
    return _maximum(_sum((total, sidecars)), peak)


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _maximum(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}
