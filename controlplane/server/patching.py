"""Patches by their content type."""

from __future__ import annotations

from typing import Any, Literal

from controlplane.api.errors import UnsupportedMediaType
from controlplane.api.types import Kind, Object

PatchType = Literal["json", "merge", "strategic", "apply"]


def apply(kind: Kind, obj: Object, body: Any, patch_type: PatchType) -> Any:
    """`obj` as `body` changes it; takes over `obj`."""
    if patch_type in ("merge", "strategic"):
        return _merge(obj, body)
    raise UnsupportedMediaType("not yet")


def _merge(obj: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    target = dict(obj) if isinstance(obj, dict) else {}
    for key, value in body.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merge(target.get(key), value)
    return target
