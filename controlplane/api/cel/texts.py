"""Functions of texts: regular expressions, parts, and texts made of values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from controlplane.api.cel.errors import CelCost, CelError
from controlplane.api.cel.values import LONGEST, NO_OVERLOAD, Optional
from controlplane.api.custom.growth import is_quick
from controlplane.api.custom.patterns import compile_matcher, compile_pattern

LONGEST_WIDTH = 6
"""Characters of a width and precision; what is asked for with more is no message."""

_pattern = lru_cache(maxsize=256)(compile_pattern)
_matcher = lru_cache(maxsize=256)(compile_matcher)


def text(value: Any) -> str:
    """`value`, which has to be a text."""
    if isinstance(value, str):
        return value
    raise CelError(NO_OVERLOAD)


def to_string(value: Any) -> str:
    """`string`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | dict | Optional) or value is None:
        raise CelError(NO_OVERLOAD)
    return str(value)


def matches(value: str, pattern: str) -> bool:
    """Whether the pattern is found anywhere."""
    return _matcher(pattern)(text(value))


def find(value: str, pattern: str) -> str:
    """What the pattern is found as first; "" for nothing."""
    found = _searched(value, pattern).search(value) if matches(value, pattern) else None
    return found[0] if found else ""


def find_all(value: str, pattern: str, most: int = -1) -> list[str]:
    """All that the pattern is found as."""
    found = [one[0] for one in _searched(value, pattern).finditer(value)] if matches(value, pattern) else []
    return found if most < 0 else found[:most]


def _searched(value: str, pattern: str) -> re.Pattern[str]:
    """The pattern for Python's engine, which says where it is found; CelCost where that may take for ever."""
    found = _pattern(pattern)
    if not is_quick(found.pattern, len(value)):
        raise CelCost
    return found


def replace(value: str, old: str, new: str, most: int = -1) -> str:
    """`value` with `new` in place of `old`."""
    if text(value).count(old) * len(text(new)) > LONGEST:
        raise CelCost
    return value.replace(old, new, most)


def split(value: str, by: str, most: int = -1) -> list[str]:
    """The parts between what is `by`."""
    if most == 0:
        return []
    return list(text(value)) if by == "" else text(value).split(by, most - 1 if most > 0 else -1)


def substring(value: str, start: int, end: int | None = None) -> str:
    """A part of a text."""
    end = len(text(value)) if end is None else end
    if not 0 <= start <= end <= len(value):
        raise CelError(f"index out of range: {start}")
    return value[start:end]


def char_at(value: str, index: int) -> str:
    """One letter; "" right behind the last."""
    if not 0 <= index <= len(text(value)):
        raise CelError(f"index out of range: {index}")
    return value[index : index + 1]


def join(values: Iterable[str], by: str = "") -> str:
    """One text of many."""
    parts = [text(one) for one in values]
    if sum(map(len, parts)) + len(parts) * len(by) > LONGEST:
        raise CelCost
    return by.join(parts)


def formatted(form: str, values: list[Any]) -> str:
    """%s, %d, %f, %e, %b, %x, %o and %%; enough for messages."""
    given = iter(values)
    parts = form.split("%")
    made = [parts[0]]
    skip = False
    for part in parts[1:]:
        if skip:
            skip = False
            made.append(part)
        elif part == "":
            made.append("%")
            skip = True
        else:
            flags = part[: len(part) - len(part.lstrip(".0123456789"))]
            verb, rest = part[len(flags) : len(flags) + 1], part[len(flags) + 1 :]
            if len(flags) > LONGEST_WIDTH:
                raise CelError(f"unsupported width: {flags}")
            value = next(given, None)
            made.append((to_string(value) if verb == "s" else f"{value:{flags}{verb}}") + rest)
    return "".join(made)
