"""RFC 6902 JSON Patch and RFC 7386 JSON Merge Patch, as pure functions.

The document that comes in is never changed: the result shares with it what the patch did not touch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from controlplane.api.errors import BadRequest, Invalid, RequestTooLarge

MOST_OPERATIONS = 10_000
MOST_COPIED_BYTES = 3 << 20
"""What all copies of one patch may add, as JSON: copies of copies double each time."""


class PatchFailed(Exception):
    """An operation names a place that is not there, or its test does not hold."""


def apply_json_patch(document: Any, operations: Any) -> Any:
    """`document` after all `operations`; BadRequest for a malformed patch, Invalid for one that does not fit."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise BadRequest("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(operations) > MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        raise RequestTooLarge(text)
    copied = 0
    try:
        for operation in operations:
            if operation.get("op") == "copy":
                copied += len(orjson.dumps(_lookup(document, _pointer(operation.get("from")))))
                if copied > MOST_COPIED_BYTES:
                    text = f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
                    raise RequestTooLarge(f"{text}exceeding the limit {MOST_COPIED_BYTES}")
            document = _apply_one(document, operation)
    except PatchFailed as error:
        raise Invalid("the server rejected our request due to an error in our request") from error
    return document


def merge_patch(document: Any, patch: Any) -> Any:
    """`document` with every member of `patch` put in; null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _apply_one(document: Any, operation: dict[str, Any]) -> Any:
    name, path = operation.get("op"), _pointer(operation.get("path"))
    match name:
        case "add":
            return _add(document, path, operation.get("value"))
        case "remove":
            return _remove(document, path)
        case "replace":
            _lookup(document, path)
            return _replace(document, path, operation.get("value"))
        case "move":
            source = _pointer(operation.get("from"))
            if path[: len(source)] == source and path != source:
                raise PatchFailed("a value cannot move into itself")
            return _add(_remove(document, source), path, _lookup(document, source))
        case "copy":
            return _add(document, path, _lookup(document, _pointer(operation.get("from"))))
        case "test":
            if not _equal(_lookup(document, path), operation.get("value")):
                raise PatchFailed(f"test of {operation.get('path')} failed")
            return document
    raise PatchFailed(f"unexpected operation {name}")


def _pointer(text: Any) -> list[str]:
    """The tokens of an RFC 6901 pointer."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchFailed(f"bad pointer {text}")
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


def _index(items: list[Any], token: str, *, end: bool) -> int:
    """The position that `token` names; "-" and the length itself only where `end` allows them."""
    if token == "-" and end:
        return len(items)
    if not (token.isascii() and token.isdigit()) or (len(token) > 1 and token[0] == "0"):
        raise PatchFailed(f"bad index {token}")
    index = int(token)
    if index >= len(items) + end:
        raise PatchFailed(f"index {token} out of range")
    return index


def _lookup(document: Any, path: list[str]) -> Any:
    for token in path:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list):
            document = document[_index(document, token, end=False)]
        else:
            raise PatchFailed(f"missing {token}")
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    def change(parent: Any, token: str) -> Any:
        if isinstance(parent, dict):
            return parent | {token: value}
        index = _index(parent, token, end=True)
        return [*parent[:index], value, *parent[index:]]

    return _at(document, path, change) if path else value


def _replace(document: Any, path: list[str], value: Any) -> Any:
    def change(parent: Any, token: str) -> Any:
        if isinstance(parent, dict):
            return parent | {token: value}
        index = _index(parent, token, end=False)
        return [*parent[:index], value, *parent[index + 1 :]]

    return _at(document, path, change) if path else value


def _remove(document: Any, path: list[str]) -> Any:
    def change(parent: Any, token: str) -> Any:
        if isinstance(parent, dict):
            if token not in parent:
                raise PatchFailed(f"missing {token}")
            return {key: value for key, value in parent.items() if key != token}
        index = _index(parent, token, end=False)
        return parent[:index] + parent[index + 1 :]

    return _at(document, path, change) if path else None


def _at(document: Any, path: list[str], change: Callable[[Any, str], Any]) -> Any:
    """`document` with the parent of `path` changed, copied along the way."""
    token, rest = path[0], path[1:]
    if not isinstance(document, dict | list):
        raise PatchFailed(f"missing {token}")
    if not rest:
        return change(document, token)
    inner = _at(_lookup(document, [token]), rest, change)
    if isinstance(document, dict):
        return document | {token: inner}
    index = _index(document, token, end=False)
    return [*document[:index], inner, *document[index + 1 :]]


def _equal(left: Any, right: Any) -> bool:
    """Equality of JSON: unlike Python's, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return bool(left == right)
