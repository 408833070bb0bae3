"""Values that JSON does not have, and what holds of all values: equality, order, arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from controlplane.api.cel.errors import CelCost, CelError

LONGEST = 16 << 20
"""Of what is put together: a text that is added to itself again and again doubles each time."""
LOW, HIGH = -(2**63), 2**63 - 1
NO_OVERLOAD = "no such overload"

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may not be there."""

    value: Any = None
    present: bool = False


NONE = Optional()


def parse_duration(text: str) -> timedelta:
    """Go's form: "1h30m"."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    parts = _PART.findall(rest)
    if rest != "0" and (not parts or "".join(a + b for a, b in parts) != rest):
        raise CelError(f'time: invalid duration "{text}"')
    return timedelta(seconds=sign * sum(float(number) * _SECONDS[unit] for number, unit in parts))


def parse_timestamp(text: str) -> datetime:
    """RFC 3339."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None or "T" not in text.upper():
            raise ValueError(text)
    except ValueError as error:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse') from error
    return found.astimezone(UTC)


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def integer(value: int) -> int:
    """`value`, which has to fit into 64 bits."""
    if not LOW <= value <= HIGH:
        raise CelError("integer overflow")
    return value


def boolean(value: Any) -> bool:
    """`value`, which has to be true or false."""
    if value is True or value is False:
        return bool(value)
    raise CelError(NO_OVERLOAD)


def equal(left: Any, right: Any) -> bool:
    """Values of different types are not equal; whole numbers and fractions are numbers."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(left == right)


def less(left: Any, right: Any) -> bool:
    """Whether `left` comes before `right`; CelError for values that have no order."""
    if is_number(left) and is_number(right):
        return bool(left < right)
    if type(left) is not type(right) or left is None or isinstance(left, list | dict | Optional):
        raise CelError(NO_OVERLOAD)
    return bool(left < right)


def contains(container: Any, value: Any) -> bool:
    """The operator `in`."""
    if isinstance(container, list):
        return any(equal(value, one) for one in container)
    if isinstance(container, dict):
        return isinstance(value, str | int | bool) and value in container
    raise CelError(NO_OVERLOAD)


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """+ - * / % as CEL has them; CelError where it has none."""
    if type(left) is int and type(right) is int:
        return _whole(operator, left, right)
    if type(left) is float and type(right) is float:
        return _fraction(operator, left, right)
    if operator == "+" and type(left) is type(right) and isinstance(left, str | list | bytes):
        if len(left) + len(right) > LONGEST:
            raise CelCost()
        return left + right
    if operator in "+-" and isinstance(left, datetime | timedelta) and isinstance(right, datetime | timedelta):
        try:
            return left + right if operator == "+" else left - right  # type: ignore[operator]
        except (TypeError, OverflowError) as error:
            raise CelError(NO_OVERLOAD) from error
    raise CelError(NO_OVERLOAD)


def _whole(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return integer(left + right)
        case "-":
            return integer(left - right)
        case "*":
            return integer(left * right)
    if right == 0:
        raise CelError("division by zero" if operator == "/" else "modulus by zero")
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return integer(quotient) if operator == "/" else left - quotient * right


def _fraction(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right if right else float("nan") if not left else float("inf") * (1 if left > 0 else -1)
    raise CelError(NO_OVERLOAD)
