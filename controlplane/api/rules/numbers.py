"""Checks of numbers, ports and shares that many fields have in common."""

from __future__ import annotations

from typing import Any

from controlplane.api import names, quantity
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each


def non_negative(owner: dict[str, Any], path: str, *fields: str) -> list[FieldError]:
    """An error for each of `fields` of `owner` that is there and below zero."""
    return [
        invalid(f"{path}.{name}", owner[name], names.NON_NEGATIVE)
        for name in fields
        if name in owner and owner[name] < 0
    ]


def positive_quantity(value: str, path: str) -> list[FieldError]:
    """A quantity of more than nothing."""
    return [] if quantity.nanos(value) > 0 else [invalid(path, value, names.POSITIVE)]


def whole_quantity(value: str, path: str) -> list[FieldError]:
    """A quantity that is not negative, and no fraction."""
    errors = [invalid(path, value, names.NON_NEGATIVE)] if quantity.nanos(value) < 0 else []
    return errors + ([invalid(path, value, names.INTEGER)] if quantity.nanos(value) % quantity.NANO else [])


def port_or_name(value: int | str, path: str) -> list[FieldError]:
    """A port number, or the name of one."""
    wrong = names.port_number(value) if isinstance(value, int) else names.port_name(value)
    return invalid_each(path, value, wrong)


def count_or_percent(value: int | str, path: str) -> list[FieldError]:
    """A count that is not negative, or a percentage."""
    if isinstance(value, str):
        return invalid_each(path, value, names.percent(value))
    return [invalid(path, value, names.NON_NEGATIVE)] if value < 0 else []
