"""Rows of what limits namespaces: quotas, limit ranges, disruption budgets; and of pod templates."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, age, container_cells, labels_text
from controlplane.api.types import Column, Object

NOT_SET = "N/A"

QUOTA_COLUMNS = (
    NAME,
    Column("Request", description="What of each request is used, and how much there is."),
    Column("Limit", description="What of each limit is used, and how much there is."),
    AGE,
)

LIMIT_RANGE_COLUMNS = (NAME, Column("Created At", "date", description="When the object was created."))

BUDGET_COLUMNS = (
    NAME,
    Column("Min Available", description="How many pods must be there."),
    Column("Max Unavailable", description="How many pods may be missing."),
    Column("Allowed Disruptions", "integer", description="How many pods may go now."),
    AGE,
)

POD_TEMPLATE_COLUMNS = (
    NAME,
    Column("Containers", description="Names of each container in the template."),
    Column("Images", description="Images referenced by each container in the template."),
    Column("Pod Labels", description="The labels for the pod template."),
)


def quota_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ResourceQuota."""
    status = obj.get("status", {})
    used = status.get("used", {})
    shown = {name: f"{name}: {used.get(name, '0')}/{hard}" for name, hard in sorted(status.get("hard", {}).items())}
    limits = [text for name, text in shown.items() if name.startswith("limits")]
    requests = [text for name, text in shown.items() if not name.startswith("limits")]
    return [obj["metadata"]["name"], ", ".join(requests), ", ".join(limits), age(obj, now)]


def limit_range_row(obj: Object, now: float) -> list[Any]:
    """The cells of one LimitRange."""
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def budget_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PodDisruptionBudget."""
    spec = obj.get("spec", {})
    return [
        obj["metadata"]["name"],
        str(spec.get("minAvailable", NOT_SET)),
        str(spec.get("maxUnavailable", NOT_SET)),
        obj.get("status", {}).get("disruptionsAllowed", 0),
        age(obj, now),
    ]


def pod_template_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PodTemplate."""
    template = obj.get("template", {})
    labels = template.get("metadata", {}).get("labels")
    return [obj["metadata"]["name"], *container_cells(template), labels_text(labels)]
