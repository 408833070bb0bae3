"""Strategic merge patch: merge patch that knows which lists are keyed.

The schema says which lists merge and by which key; directives in the patch say the rest. Behaviour,
the order of merged lists included, follows k8s.io/apimachinery/pkg/util/strategicpatch. Nothing that
comes in is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.errors import BadRequest
from controlplane.api.schema import Array, Mapping, Node, Struct

DIRECTIVE, RETAIN_KEYS = "$patch", "$retainKeys"
DELETE_FROM, SET_ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def strategic_patch(node: Node, original: Any, patch: Any) -> Any:
    """`original` with `patch` merged in, both of the type `node`; BadRequest for a malformed patch."""
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: a strategic merge patch is an object")
    return _merge_object(node, original if isinstance(original, dict) else {}, patch)


def _merge_object(node: Node, original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch.get(DIRECTIVE)
    if directive == "replace":
        return {key: _clean(value) for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"unknown patch type: {directive} in map: {patch}")
    merged = _retain(original, patch)
    for key in [key for key in patch if key.startswith(DELETE_FROM)]:
        name = key.removeprefix(DELETE_FROM)
        gone = _list(patch[key], "primitive list")
        merged[name] = [item for item in _list(merged.get(name, []), "primitive list") if item not in gone]
    ordered = {
        key.removeprefix(SET_ORDER): _list(order, "setElementOrder list")
        for key, order in patch.items()
        if key.startswith(SET_ORDER)
    }
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(node, merged, key, value)
    for name, order in ordered.items():
        if isinstance(merged.get(name), list):
            merged[name] = _in_order(_field(node, name), merged[name], order, original.get(name) or [])
    return merged


def _merge_field(node: Node, merged: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        merged.pop(key, None)
        return
    field, present = _field(node, key), merged.get(key)
    if isinstance(value, dict) and isinstance(present, dict) and not _replaces(node, key, field):
        merged[key] = _merge_object(field, present, value)
    elif (
        isinstance(value, list) and isinstance(present, list) and isinstance(field, Array) and "merge" in field.strategy
    ):
        merged[key] = _merge_list(field, present, value)
    else:
        merged[key] = _clean(value)


def _merge_list(array: Array, original: list[Any], patch: list[Any]) -> list[Any]:
    if not array.merge_key:
        merged = original + [item for index, item in enumerate(patch) if item not in original + patch[:index]]
        return _in_order(array, merged, patch, original)
    key = array.merge_key
    if any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in patch):
        cleaned: list[Any] = _clean(patch)
        return cleaned
    merged, kept = list(original), []
    for item in patch:
        wanted = _key_of(item, key)
        if item.get(DIRECTIVE) == "delete":
            merged = [one for one in merged if one.get(key) != wanted]
            continue
        kept.append(item)
        position = next((index for index, one in enumerate(merged) if one.get(key) == wanted), None)
        if position is None:
            merged.append(_clean(item))
        else:
            merged[position] = _merge_object(array.items, merged[position], item)
    return _in_order(array, merged, kept, original)


def _in_order(field: Node, merged: list[Any], order: Sequence[Any], original: list[Any]) -> list[Any]:
    """Items that `order` names in its order, the others in the order they had, interleaved by the latter.

    Where both cannot be compared, those that `order` names come first, as upstream has it.
    """
    key = field.merge_key if isinstance(field, Array) else ""
    ranks = {_rank(item, key): index for index, item in enumerate(order)}
    places = {_rank(item, key): index for index, item in enumerate(original)}
    named = sorted((item for item in merged if _rank(item, key) in ranks), key=lambda item: ranks[_rank(item, key)])
    others = [item for item in merged if _rank(item, key) not in ranks]
    others.sort(key=lambda item: places.get(_rank(item, key), len(places)))
    result: list[Any] = []
    while named and others:
        left, right = places.get(_rank(others[0], key)), places.get(_rank(named[0], key))
        first = left is not None and right is not None and left < right
        result.append(others.pop(0) if first else named.pop(0))
    return result + named + others


def _rank(item: Any, key: str) -> Any:
    """What identifies an item of a list: its merge key, or itself; hashable."""
    value = item.get(key) if key and isinstance(item, dict) else item
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _key_of(item: Any, key: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _list(value: Any, what: str) -> list[Any]:
    """A directive's list; BadRequest in upstream's words when it is none."""
    if not isinstance(value, list):
        raise BadRequest(f"invalid patch format of {what}")
    return value


def _retain(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    keys = patch.get(RETAIN_KEYS)
    if keys is None:
        return dict(original)
    _list(keys, "retainKeys")
    extra = [key for key in patch if not key.startswith("$") and key not in keys and patch[key] is not None]
    if extra:
        raise BadRequest(f"{RETAIN_KEYS} directive does not list {extra[0]}, which the patch has")
    return {key: value for key, value in original.items() if key in keys}


def _field(node: Node, name: str) -> Node:
    if isinstance(node, Struct):
        return node.fields.get(name, _ANY)
    return node.values if isinstance(node, Mapping) else _ANY


def _replaces(node: Node, name: str, field: Node) -> bool:
    strategy = node.strategies.get(name, "") if isinstance(node, Struct) else ""
    return "replace" in (strategy or getattr(field, "strategy", ""))


def _clean(value: Any) -> Any:
    """`value` as it is stored where nothing was before: without directives and nulls."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    if isinstance(value, list):
        return [
            _clean(item)
            for item in value
            if not (isinstance(item, dict) and item.get(DIRECTIVE) in ("delete", "replace"))
        ]
    return value


_ANY = Node()
