"""Rows of NodeMetrics and PodMetrics; `kubectl top` makes its own."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import NAME
from controlplane.api.quantity import nanos, whole
from controlplane.api.types import Column, Object

COLUMNS = (
    NAME,
    Column("cpu", description="What is used of CPU."),
    Column("memory", description="What is used of memory."),
    Column("Window", description="How long the use of CPU is the average of."),
)


def node_row(obj: Object, now: float) -> list[Any]:
    """The cells of one NodeMetrics."""
    usage = obj["usage"]
    return [obj["metadata"]["name"], usage["cpu"], usage["memory"], obj["window"]]


def pod_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PodMetrics: the sums over its containers."""
    containers = obj["containers"]
    cpu = sum(nanos(one["usage"]["cpu"]) for one in containers)
    memory = sum(whole(one["usage"]["memory"]) for one in containers)
    return [obj["metadata"]["name"], f"{cpu}n", f"{memory // 1024}Ki", obj["window"]]
