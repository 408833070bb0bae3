"""From what pods use to how many there should be: the arithmetic of the HorizontalPodAutoscaler, upstream's.

Pure. Pods that are going or have failed do not count. Pods that are not ready, or not measured, are counted so that
they hold a change back and never drive it: as if they used nothing when the rest asks for more, and as if they used
their target when the rest asks for less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.api.quantity import milli
from controlplane.api.types import Object
from controlplane.controllers.meta import parse_time
from controlplane.controllers.pods import condition

INITIALIZATION_SECONDS = 300.0
"""For so long after its start a pod's use of CPU counts only once it has been ready for a whole measurement."""
INITIAL_READINESS_SECONDS = 30.0
DEFAULT_TOLERANCE = 0.1


class MetricFailure(Exception):
    """A metric that gives no number of replicas, in upstream's words."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pod uses of one resource, in thousandths; seen `at` epoch seconds as an average over `window`."""

    value: int
    at: float
    window: float


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far, as a share, the use may be from its target without a change."""

    up: float = DEFAULT_TOLERANCE
    down: float = DEFAULT_TOLERANCE

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Proposal:
    """`replicas` are wanted; `average` is what a pod uses, in thousandths; `percent` the share of its request."""

    replicas: int
    average: int
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class _Groups:
    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def by_utilization(
    current: int,
    pods: Sequence[Object],
    measured: Mapping[str, Measured],
    *,
    resource: str,
    container: str,
    percent: int,
    tolerance: Tolerance,
    now: float,
) -> Proposal:
    """The replicas with which pods use `percent` of what they request; `container` "" for all of them."""
    groups = _grouped(pods, measured, resource, now)
    used = _usable(measured, groups)
    requests = {
        pod["metadata"]["name"]: _request(pod, resource, container)
        for pod in pods
        if pod["metadata"]["name"] not in groups.ignored
    }
    ratio, share, average = _share(used, requests, percent)
    full = max(100, percent)
    missing = {name: requests[name] * full // 100 for name in groups.missing if name in requests}
    measure = _Measure(used, groups, missing, lambda values: _share(values, requests, percent)[0])
    return Proposal(_replicas(current, ratio, measure, tolerance), average, share)


def by_value(
    current: int,
    pods: Sequence[Object],
    measured: Mapping[str, Measured],
    *,
    resource: str,
    target: int,
    tolerance: Tolerance,
    now: float,
) -> Proposal:
    """The replicas with which a pod uses `target` thousandths of the resource."""
    groups = _grouped(pods, measured, resource, now)
    used = _usable(measured, groups)

    def ratio_of(values: Mapping[str, int]) -> float:
        return sum(values.values()) / len(values) / target

    measure = _Measure(used, groups, dict.fromkeys(groups.missing, target), ratio_of)
    return Proposal(_replicas(current, ratio_of(used), measure, tolerance), sum(used.values()) // len(used))


@dataclass(frozen=True, slots=True)
class _Measure:
    """`missing` is what the pods that were not measured count for when there should be fewer; `ratio` to the target."""

    used: Mapping[str, int]
    groups: _Groups
    missing: Mapping[str, int]
    ratio: Callable[[Mapping[str, int]], float]


def _replicas(current: int, ratio: float, measure: _Measure, tolerance: Tolerance) -> int:
    groups = measure.groups
    growing = bool(groups.unready) and ratio > 1.0
    if not growing and not groups.missing:
        return current if tolerance.covers(ratio) else math.ceil(ratio * groups.ready)
    counted = dict(measure.used)
    if ratio < 1.0:
        counted |= measure.missing
    elif ratio > 1.0:
        counted |= dict.fromkeys(groups.missing, 0)
    if growing:
        counted |= dict.fromkeys(groups.unready, 0)
    corrected = measure.ratio(counted)
    if tolerance.covers(corrected) or (ratio < 1.0 < corrected) or (corrected < 1.0 < ratio):
        return current
    wanted = math.ceil(corrected * len(counted))
    turned = (corrected < 1.0 and wanted > current) or (corrected > 1.0 and wanted < current)
    return current if turned else wanted


def _grouped(pods: Iterable[Object], measured: Mapping[str, Measured], resource: str, now: float) -> _Groups:
    ready = 0
    unready, missing, ignored = set(), set(), set()
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Failed":
            ignored.add(name)
        elif status.get("phase", "Pending") == "Pending":
            unready.add(name)
        elif name not in measured:
            missing.add(name)
        elif resource == "cpu" and not _counts(pod, measured[name], now):
            unready.add(name)
        else:
            ready += 1
    return _Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _counts(pod: Object, measured: Measured, now: float) -> bool:
    """Whether a pod's use of CPU says something: starting up takes more, and says nothing of its work."""
    ready, started = condition(pod, "Ready"), (pod.get("status") or {}).get("startTime")
    if ready is None or not started:
        return False
    begun, turned = parse_time(started), parse_time(ready["lastTransitionTime"])
    if begun + INITIALIZATION_SECONDS > now:
        return bool(ready["status"] == "True") and measured.at >= turned + measured.window
    return not (ready["status"] == "False" and begun + INITIAL_READINESS_SECONDS > turned)


def _usable(measured: Mapping[str, Measured], groups: _Groups) -> dict[str, int]:
    left_out = groups.unready | groups.ignored
    used = {name: one.value for name, one in measured.items() if name not in left_out}
    if not used:
        raise MetricFailure("did not receive metrics for targeted pods (pods might be unready)")
    return used


def _request(pod: Object, resource: str, container: str) -> int:
    spec, total = pod["spec"], 0
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for one in [*spec["containers"], *sidecars]:
        if container and one["name"] != container:
            continue
        asked = ((one.get("resources") or {}).get("requests") or {}).get(resource)
        if asked is None:
            raise MetricFailure(
                f"missing request for {resource} in container {one['name']} of Pod {pod['metadata']['name']}"
            )
        total += milli(asked)
    return total


def _share(used: Mapping[str, int], requests: Mapping[str, int], percent: int) -> tuple[float, int, int]:
    """The ratio to the target, the share of the requests in percent, and what a pod uses."""
    known = {name: value for name, value in used.items() if name in requests}
    asked = sum(requests[name] for name in known)
    if not asked:
        raise MetricFailure("no metrics returned matched known pods")
    total = sum(known.values())
    share = total * 100 // asked
    return share / percent, share, total // len(known)
