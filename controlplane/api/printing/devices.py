"""Rows of devices that pods can claim, and of runtime classes."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, age
from controlplane.api.types import Column, Object

NAMED_COLUMNS = (NAME, AGE)
CLAIM_COLUMNS = (NAME, Column("State", description="What has become of the claim."), AGE)
SLICE_COLUMNS = (
    NAME,
    Column("Node", description="The node that has the devices."),
    Column("Driver", description="The driver that manages them."),
    Column("Pool", description="The pool that they belong to."),
    AGE,
)
RUNTIME_CLASS_COLUMNS = (NAME, Column("Handler", description="The configuration of the node's runtime."), AGE)


def named_row(obj: Object, now: float) -> list[Any]:
    """The cells of an object of which only name and age are shown."""
    return [obj["metadata"]["name"], age(obj, now)]


def claim_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ResourceClaim."""
    status = obj.get("status", {})
    states = []
    if "deletionTimestamp" in obj["metadata"]:
        states.append("deleted")
    if "allocation" not in status:
        states.append("pending")
    else:
        states += ["allocated", *(["reserved"] if status.get("reservedFor") else [])]
    return [obj["metadata"]["name"], ",".join(states), age(obj, now)]


def slice_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ResourceSlice."""
    spec = obj.get("spec", {})
    node = spec.get("nodeName") or ("<all>" if spec.get("allNodes") else "<some>" if spec.get("nodeSelector") else "")
    return [
        obj["metadata"]["name"],
        node,
        spec.get("driver", ""),
        spec.get("pool", {}).get("name", ""),
        age(obj, now),
    ]


def runtime_class_row(obj: Object, now: float) -> list[Any]:
    """The cells of one RuntimeClass."""
    return [obj["metadata"]["name"], obj.get("handler", ""), age(obj, now)]
