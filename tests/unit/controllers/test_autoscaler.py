"""How many replicas: the arithmetic of autoscaling, with a time of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.autoscaler_limits import History, Limited, limit
from controlplane.controllers.autoscaler_replicas import (
    Measured,
    MetricFailure,
    Proposal,
    Tolerance,
    by_utilization,
    by_value,
)

NOW = 1_700_000_000.0


def pod(
    name: str, *, request: str | None = "100m", phase: str = "Running", ready: str = "True", age: float = 1000.0
) -> Object:
    resources = {"requests": {"cpu": request}} if request else {}
    began = timestamp(NOW - age)
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "resources": resources}]},
        "status": {
            "phase": phase,
            "startTime": began,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": timestamp(NOW - age + 60)}],
        },
    }


def uses(**millis: int) -> dict[str, Measured]:
    return {name: Measured(value, NOW - 1, 15.0) for name, value in millis.items()}


def utilization(pods: list[Object], used: dict[str, Measured], percent: int = 50, current: int = 0) -> Proposal:
    return by_utilization(
        current or len(pods),
        pods,
        used,
        resource="cpu",
        container="",
        percent=percent,
        tolerance=Tolerance(),
        now=NOW,
    )


def test_the_average_share_of_the_requests_is_brought_to_the_target() -> None:
    pods = [pod("a"), pod("b")]
    assert utilization(pods, uses(a=100, b=100)) == Proposal(4, 100, 100)
    assert utilization(pods, uses(a=10, b=30)) == Proposal(1, 20, 20)
    assert utilization(pods, uses(a=54, b=54)).replicas == 2, "within a tenth nothing changes"
    assert utilization(pods, uses(a=56, b=56)).replicas == 3
    raw = by_value(2, pods, uses(a=300, b=500), resource="cpu", target=100, tolerance=Tolerance(), now=NOW)
    assert raw == Proposal(8, 400)


def test_pods_that_cannot_be_judged_hold_a_change_back() -> None:
    pending = [pod("a"), pod("b", phase="Pending")]
    assert utilization(pending, uses(a=200), current=2).replicas == 4, "half of what a alone would ask for"
    missing = [pod("a"), pod("b"), pod("c")]
    assert utilization(missing, uses(a=30, b=30), current=3).replicas == 3, "c may be busy"
    assert utilization(missing, uses(a=100, b=100), current=3).replicas == 4, "and c may be idle"
    young = [pod("a"), pod("b", age=100, ready="False")]
    assert utilization(young, uses(a=100, b=900), current=2).replicas == 2, "starting up is no work"
    settled = [pod("a"), pod("b", age=100)]
    assert utilization(settled, uses(a=100, b=100), current=2).replicas == 4
    going = [pod("a"), {**pod("b"), "metadata": {"name": "b", "deletionTimestamp": "x"}}, pod("c", phase="Failed")]
    assert utilization(going, uses(a=100, b=900, c=900), current=1).replicas == 2


def test_what_gives_no_number_says_why() -> None:
    with pytest.raises(MetricFailure, match="missing request for cpu in container main of Pod b"):
        utilization([pod("a"), pod("b", request=None)], uses(a=10, b=10))
    with pytest.raises(MetricFailure, match=r"did not receive metrics for targeted pods \(pods might be unready\)"):
        utilization([pod("a", phase="Pending")], uses())


def bounds(low: int = 1, high: int = 100, **behavior: Any) -> dict[str, Any]:
    return {"minReplicas": low, "maxReplicas": high} | ({"behavior": behavior} if behavior else {})


def reasons(found: Limited) -> tuple[int, str, str]:
    return found.replicas, found.able[1], found.limited[1]


def test_growth_is_at_most_doubling_or_four_pods_in_fifteen_seconds() -> None:
    assert reasons(limit(50, 1, bounds(), History(), NOW)) == (5, "ReadyForNewScale", "ScaleUpLimit")
    assert reasons(limit(50, 10, bounds(), History(), NOW)) == (20, "ReadyForNewScale", "ScaleUpLimit")
    assert reasons(limit(50, 10, bounds(high=12), History(), NOW)) == (12, "ReadyForNewScale", "TooManyReplicas")
    history = History()
    history.scaled(1, 5, NOW - 5)
    assert reasons(limit(50, 5, bounds(), history, NOW))[0] == 5, "four pods came only just now"
    assert reasons(limit(50, 5, bounds(), history, NOW + 20))[0] == 10


def test_shrinking_waits_for_the_highest_of_five_minutes() -> None:
    history = History()
    limit(8, 8, bounds(), history, NOW)
    assert reasons(limit(2, 8, bounds(), history, NOW + 100)) == (8, "ScaleDownStabilized", "DesiredWithinRange")
    assert reasons(limit(2, 8, bounds(), history, NOW + 301)) == (2, "ReadyForNewScale", "DesiredWithinRange")
    assert reasons(limit(0, 8, bounds(low=3), History(), NOW)) == (3, "ReadyForNewScale", "TooFewReplicas")


def test_what_there_was_at_first_counts_as_recommended() -> None:
    history = History()
    history.begin(8, NOW)
    history.begin(20, NOW + 1)
    assert reasons(limit(2, 8, bounds(), history, NOW + 15)) == (8, "ScaleDownStabilized", "DesiredWithinRange")
    assert limit(2, 8, bounds(), history, NOW + 301).replicas == 2


def test_policies_of_ones_own() -> None:
    slow = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    assert reasons(limit(1, 8, bounds(scaleDown=slow), History(), NOW)) == (7, "ReadyForNewScale", "ScaleDownLimit")
    never = {"selectPolicy": "Disabled"}
    assert limit(1, 8, bounds(scaleDown={**never, "stabilizationWindowSeconds": 0}), History(), NOW).replicas == 8
    assert limit(9, 8, bounds(scaleUp=never), History(), NOW).replicas == 8
    both = [{"type": "Pods", "value": 4, "periodSeconds": 60}, {"type": "Percent", "value": 10, "periodSeconds": 60}]
    least = {"selectPolicy": "Min", "policies": both}
    assert limit(50, 10, bounds(scaleUp=least), History(), NOW).replicas == 11
    assert limit(50, 10, bounds(scaleUp={**least, "selectPolicy": "Max"}), History(), NOW).replicas == 14
    steady = {"stabilizationWindowSeconds": 60, "policies": both}
    history = History()
    limit(10, 10, bounds(scaleUp=steady), history, NOW)
    assert reasons(limit(14, 10, bounds(scaleUp=steady), history, NOW + 30))[:2] == (10, "ScaleUpStabilized")
    assert limit(14, 10, bounds(scaleUp=steady), history, NOW + 100).replicas == 14
