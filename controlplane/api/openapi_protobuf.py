"""The v2 document in protobuf, which Go clients insist on; no other document, and no reading.

kubectl asks for it when a manifest has a kind that the v3 documents lack, a List for one. The
messages are gnostic's OpenAPIv2. Only the fields that `openapi` writes are in the tables here;
anything else in a document is a KeyError, never silently lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

MEDIA_TYPES = (
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
)
"""The name that is right for a media type, which goes into answers, and the one that clients ask with."""

Encode = Callable[[int, Any], bytes]
"""Takes a field's number and its JSON value; gives the whole field."""

_LENGTH_DELIMITED = 2


def encode_v2(document: Mapping[str, Any]) -> bytes:
    """The protobuf form of a v2 document."""
    return _message(document, _DOCUMENT)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _flag(number: int, value: bool) -> bytes:
    return _varint(number << 3) + (b"\1" if value else b"\0")


def _any(number: int, value: Any) -> bytes:
    """Any JSON, as the YAML text that gnostic keeps of it."""
    return _bytes(number, _bytes(2, orjson.dumps(value)))


def _texts(number: int, values: list[str]) -> bytes:
    return b"".join(_text(number, value) for value in values)


def _message(value: Mapping[str, Any], fields: Mapping[str, tuple[int, Encode]]) -> bytes:
    parts = []
    for key, one in value.items():
        if key.startswith("x-"):
            parts.append(_bytes(fields["x-"][0], _text(1, key) + _any(2, one)))
        else:
            number, encode = fields[key]
            parts.append(encode(number, one))
    return b"".join(parts)


def _wrapped(encode: Encode) -> Encode:
    """A message whose only field, number 1, is the value."""
    return lambda number, value: _bytes(number, encode(1, value))


def _named(encode: Encode, inner: int = 1) -> Encode:
    """A map, as a message of name and value pairs in field `inner`."""
    return lambda number, value: _bytes(
        number, b"".join(_bytes(inner, _text(1, name) + encode(2, one)) for name, one in value.items())
    )


def _schema(number: int, value: Any) -> bytes:
    return _bytes(number, _message(value, _SCHEMA))


def _info(number: int, value: Any) -> bytes:
    return _bytes(number, _message(value, {"title": (1, _text), "version": (2, _text)}))


def _parameters(number: int, values: list[Any]) -> bytes:
    return b"".join(_bytes(number, _bytes(1, _parameter(value))) for value in values)


def _parameter(value: Mapping[str, Any]) -> bytes:
    if value["in"] == "body":
        return _bytes(1, _message(value, _BODY_PARAMETER))
    place, fields = _PLACES[value["in"]]
    return _bytes(2, _bytes(place, _message(value, fields)))


def _response(number: int, value: Any) -> bytes:
    return _bytes(number, _bytes(1, _message(value, {"description": (1, _text), "schema": (2, _wrapped(_schema))})))


def _operation(number: int, value: Any) -> bytes:
    return _bytes(number, _message(value, _OPERATION))


def _path(number: int, value: Any) -> bytes:
    return _bytes(number, _message(value, _PATH))


_SCHEMA: dict[str, tuple[int, Encode]] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "description": (4, _text),
    "default": (5, _any),
    "required": (19, _texts),
    "additionalProperties": (21, _wrapped(_schema)),
    "type": (22, _wrapped(_text)),
    "items": (23, _wrapped(_schema)),
    "properties": (25, _named(_schema)),
    "x-": (31, _any),
}
_BODY_PARAMETER: dict[str, tuple[int, Encode]] = {
    "name": (2, _text),
    "in": (3, _text),
    "required": (4, _flag),
    "schema": (5, _schema),
}
_COMMON: dict[str, tuple[int, Encode]] = {"required": (1, _flag), "in": (2, _text), "name": (4, _text)}
_PLACES: dict[str, tuple[int, dict[str, tuple[int, Encode]]]] = {
    "query": (3, _COMMON | {"type": (6, _text), "uniqueItems": (20, _flag)}),
    "path": (4, _COMMON | {"type": (5, _text), "uniqueItems": (19, _flag)}),
}
_OPERATION: dict[str, tuple[int, Encode]] = {
    "tags": (1, _texts),
    "description": (3, _text),
    "operationId": (5, _text),
    "produces": (6, _texts),
    "consumes": (7, _texts),
    "parameters": (8, _parameters),
    "responses": (9, _named(_response)),
    "x-": (13, _any),
}
_PATH: dict[str, tuple[int, Encode]] = {
    "get": (2, _operation),
    "put": (3, _operation),
    "post": (4, _operation),
    "delete": (5, _operation),
    "patch": (8, _operation),
    "parameters": (9, _parameters),
}
_DOCUMENT: dict[str, tuple[int, Encode]] = {
    "swagger": (1, _text),
    "info": (2, _info),
    "paths": (8, _named(_path, inner=2)),
    "definitions": (9, _named(_schema)),
}
