"""Columns of custom resources: name, then `additionalPrinterColumns`, or the age where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from controlplane.api.custom.jsonpath import compile_path
from controlplane.api.printing import cells
from controlplane.api.types import Column, Object

AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}

Row = Callable[[Object, float], list[Any]]


def columns_of(declared: Iterable[Mapping[str, Any]] | None) -> tuple[tuple[Column, ...], Row]:
    """The columns of a version, and the function that makes a row."""
    wanted = list(declared or ()) or [AGE]
    columns = [cells.NAME]
    finders = []
    for one in wanted:
        description = (
            one.get("description") or f"Custom resource definition column (in JSONPath format): {one['jsonPath']}"
        )
        column = Column(one["name"], one["type"], one.get("format", ""), one.get("priority", 0), description)
        columns.append(column)
        finders.append((compile_path(one["jsonPath"]), one["type"]))

    def row(obj: Object, now: float) -> list[Any]:
        found = [obj["metadata"]["name"]]
        for find, kind in finders:
            values = find(obj)
            found.append(_cell(values[0], kind, now) if values else None)
        return found

    return tuple(columns), row


def _cell(value: Any, kind: str, now: float) -> Any:
    match kind:
        case "string":
            return value if isinstance(value, str) else _text(value)
        case "date":
            return _since(value, now)
        case "integer":
            return int(value) if _is_number(value) else None
        case "number":
            return value if _is_number(value) else None
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str:
    return orjson.dumps(value).decode() if value is not None else "<nil>"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _since(value: Any, now: float) -> Any:
    if not isinstance(value, str):
        return None
    try:
        return cells.since(value, now)
    except ValueError:
        return "<invalid>"
