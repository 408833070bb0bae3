"""The types of fields, each a decoder; `definitions` builds them from the API's definitions.

A decoder has two speeds. `check` says whether a value is exactly in the form that is stored: right
types, known fields, no nulls, nothing empty. Nearly every value is, and then it is taken as it is.
`decode` is for the others: it builds a cleaned copy, notes unknown fields and raises `Mismatch` at
the first wrong type, as upstream's decoder does.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from controlplane.api import quantity

CANONICAL_MEMORY = 4096

_INDEX = re.compile(r"\[[^]]*\]")
_TIME = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII)
_MICRO_TIME = re.compile(_TIME.pattern[:-1] + r"\.\d{6}Z", re.ASCII)


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


class Text(Node):
    """A string."""

    __slots__ = ()
    zero = ""

    def check(self, value: Any) -> bool:
        return type(value) is str

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not str:
            raise decoding.mismatch(value, path, self.go_type)
        return value


class Base64(Text):
    """Bytes, as text."""

    __slots__ = ()

    def check(self, value: Any) -> bool:
        if type(value) is not str:
            return False
        try:
            a2b_base64(value, strict_mode=True)
        except (Base64Error, ValueError):
            return value == ""
        return True

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not str:
            raise decoding.mismatch(value, path, self.go_type)
        if not self.check(value):
            good = len(value) - len(value.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
            raise Mismatch(f"illegal base64 data at input byte {good}")
        return value


class Integer(Node):
    """A whole number of 32 or 64 bits."""

    __slots__ = ("high", "low")
    zero = 0

    def __init__(self, bits: int) -> None:
        super().__init__(f"int{bits}")
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if not self.check(value):
            raise decoding.mismatch(value, path, self.go_type)
        return value


class Boolean(Node):
    """true or false."""

    __slots__ = ()
    zero = False

    def check(self, value: Any) -> bool:
        return value is True or value is False

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if not isinstance(value, bool):
            raise decoding.mismatch(value, path, self.go_type)
        return value


class Number(Node):
    """A number that may have a fraction."""

    __slots__ = ()
    zero = 0

    def check(self, value: Any) -> bool:
        return type(value) is float or type(value) is int

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if not self.check(value):
            raise decoding.mismatch(value, path, self.go_type)
        return value


class Quantity(Node):
    """Stored in the one canonical text."""

    __slots__ = ("_canonical",)
    zero = "0"

    def __init__(self) -> None:
        super().__init__("resource.Quantity")
        self._canonical: set[str] = set()

    def check(self, value: Any) -> bool:
        return type(value) is str and value in self._canonical

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) not in (str, int, float):
            raise Mismatch(quantity.FORMAT_ERROR)
        try:
            text = quantity.canonical(value)
        except quantity.QuantityError as error:
            raise Mismatch(str(error)) from error
        if len(self._canonical) >= CANONICAL_MEMORY:
            self._canonical.clear()
        self._canonical.add(text)
        return text


class IntOrString(Node):
    """A number of 32 bits, or a name or percentage."""

    __slots__ = ()
    zero = 0

    def check(self, value: Any) -> bool:
        return type(value) is str or (type(value) is int and -(2**31) <= value < 2**31)

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if not self.check(value):
            raise Mismatch(f"json: cannot unmarshal {json_type(value, 'int32')} into Go value of type int32")
        return value


class Time(Node):
    """Stored in UTC, to the second or, as MicroTime, to the microsecond."""

    __slots__ = ("_format", "_matches")

    def __init__(self, *, micro: bool) -> None:
        super().__init__("string")
        self._matches = (_MICRO_TIME if micro else _TIME).fullmatch
        self._format = "%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ"

    def check(self, value: Any) -> bool:
        return type(value) is str and self._matches(value) is not None

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not str:
            raise Mismatch(f"json: cannot unmarshal {json_type(value)} into Go value of type string")
        try:
            parsed = datetime.fromisoformat(value)
            if parsed.tzinfo is None or "T" not in value:
                raise ValueError(value)
        except ValueError as error:
            layout = "2006-01-02T15:04:05Z07:00"
            raise Mismatch(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"') from error
        return parsed.astimezone(UTC).strftime(self._format)


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
