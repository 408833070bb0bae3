"""From a mapping in lab.yaml to a dataclass, with an error that names the place when they do not fit.

A field is required if it has no default. `said(key)` is for keys that are no names in Python. All values are text, or
several texts: what a lab says may be filled in later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from workbench.labs.errors import BrokenLab

Built = TypeVar("Built")


def said(key: str, default: Any = MISSING) -> Any:
    """A field that lab.yaml calls `key`."""
    return field(metadata={"key": key}, default=default)


def build(kind: type[Built], document: Any, where: str) -> Built:
    """An object of a dataclass whose fields are `str`, `tuple[str, ...]` or `Any`. Raises `BrokenLab`."""
    wanted = {each.metadata.get("key", each.name): each for each in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(document, Mapping):
        raise BrokenLab(f"{where}: found {document!r}; it has to be a mapping of {', '.join(wanted)}")
    unknown = [str(key) for key in document if key not in wanted]
    if unknown:
        raise BrokenLab(f"{where}: there is no {unknown[0]!r}; there are {', '.join(wanted)}")
    missing = [key for key, each in wanted.items() if key not in document and _is_required(each)]
    if missing:
        raise BrokenLab(f"{where}: {missing[0]!r} is missing")
    return kind(**{wanted[key].name: _value(wanted[key], value) for key, value in document.items()})


def _is_required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _value(one: Field[Any], value: Any) -> Any:
    if one.type == "str":
        return str(value)
    if one.type == "tuple[str, ...]":
        return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
    return value
