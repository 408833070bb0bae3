"""The `default`s of a structural schema, as a function that fills them in.

What it returns shares everything that it need not change, and is the value itself where nothing was
missing: stored objects, which are shared, get their defaults when they are read, as upstream has it
for defaults that were added after an object was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from controlplane.api.custom.schema import Schema

Fill = Callable[[Any], Any]


def compile_defaults(schema: Schema) -> Fill | None:
    """Fills in what is missing in a value of `schema`; None where the schema has no defaults."""
    properties = {name: compile_defaults(inner) for name, inner in schema.get("properties", {}).items()}
    own = {name: orjson.dumps(s["default"]) for name, s in schema.get("properties", {}).items() if "default" in s}
    nested = {name: fill for name, fill in properties.items() if fill is not None}
    values, items = schema.get("additionalProperties"), schema.get("items")
    each_value = compile_defaults(values) if isinstance(values, dict) else None
    each_item = compile_defaults(items) if isinstance(items, dict) else None
    if not (own or nested or each_value or each_item):
        return None

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return _fill_object(value, own, nested, each_value)
        if isinstance(value, list) and each_item is not None:
            filled = [each_item(item) for item in value]
            return filled if any(a is not b for a, b in zip(filled, value, strict=True)) else value
        return value

    return fill


def _fill_object(value: dict[str, Any], own: dict[str, bytes], nested: dict[str, Fill], each: Fill | None) -> Any:
    filled = value
    for name, default in own.items():
        if name not in value:
            filled = filled | {name: orjson.loads(default)}
    for name, item in list(filled.items()):
        fill = nested.get(name, each)
        inner = fill(item) if fill is not None else item
        if inner is not item:
            if filled is value:
                filled = dict(value)
            filled[name] = inner
    return filled
