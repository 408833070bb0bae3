"""What each metric of a HorizontalPodAutoscaler asks for, from metrics.k8s.io.

There is no adapter for custom or external metrics: such a metric fails as it does upstream without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api.errors import ApiError
from controlplane.api.kinds.resource_metrics import POD_METRICS
from controlplane.api.quantity import milli, render
from controlplane.api.types import Object
from controlplane.client.interface import Client
from controlplane.controllers.autoscaler_replicas import (
    Measured,
    MetricFailure,
    Proposal,
    Tolerance,
    by_utilization,
    by_value,
)
from controlplane.controllers.meta import parse_time

NANO = 1_000_000_000
NO_CUSTOM = "no custom metrics API (custom.metrics.k8s.io) registered"


class UnknownMetric(MetricFailure):
    """A metric that cannot be had; `reason` is that of the condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """What is scaled: how many there are, its pods, and the text of its selector."""

    current: int
    namespace: str
    selector: str
    pods: Sequence[Object]


@dataclass(frozen=True, slots=True)
class Wish:
    """What one metric asks for: `name` in words for people, `status` for `status.currentMetrics`."""

    replicas: int
    name: str
    status: dict[str, Any]


async def wish_of(client: Client, metric: Mapping[str, Any], target: Target, tolerance: Tolerance, now: float) -> Wish:
    """What a metric asks for; UnknownMetric if that cannot be said."""
    match metric["type"]:
        case "Resource":
            return await _resource(client, metric["resource"], target, tolerance, now)
        case "ContainerResource":
            return await _resource(client, metric["containerResource"], target, tolerance, now)
        case "Pods":
            name = metric["pods"]["metric"]["name"]
            text = f"unable to get metric {name}: unable to fetch metrics from custom metrics API: {NO_CUSTOM}"
            raise UnknownMetric("FailedGetPodsMetric", text)
        case "Object":
            text = _object_failure(metric["object"], target.namespace)
            raise UnknownMetric("FailedGetObjectMetric", text)
        case "External":
            source = metric["external"]["metric"]
            where = f"{target.namespace}/{source['name']}/{_selector_text(source.get('selector'))}"
            text = (
                f"unable to get external metric {where}: unable to fetch metrics from external metrics API: "
                f"the server could not find the requested resource (get {source['name']}.external.metrics.k8s.io)"
            )
            raise UnknownMetric("FailedGetExternalMetric", text)
    raise UnknownMetric("InvalidMetricSourceType", f'unknown metric source type "{metric["type"]}"')


async def _resource(
    client: Client, source: Mapping[str, Any], target: Target, tolerance: Tolerance, now: float
) -> Wish:
    resource, wanted, container = source["name"], source["target"], source.get("container", "")
    kind, reason = ("container ", "FailedGetContainerResourceMetric") if container else ("", "FailedGetResourceMetric")
    share = wanted.get("averageUtilization")
    try:
        measured = await _measured(client, resource, container, target)
        if share is not None:
            proposal = by_utilization(
                target.current,
                target.pods,
                measured,
                resource=resource,
                container=container,
                percent=share,
                tolerance=tolerance,
                now=now,
            )
        else:
            proposal = by_value(
                target.current,
                target.pods,
                measured,
                resource=resource,
                target=milli(wanted["averageValue"]),
                tolerance=tolerance,
                now=now,
            )
    except MetricFailure as error:
        what = f"{resource} {'utilization' if share is not None else 'usage'}"
        raise UnknownMetric(reason, f"failed to get {what}: {error}") from error
    if share is not None:
        name = f"{resource} {kind}resource utilization (percentage of request)"
    else:
        name = f"{resource} {kind}resource"
    return Wish(proposal.replicas, name, _status(resource, container, proposal))


async def _measured(client: Client, resource: str, container: str, target: Target) -> dict[str, Measured]:
    try:
        listed = await client.list(POD_METRICS, target.namespace, label_selector=target.selector)
    except ApiError as error:
        text = f"unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API"
        raise MetricFailure(f"{text}: {error}") from error
    if not listed.items:
        text = f"unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
        raise MetricFailure(text)
    found = {}
    for metrics in listed.items:
        used = [one["usage"].get(resource) for one in metrics["containers"] if container in ("", one["name"])]
        if used and None not in used:
            value = sum(milli(one) for one in used)
            window = float(metrics["window"].rstrip("s"))
            found[metrics["metadata"]["name"]] = Measured(value, parse_time(metrics["timestamp"]), window)
    return found


def _status(resource: str, container: str, proposal: Proposal) -> dict[str, Any]:
    value = f"{proposal.average}m" if resource == "cpu" else render(proposal.average // 1000 * NANO, "binary")
    current: dict[str, Any] = {"averageValue": value}
    if proposal.percent is not None:
        current["averageUtilization"] = proposal.percent
    source: dict[str, Any] = {"name": resource, "current": current}
    if container:
        return {"type": "ContainerResource", "containerResource": {**source, "container": container}}
    return {"type": "Resource", "resource": source}


def _object_failure(source: Mapping[str, Any], namespace: str) -> str:
    described = source["describedObject"]
    what = f"{described['kind']} {namespace} {described['name']}"
    return f"unable to get metric {source['metric']['name']}: {what}/{NO_CUSTOM}"


def _selector_text(selector: Mapping[str, Any] | None) -> str:
    if selector is None:
        return "nil"
    pairs = ",".join(f"{key}: {value}" for key, value in (selector.get("matchLabels") or {}).items())
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{pairs},}},MatchExpressions:[]LabelSelectorRequirement{{}},}}"
    )
