"""The types of fields, each a decoder: lists, maps and structs, and what all have in common; `scalars` are the others.

`definitions` builds them from the API's definitions.

A decoder has two speeds. `check` says whether a value is exactly in the form that is stored: right
types, known fields, no nulls, nothing empty. Nearly every value is, and then it is taken as it is.
`decode` is for the others: it builds a cleaned copy, notes unknown fields and raises `Mismatch` at
the first wrong type, as upstream's decoder does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

_INDEX = re.compile(r"\[[^]]*\]")


class Mismatch(ValueError):
    """A value has the wrong JSON type; the text is upstream's decoder's."""


class Decoding:
    """What one slow decoding notes: unknown fields by path, and the struct it is in."""

    __slots__ = ("struct", "unknown")

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.struct = ""

    def mismatch(self, value: Any, path: str, go_type: str) -> Mismatch:
        """The error for `value`, which is no `go_type`."""
        where = f"Go struct field {self.struct}.{_INDEX.sub('', path)}" if path else "Go value"
        return Mismatch(f"json: cannot unmarshal {json_type(value, go_type)} into {where} of type {go_type}")


def json_type(value: Any, go_type: str = "") -> str:
    """The JSON type of `value` as messages name it; a number that does not fit is shown itself."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if go_type.startswith(("int", "float")) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


class Node:
    """Any JSON at all: what a definition without properties takes; base of the other types.

    `check` says whether a value is in the stored form; `decode` gives one that is not its stored
    form, or raises Mismatch. `zero` stands for a null among the items of a list or map.
    """

    __slots__ = ("go_type",)
    zero: Any = None

    def __init__(self, go_type: str = "interface {}") -> None:
        self.go_type = go_type

    def check(self, value: Any) -> bool:
        return value is not None

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        return value


class Array(Node):
    """A list; `strategy` and `merge_key` are of strategic merge patch, `list_type` and `keys` of apply."""

    __slots__ = ("items", "keys", "list_type", "merge_key", "strategy")

    def __init__(self, items: Node, extensions: dict[str, Any]) -> None:
        super().__init__(f"[]{items.go_type}")
        self.items = items
        self.strategy: str = extensions.get("x-kubernetes-patch-strategy", "")
        self.merge_key: str = extensions.get("x-kubernetes-patch-merge-key", "")
        self.list_type: str = extensions.get("x-kubernetes-list-type", "atomic")
        self.keys: tuple[str, ...] = tuple(extensions.get("x-kubernetes-list-map-keys", ()))

    def check(self, value: Any) -> bool:
        if type(value) is not list or not value:
            return False
        check = self.items.check
        return all(map(check, value))

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not list:
            raise decoding.mismatch(value, path, self.go_type)
        decode, struct, decoded = self.items.decode, decoding.struct, []
        for index, item in enumerate(value):
            decoding.struct = struct
            decoded.append(self._zero() if item is None else decode(item, f"{path}[{index}]", decoding))
        return decoded

    def _zero(self) -> Any:
        return {} if isinstance(self.items, Struct | Mapping) else self.items.zero


class Mapping(Node):
    """An object whose names are free; `strategy` is of strategic merge patch, `atomic` of apply."""

    __slots__ = ("atomic", "strategy", "values")

    def __init__(self, values: Node, extensions: dict[str, Any]) -> None:
        super().__init__(f"map[string]{values.go_type}")
        self.values = values
        self.strategy: str = extensions.get("x-kubernetes-patch-strategy", "")
        self.atomic = extensions.get("x-kubernetes-map-type") == "atomic"

    def check(self, value: Any) -> bool:
        if type(value) is not dict or not value:
            return False
        return all(map(self.values.check, value.values()))

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not dict:
            raise decoding.mismatch(value, path, self.go_type)
        decode, zero, struct, decoded = self.values.decode, self.values.zero, decoding.struct, {}
        structs = isinstance(self.values, Struct)
        for key, item in value.items():
            decoding.struct = struct
            inner = f"{path}.{key}" if structs else path
            decoded[key] = zero if item is None else decode(item, inner, decoding)
        return decoded


class Struct(Node):
    """An object with named fields. `strategies` holds the patch strategies of fields that are structs.

    `others` is the type of fields that are not named, where such are kept.
    """

    __slots__ = ("atomic", "checks", "fields", "name", "others", "required", "strategies")

    def __init__(self, definition: str, required: Iterable[str], *, atomic: bool) -> None:
        *_, version, name = ("", *definition.split("."))
        super().__init__(f"{version}.{name}")
        self.name = name
        self.required = frozenset(required)
        self.atomic = atomic
        self.fields: dict[str, Node] = {}
        self.checks: dict[str, Callable[[Any], bool]] = {}
        self.strategies: dict[str, str] = {}
        self.others: Node | None = None

    def check(self, value: Any) -> bool:
        if type(value) is not dict:
            return False
        checks = self.checks
        try:
            for name, item in value.items():
                if not checks[name](item):
                    return False
        except KeyError:
            return False
        return True

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not dict:
            raise decoding.mismatch(value, path, self.go_type)
        decoded = {}
        for name, item in value.items():
            field = self.fields.get(name)
            inner = f"{path}.{name}" if path else name
            if field is None:
                decoding.unknown.append(inner)
            elif item is not None:
                decoding.struct = self.name
                result = field.decode(item, inner, decoding)
                if result or name in self.required or not isinstance(field, Array | Mapping):
                    decoded[name] = result
        return decoded


class StructOr(Node):
    """A struct, or something simpler in its place: the JSON types `others`, and lists of either."""

    __slots__ = ("others", "struct")

    def __init__(self, struct: Struct, others: tuple[type, ...]) -> None:
        super().__init__(struct.go_type)
        self.struct = struct
        self.others = others

    def check(self, value: Any) -> bool:
        if type(value) is dict:
            return self.struct.check(value)
        if type(value) is list and list in self.others:
            return all(map(self.check, value))
        return type(value) in self.others

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is list and list in self.others:
            return [self.decode(item, f"{path}[{index}]", decoding) for index, item in enumerate(value)]
        if type(value) in self.others:
            return value
        return self.struct.decode(value, path, decoding)
