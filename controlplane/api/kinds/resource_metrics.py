"""NodeMetrics and PodMetrics, as metrics-server serves them. They are worked out when asked for, and never kept."""

from __future__ import annotations

from typing import Any

from controlplane.api.custom.kind import CustomSchema, definition_name
from controlplane.api.printing import resource_metrics
from controlplane.api.types import Kind, Strategy

GROUP, VERSION = "metrics.k8s.io", "v1beta1"

_TEXT = {"type": "string"}
_QUANTITIES = {
    "type": "object",
    "additionalProperties": {"anyOf": [{"type": "integer"}, _TEXT], "x-kubernetes-int-or-string": True},
}
_SEEN = {"timestamp": {"type": "string", "format": "date-time"}, "window": _TEXT}


def _schema(properties: dict[str, Any]) -> CustomSchema:
    return CustomSchema({"type": "object", "properties": {**_SEEN, **properties}})


def _kind(name: str, plural: str, schema: CustomSchema, *, namespaced: bool, strategy: Strategy) -> Kind:
    return Kind(
        group=GROUP,
        version=VERSION,
        name=name,
        plural=plural,
        definition=definition_name("metrics.k8s.io", VERSION, name),
        namespaced=namespaced,
        verbs=("get", "list"),
        schema=schema,
        strategy=strategy,
    )


NODE_METRICS = _kind(
    "NodeMetrics",
    "nodes",
    _schema({"usage": _QUANTITIES}),
    namespaced=False,
    strategy=Strategy(columns=resource_metrics.COLUMNS, row=resource_metrics.node_row),
)
POD_METRICS = _kind(
    "PodMetrics",
    "pods",
    _schema(
        {
            "containers": {
                "type": "array",
                "items": {"type": "object", "properties": {"name": _TEXT, "usage": _QUANTITIES}},
            }
        }
    ),
    namespaced=True,
    strategy=Strategy(columns=resource_metrics.COLUMNS, row=resource_metrics.pod_row),
)
