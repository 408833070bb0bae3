"""Cells that many kinds have in common: ages, selectors, container lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controlplane.api.types import Column, Object

NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="Time since the object was created.")
NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"


def seconds_of(stamp: str | None) -> float | None:
    """Epoch seconds of a `Time` or `MicroTime`, None for none."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else None


def since(stamp: str | None, now: float) -> str:
    """The time since `stamp` in words, "<unknown>" without one."""
    then = seconds_of(stamp)
    return UNKNOWN if then is None else human_duration(now - then)


def age(obj: Object, now: float) -> str:
    """The Age cell."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def human_duration(seconds: float) -> str:
    """A duration as k8s.io/apimachinery/pkg/util/duration shortens it: 90s, 5m10s, 3h, 2d4h, 400d, 3y5d."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 120:
        return f"{max(whole, 0)}s"
    minutes, hours = whole // 60, whole // 3600
    days = hours // 24
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def labels_text(labels: Mapping[str, str] | None) -> str:
    """A map of labels: "a=b,c=d", or "<none>"."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def container_cells(template: Mapping[str, Any]) -> tuple[str, str]:
    """The Containers and Images cells of a pod template."""
    containers = template.get("spec", {}).get("containers", ())
    return ",".join(one.get("name", "") for one in containers), ",".join(one.get("image", "") for one in containers)


def shortened(items: Iterable[str], limit: int = 3) -> str:
    """The first `limit` items, and how many more there are."""
    found = list(items)
    text = ",".join(found[:limit])
    return f"{text} + {len(found) - limit} more..." if len(found) > limit else text
