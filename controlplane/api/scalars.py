"""The types of fields that hold one value: texts, numbers, quantities, times."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from datetime import UTC, datetime
from typing import Any

from controlplane.api import quantity
from controlplane.api.schema import Decoding, Mismatch, Node, json_type

CANONICAL_MEMORY = 4096

_TIME = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII)
_MICRO_TIME = re.compile(_TIME.pattern[:-1] + r"\.\d{6}Z", re.ASCII)


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
