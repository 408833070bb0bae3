"""The functions of the language and of Kubernetes' libraries, by the way they are called.

A wrong type may simply raise TypeError or AttributeError here: the compiler makes "no such overload" of it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from controlplane.api.cel import network, texts
from controlplane.api.cel.errors import CelError
from controlplane.api.cel.named_formats import NAMED_FORMATS, named, validate
from controlplane.api.cel.values import (
    NO_OVERLOAD,
    NONE,
    Optional,
    arithmetic,
    contains,
    equal,
    integer,
    less,
    parse_duration,
    parse_timestamp,
)

Function = Callable[..., Any]

_TYPES: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    type(None): "null_type",
    datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration",
    Optional: "optional_type",
}


def _size(value: Any) -> int:
    return len(value)


def _to_int(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    return integer(int(value)) if not isinstance(value, bool) else _no_overload()


def _to_double(value: Any) -> float:
    return float(value) if not isinstance(value, bool) else _no_overload()


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "TRUE", "t", "1"):
        return True
    if value in ("false", "False", "FALSE", "f", "0"):
        return False
    raise CelError(f"Type conversion error: {value}")


def _no_overload() -> Any:
    raise CelError(NO_OVERLOAD)


def _type(value: Any) -> str:
    return _TYPES.get(type(value), type(value).__name__)


def _index_of(value: Any, wanted: Any, start: int = 0) -> int:
    if isinstance(value, str):
        return value.find(texts.text(wanted), start)
    return next((index for index, one in enumerate(value) if equal(one, wanted)), -1)


def _last_index_of(value: Any, wanted: Any) -> int:
    if isinstance(value, str):
        return value.rfind(texts.text(wanted))
    return next((index for index in range(len(value) - 1, -1, -1) if equal(value[index], wanted)), -1)


def _sum(values: list[Any]) -> Any:
    total = values[0] if values else 0
    for one in values[1:]:
        total = arithmetic("+", total, one)
    return total


def _least(values: list[Any]) -> Any:
    if not values:
        raise CelError("min called on empty list")
    found = values[0]
    for one in values[1:]:
        found = one if less(one, found) else found
    return found


def _greatest(values: list[Any]) -> Any:
    if not values:
        raise CelError("max called on empty list")
    found = values[0]
    for one in values[1:]:
        found = one if less(found, one) else found
    return found


def _many(function: Callable[[list[Any]], Any]) -> Function:
    return lambda *values: function(values[0] if len(values) == 1 and isinstance(values[0], list) else list(values))


def _is_sorted(values: list[Any]) -> bool:
    return not any(less(values[index + 1], values[index]) for index in range(len(values) - 1))


def _sort(values: list[Any]) -> list[Any]:
    _is_sorted(values)
    return sorted(values)


def _distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for one in values:
        if not contains(found, one):
            found.append(one)
    return found


def _flatten(values: list[Any]) -> list[Any]:
    return [inner for one in values for inner in (one if isinstance(one, list) else [one])]


def _slice(values: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(values):
        raise CelError(f"cannot slice({start}, {end})")
    return values[start:end]


def _subset(whole: list[Any], part: list[Any]) -> bool:
    return all(contains(whole, one) for one in part)


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else parse_timestamp(value)


def _duration(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(value)


def _part_of_time(of_time: Callable[[datetime], int], of_duration: Callable[[float], float] | None = None) -> Function:
    def get(value: Any, _zone: str = "UTC") -> int:
        if isinstance(value, timedelta) and of_duration is not None:
            return int(of_duration(value.total_seconds()))
        return of_time(value)

    return get


def _of_non_zero(value: Any) -> Optional:
    return NONE if value in (None, 0, "", False) or value in ([], {}) else Optional(value, True)


def _optional_value(value: Optional) -> Any:
    if not value.present:
        raise CelError("optional.none() dereference")
    return value.value


FUNCTIONS: dict[str, Function] = {
    "bool": _to_bool,
    "bytes": lambda value: value if isinstance(value, bytes) else texts.text(value).encode(),
    "cidr": network.cidr,
    "double": _to_double,
    "duration": _duration,
    "dyn": lambda value: value,
    "int": _to_int,
    "ip": network.ip,
    "isCIDR": network.is_cidr,
    "isIP": network.is_ip,
    "isQuantity": network.is_quantity,
    "isURL": network.is_url,
    "matches": texts.matches,
    "quantity": network.quantity_of,
    "size": _size,
    "string": texts.to_string,
    "timestamp": _timestamp,
    "type": _type,
    "uint": _to_int,
    "url": network.url,
}

NAMESPACED: dict[tuple[str, str], Function] = {
    ("base64", "decode"): lambda value: base64.b64decode(value),
    ("base64", "encode"): lambda value: base64.b64encode(value).decode(),
    ("format", "named"): named,
    ("ip", "isCanonical"): lambda value: str(network.ip(value)) == value,
    ("math", "abs"): abs,
    ("math", "ceil"): lambda value: float(math.ceil(value)),
    ("math", "floor"): lambda value: float(math.floor(value)),
    ("math", "greatest"): _many(_greatest),
    ("math", "least"): _many(_least),
    ("optional", "none"): lambda: NONE,
    ("optional", "of"): lambda value: Optional(value, True),
    ("optional", "ofNonZeroValue"): _of_non_zero,
    ("sets", "contains"): _subset,
    ("sets", "equivalent"): lambda left, right: _subset(left, right) and _subset(right, left),
    ("sets", "intersects"): lambda left, right: any(contains(left, one) for one in right),
    **NAMED_FORMATS,
}

METHODS: dict[str, Function] = {
    "charAt": texts.char_at,
    "contains": lambda value, wanted: texts.text(wanted) in texts.text(value),
    "distinct": _distinct,
    "endsWith": lambda value, end: texts.text(value).endswith(texts.text(end)),
    "find": texts.find,
    "findAll": texts.find_all,
    "flatten": _flatten,
    "format": texts.formatted,
    "getDate": _part_of_time(lambda at: at.day),
    "getDayOfMonth": _part_of_time(lambda at: at.day - 1),
    "getDayOfWeek": _part_of_time(lambda at: at.isoweekday() % 7),
    "getDayOfYear": _part_of_time(lambda at: at.timetuple().tm_yday - 1),
    "getFullYear": _part_of_time(lambda at: at.year),
    "getHours": _part_of_time(lambda at: at.hour, lambda seconds: seconds / 3600),
    "getMilliseconds": _part_of_time(lambda at: at.microsecond // 1000, lambda seconds: seconds * 1000),
    "getMinutes": _part_of_time(lambda at: at.minute, lambda seconds: seconds / 60),
    "getMonth": _part_of_time(lambda at: at.month - 1),
    "getSeconds": _part_of_time(lambda at: at.second, lambda seconds: seconds),
    "hasValue": lambda value: value.present,
    "indexOf": _index_of,
    "isSorted": _is_sorted,
    "join": texts.join,
    "lastIndexOf": _last_index_of,
    "lowerAscii": lambda value: texts.text(value).lower(),
    "matches": texts.matches,
    "max": _greatest,
    "min": _least,
    "or": lambda value, other: value if value.present else other,
    "orValue": lambda value, other: value.value if value.present else other,
    "replace": texts.replace,
    "reverse": lambda value: value[::-1],
    "size": _size,
    "slice": _slice,
    "sort": _sort,
    "split": texts.split,
    "startsWith": lambda value, start: texts.text(value).startswith(texts.text(start)),
    "substring": texts.substring,
    "sum": _sum,
    "trim": lambda value: texts.text(value).strip(),
    "upperAscii": lambda value: texts.text(value).upper(),
    "value": _optional_value,
    "validate": validate,
    **network.METHODS,
}
