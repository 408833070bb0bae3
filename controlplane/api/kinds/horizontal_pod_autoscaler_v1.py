"""HorizontalPodAutoscalers in autoscaling/v1: kept as v2, which says more.

v1 knows one metric, the use of CPU. What else a v2 object has, v1 shows as annotations, and takes
back from them, so that a v1 client's update loses nothing. Names and forms of the annotations
follow pkg/apis/autoscaling/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from controlplane.api import meta
from controlplane.api.kinds.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALER
from controlplane.api.printing import autoscaling
from controlplane.api.types import Conversion, Kind, Object, Strategy

Fields = dict[str, Any]

PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT = f"{PREFIX}metrics", f"{PREFIX}current-metrics"
CONDITIONS, BEHAVIOR = f"{PREFIX}conditions", f"{PREFIX}behavior"

_SPEC = {
    "ContainerResource": {
        "name": "name",
        "container": "container",
        "target.averageUtilization": "targetAverageUtilization",
        "target.averageValue": "targetAverageValue",
    },
    "External": {
        "metric.name": "metricName",
        "metric.selector": "metricSelector",
        "target.value": "targetValue",
        "target.averageValue": "targetAverageValue",
    },
    "Object": {
        "describedObject": "target",
        "metric.name": "metricName",
        "metric.selector": "selector",
        "target.value": "targetValue",
        "target.averageValue": "averageValue",
    },
    "Pods": {
        "metric.name": "metricName",
        "metric.selector": "selector",
        "target.averageValue": "targetAverageValue",
    },
    "Resource": {
        "name": "name",
        "target.averageUtilization": "targetAverageUtilization",
        "target.averageValue": "targetAverageValue",
    },
}
"""Type of metric: path in v2 to name in v1."""

_STATUS = {
    type_: {
        path.replace("target.", "current."): "averageValue"
        if name == "averageValue"
        else name.replace("target", "current")
        if path.startswith("target.")
        else name
        for path, name in fields.items()
    }
    for type_, fields in _SPEC.items()
}


def _to_stored(obj: Object) -> Object:
    metadata, kept = _taken(obj["metadata"])
    spec, status = dict(obj.get("spec", {})), dict(obj.get("status", {}))
    share = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = [] if share is None else [_cpu("target", {"type": "Utilization", "averageUtilization": share})]
    metrics += [_metric(one, _SPEC, "target") for one in _parsed(kept, METRICS, list)]
    if metrics:
        spec["metrics"] = metrics
    if behavior := _parsed(kept, BEHAVIOR, dict):
        spec["behavior"] = behavior
    status.pop("currentCPUUtilizationPercentage", None)
    if current := [_metric(one, _STATUS, "current") for one in _parsed(kept, CURRENT, list)]:
        status["currentMetrics"] = current
    if conditions := _parsed(kept, CONDITIONS, list):
        status["conditions"] = conditions
    whole: Object = {"apiVersion": "autoscaling/v2", "kind": obj["kind"], "metadata": metadata, "spec": spec}
    return whole | ({"status": status} if status else {})


def _from_stored(obj: Object) -> Object:
    spec, status = dict(obj.get("spec", {})), dict(obj.get("status", {}))
    noted: Fields = {}
    others = []
    for metric in spec.pop("metrics", ()):
        share = _cpu_share(metric, "target")
        if share is None:
            others.append(_flat(metric, _SPEC))
        else:
            spec["targetCPUUtilizationPercentage"] = share
    _note(noted, METRICS, others)
    _note(noted, BEHAVIOR, spec.pop("behavior", None))
    current = status.pop("currentMetrics", ())
    for metric in current:
        share = _cpu_share(metric, "current")
        if share is not None:
            status["currentCPUUtilizationPercentage"] = share
    _note(noted, CURRENT, [_flat(metric, _STATUS) for metric in current])
    _note(noted, CONDITIONS, status.pop("conditions", None))
    metadata = dict(obj["metadata"])
    if noted:
        metadata["annotations"] = metadata.get("annotations", {}) | noted
    return {"apiVersion": "autoscaling/v1", "kind": obj["kind"], "metadata": metadata, "spec": spec, "status": status}


def _taken(metadata: Fields) -> tuple[Fields, Fields]:
    """`metadata` without the annotations of this conversion, and those."""
    annotations = metadata.get("annotations", {})
    kept = {key: value for key, value in annotations.items() if key in (METRICS, CURRENT, CONDITIONS, BEHAVIOR)}
    if not kept:
        return metadata, kept
    rest = {key: value for key, value in annotations.items() if key not in kept}
    without = {key: value for key, value in metadata.items() if key != "annotations"}
    return without | ({"annotations": rest} if rest else {}), kept


def _parsed(kept: Mapping[str, str], name: str, wanted: type) -> Any:
    """What the annotation `name` holds; nothing where a client has written something else there."""
    try:
        found = orjson.loads(kept.get(name, "null"))
    except orjson.JSONDecodeError:
        return wanted()
    return found if isinstance(found, wanted) else wanted()


def _note(noted: Fields, name: str, value: Any) -> None:
    if value:
        noted[name] = orjson.dumps(value).decode()


def _cpu(part: str, target: Fields) -> Fields:
    return {"type": "Resource", "resource": {"name": "cpu", part: target}}


def _cpu_share(metric: Mapping[str, Any], part: str) -> int | None:
    resource = metric.get("resource", {})
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    share: int | None = resource.get(part, {}).get("averageUtilization")
    return share


def _source(type_: str) -> str:
    return type_[:1].lower() + type_[1:]


def _flat(metric: Fields, table: Mapping[str, Mapping[str, str]]) -> Fields:
    type_ = metric.get("type", "")
    source = metric.get(_source(type_), {})
    flat = {}
    for path, name in table.get(type_, {}).items():
        first, _, second = path.partition(".")
        value = source.get(first, {}).get(second) if second else source.get(first)
        if value is not None:
            flat[name] = value
    return {"type": type_, _source(type_): flat}


def _metric(flat: Any, table: Mapping[str, Mapping[str, str]], part: str) -> Fields:
    type_ = flat.get("type", "") if isinstance(flat, dict) else ""
    found = flat.get(_source(type_)) if type_ else None
    source: Fields = {}
    for path, name in table.get(type_, {}).items():
        value = found.get(name) if isinstance(found, dict) else None
        if value is None:
            continue
        first, _, second = path.partition(".")
        if second:
            source.setdefault(first, {})[second] = value
        else:
            source[first] = value
    target = source.get(part, {})
    if part == "target" and target:
        target["type"] = _target_type(target)
    return {"type": type_, _source(type_): source}


def _target_type(target: Fields) -> str:
    if "averageUtilization" in target:
        return "Utilization"
    return "AverageValue" if "averageValue" in target else "Value"


HORIZONTAL_POD_AUTOSCALER_V1 = Kind(
    group="autoscaling",
    version="v1",
    name="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    definition="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    strategy=Strategy(
        validate_update=meta.validate_update,
        columns=autoscaling.AUTOSCALER_COLUMNS,
        row=lambda obj, now: autoscaling.autoscaler_row(_to_stored(obj), now),
    ),
    conversion=Conversion(_to_stored, _from_stored, HORIZONTAL_POD_AUTOSCALER),
)
