"""From the bytes or the dictionary that a client sent to an object in the stored form.

Checks types and structure only; what values may be is for validation. What upstream's decoder drops
is dropped here too: unknown fields, nulls, empty lists and maps that need not be there. Errors and
warnings have upstream's wording.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import orjson

from controlplane.api.definitions import node_of
from controlplane.api.errors import BadRequest
from controlplane.api.schema import Decoding, Mismatch
from controlplane.api.types import Kind, Object

FieldValidation = Literal["Strict", "Warn", "Ignore"]


SUMMARY_BYTES = 30


class Decoded(NamedTuple):
    """An object, and the texts for the HTTP `Warning` header."""

    object: Object
    warnings: list[str]


def decode(kind: Kind, body: bytes, validation: FieldValidation = "Ignore") -> Decoded:
    """The object of `kind` in the JSON text `body`; BadRequest when it is none."""
    parsed = parse(body)
    duplicates = [] if validation == "Ignore" else duplicate_fields(body, parsed)
    return decode_object(kind, parsed, validation, duplicates=duplicates)


def parse(body: bytes) -> Any:
    """The JSON value of `body`; BadRequest when it is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        why = "unexpected end of JSON input" if error.pos >= len(body) else str(error)
        why = f"couldn't get version/kind; json parse error: {why}"
        raise BadRequest(f"the object provided is unrecognized: {why} ({_summary(body)})") from error


def _summary(body: bytes) -> str:
    """How an unreadable body begins: text where it could be JSON, else in hexadecimal digits."""
    if not body:
        return "<empty>"
    more = " ..." if len(body) > SUMMARY_BYTES else ""
    start = body[:SUMMARY_BYTES]
    return (start.decode(errors="replace") if body.startswith(b"{") else start.hex()) + more


def decode_object(
    kind: Kind, obj: Any, validation: FieldValidation = "Ignore", *, duplicates: Iterable[str] = ()
) -> Decoded:
    """`obj` as an object of `kind`: itself when it is already in the stored form, else a cleaned copy.

    A missing apiVersion or kind is filled in, a wrong one is a BadRequest. `duplicates` are paths of
    fields that the text named twice.
    """
    _check_identity(kind, obj)
    node = node_of(kind)
    decoding = Decoding()
    if not node.check(obj):
        try:
            obj = node.decode(obj, "", decoding)
        except Mismatch as error:
            raise _unreadable(kind, str(error)) from error
    if "apiVersion" not in obj or "kind" not in obj:
        obj = {"apiVersion": kind.api_version, "kind": kind.name} | obj
    problems = [f'unknown field "{path}"' for path in decoding.unknown]
    problems += [f'duplicate field "{path}"' for path in duplicates]
    if problems and validation == "Strict":
        raise _unreadable(kind, "strict decoding error: " + ", ".join(problems))
    return Decoded(obj, problems if validation == "Warn" else [])


def duplicate_fields(body: bytes, parsed: Any) -> list[str]:
    """Paths of the fields that `body` names more than once; `parsed` is its value.

    A parsed object has one key fewer for each repetition, so the slow parser, which sees both, only
    runs when the counts of keys differ.
    """
    if body.count(b'":') == orjson.dumps(parsed).count(b'":'):
        return []
    return list(dict.fromkeys(_find_duplicates(json.loads(body, object_pairs_hook=_Pairs), "")))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repetitions, told apart from an array."""


def _find_duplicates(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            inner = f"{path}.{key}" if path else key
            if key in seen:
                yield inner
            seen.add(key)
            yield from _find_duplicates(item, inner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find_duplicates(item, f"{path}[{index}]")


def _check_identity(kind: Kind, obj: Any) -> None:
    if not isinstance(obj, dict):
        raise BadRequest(f"the object provided is unrecognized (must be of type {kind.name})")
    version, name = obj.get("apiVersion") or kind.api_version, obj.get("kind") or kind.name
    if version != kind.api_version:
        raise BadRequest(
            f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        )
    if name != kind.name:
        raise BadRequest(f'{name} in version "{kind.version}" cannot be handled as a {kind.name}')


def _unreadable(kind: Kind, problem: str) -> BadRequest:
    return BadRequest(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {problem}')
