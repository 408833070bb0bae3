"""Which fields of an object somebody owns: sets of paths, and their FieldsV1 form.

A path is a tuple of FieldsV1 elements: `f:name` for a field, `k:{"name":"web"}` for an item of a
keyed list, `v:"x"` for an item of a set. Behaviour follows sigs.k8s.io/structured-merge-diff: a
scalar, an atomic value and an empty object are leaves; an item of a list is a member besides what
is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from controlplane.api.schema import Array, Node, Struct
from controlplane.api.schema import Mapping as MappingNode

Path = tuple[str, ...]
Leaves = dict[Path, Any]

ITEM = object()
"""The value of a path that names a list item as such."""

KEY_DEFAULTS = {"protocol": "TCP"}
"""Parts of list keys that may be left out."""

_ANY = Node()


def leaves(node: Node, value: Any) -> Leaves:
    """Every owned path of `value`, of type `node`, with what is there."""
    found: Leaves = {}
    _collect(node, value, (), found)
    return found


def _collect(node: Node, value: Any, path: Path, found: Leaves) -> None:
    inner = list(children(node, value))
    if not inner or is_atomic(node, value):
        found[path] = value
        return
    for element, child, item in inner:
        place = (*path, element)
        if isinstance(node, Array):
            found[place] = ITEM
            if element.startswith("v:"):
                continue
        _collect(child, item, place, found)


def is_atomic(node: Node, value: Any) -> bool:
    """Whether `value` is owned as a whole."""
    if isinstance(node, Array):
        return node.list_type == "atomic" or not isinstance(value, list)
    if isinstance(node, Struct | MappingNode):
        return node.atomic or not isinstance(value, dict)
    return True


def children(node: Node, value: Any) -> Iterator[tuple[str, Node, Any]]:
    """Path element, type and value of each part of `value`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"f:{name}", child(node, name), item
    elif isinstance(value, list) and isinstance(node, Array):
        for item in value:
            yield element_of(node, item), node.items, item


def child(node: Node, name: str) -> Node:
    """The type of field `name` of an object of type `node`."""
    if isinstance(node, Struct):
        return node.fields.get(name, node.others or _ANY)
    return node.values if isinstance(node, MappingNode) else _ANY


def element_of(node: Array, item: Any) -> str:
    """The path element of an item of a keyed list or a set."""
    if node.list_type != "map" or not isinstance(item, dict):
        return "v:" + orjson.dumps(item).decode()
    keys = {name: item.get(name, KEY_DEFAULTS.get(name)) for name in sorted(node.keys)}
    return "k:" + orjson.dumps({name: value for name, value in keys.items() if value is not None}).decode()


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """The FieldsV1 object of a set of paths."""
    root: dict[str, Any] = {}
    for path in sorted(paths):
        place = root
        for element in path:
            place = place.setdefault(element, {})
        place["."] = {}
    return _without_plain_ends(root)


def _without_plain_ends(place: dict[str, Any]) -> dict[str, Any]:
    """A path that leads no further is a member without saying so."""
    inner = {key: _without_plain_ends(value) for key, value in place.items() if key != "."}
    return {".": {}} | inner if "." in place and inner else inner


def from_fields_v1(fields: Mapping[str, Any]) -> set[Path]:
    """The set of paths of a FieldsV1 object."""
    return set(_paths(fields, ()))


def _paths(fields: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if path and (not fields or "." in fields):
        yield path
    for element, inner in fields.items():
        if element != ".":
            yield from _paths(inner, (*path, element))


def shown(path: Path) -> str:
    """A path as conflicts print it: `.spec.containers[name="web"].image`."""
    text = ""
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            keys = orjson.loads(rest)
            text += "[" + ",".join(f"{name}={orjson.dumps(value).decode()}" for name, value in keys.items()) + "]"
        else:
            text += f"[={rest}]"
    return text
