"""What several controllers ask of any object: its owner, its age, a copy with one part changed.

Objects from the cache are shared, so every function here reads, or builds a new dictionary along
the one path that changes; nothing copies a whole object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from controlplane.api.types import Object

Clock = Callable[[], float]
"""Seconds since the epoch; `time.time`, or a test's own."""


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The owner reference that manages `obj`, if there is one."""
    for reference in obj["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            owner: dict[str, Any] = reference
            return owner
    return None


def controller_uid(obj: Object) -> str:
    """The uid of the managing owner, "" for an object that nobody manages."""
    owner = controller_of(obj)
    return owner["uid"] if owner else ""


def controller_reference(owner: Object) -> dict[str, Any]:
    """The reference by which `owner` manages what it creates."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_deleting(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def selector_of(obj: Object) -> Mapping[str, Any] | None:
    """The `LabelSelector` of a workload; a ReplicationController's is a plain map on the wire."""
    selector: Mapping[str, Any] | None = obj["spec"].get("selector")
    if obj["kind"] == "ReplicationController":
        return {"matchLabels": selector} if selector else None
    return selector


def selects_everything(selector: Mapping[str, Any] | None) -> bool:
    """Whether a label selector is present and empty."""
    return selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions")


def annotation(obj: Object, name: str) -> str | None:
    annotations = obj["metadata"].get("annotations")
    return annotations.get(name) if annotations else None


def with_status(obj: Object, status: Mapping[str, Any]) -> Object:
    """`obj` with another status; the rest is shared."""
    return {**obj, "status": dict(status)}


def with_metadata(obj: Object, **changes: Any) -> Object:
    """`obj` with some metadata fields replaced; None removes one."""
    metadata = {**obj["metadata"], **changes}
    return {**obj, "metadata": {name: value for name, value in metadata.items() if value is not None}}


def rfc3339_micro(seconds: float) -> str:
    """The wire form of a `metav1.MicroTime`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@lru_cache(maxsize=4096)
def parse_time(text: str) -> float:
    """Epoch seconds of a wire time, with or without fractions."""
    return datetime.fromisoformat(text).timestamp()


def created_at(obj: Object) -> float:
    return parse_time(obj["metadata"]["creationTimestamp"])
