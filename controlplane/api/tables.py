"""`meta.k8s.io/v1` Tables: what `kubectl get` asks the server to lay out.

The cells come from each kind's strategy; kinds without columns of their own get name and creation.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from controlplane.api.errors import BadRequest
from controlplane.api.types import Column, Kind, Object

Include = Literal["None", "Metadata", "Object"]

MEDIA_TYPE = "application/json;as=Table;g=meta.k8s.io;v=v1"

_DEFAULT_COLUMNS = (
    Column("Name", format="name", description="Name must be unique within a namespace."),
    Column("Created At", "date", description="When the object was created."),
)
_COMPLETED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def table(
    kind: Kind,
    objects: Iterable[Object],
    list_metadata: Mapping[str, Any],
    *,
    include: Include = "Metadata",
    headers: bool = True,
    now: float | None = None,
) -> dict[str, Any]:
    """The Table of `objects`.

    `list_metadata` becomes the table's own (resourceVersion, continue). `include` says how much of
    each object goes into its row. Watches send `headers` with their first event only. `now` is epoch
    seconds, the present by default.
    """
    moment = time.time() if now is None else now
    columns = kind.strategy.columns or _DEFAULT_COLUMNS
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_metadata),
        "columnDefinitions": [_definition(column) for column in columns] if headers else [],
        "rows": [_row(kind, obj, include, moment) for obj in objects],
    }


def include_of(text: str) -> Include:
    """The value of the query parameter `includeObject`; BadRequest for any other."""
    match text:
        case "" | "Metadata":
            return "Metadata"
        case "None":
            return "None"
        case "Object":
            return "Object"
    raise BadRequest(f"includeObject: Invalid value: \"{text}\": must be 'Metadata', 'Object', 'None', or empty")


def partial_metadata(obj: Object) -> dict[str, Any]:
    """The PartialObjectMetadata of `obj`."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def partial_metadata_list(objects: Iterable[Object], list_metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The PartialObjectMetadataList of `objects`."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(list_metadata),
        "items": [partial_metadata(obj) for obj in objects],
    }


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(kind: Kind, obj: Object, include: Include, now: float) -> dict[str, Any]:
    metadata = obj["metadata"]
    cells = (
        kind.strategy.row(obj, now)
        if kind.strategy.row is not None
        else [metadata["name"], metadata.get("creationTimestamp")]
    )
    row: dict[str, Any] = {"cells": cells}
    if kind.name == "Pod" and not kind.group:
        phase = obj.get("status", {}).get("phase", "")
        if phase in _COMPLETED:
            condition = {"type": "Completed", "status": "True", "reason": phase, "message": _COMPLETED[phase]}
            row["conditions"] = [condition]
    if include == "Metadata":
        row["object"] = partial_metadata(obj)
    elif include == "Object":
        row["object"] = obj
    return row
