"""What one keyword of a schema asks of one value: bounds, patterns, formats, lists that are sets.

Not schemas within schemas: those are `validation.py`, which puts the checks together. Wording and causes
are upstream's, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api.custom.formats import FORMATS
from controlplane.api.custom.linear import Undecided
from controlplane.api.custom.patterns import compile_matcher
from controlplane.api.custom.schema import Schema
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, not_supported, required, shown, too_many

Errors = list[FieldError]
Check = Callable[[Any, str, Errors], None]
"""Takes a value, its path and the list of errors to add to."""


def _in_body(path: str, value: Any, what: str) -> FieldError:
    return invalid(path, value, f"{path} in body {what}")


def _required(schema: Schema) -> Check:
    names = schema["required"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is dict:
            for name in names:
                if name not in value:
                    errors.append(required(f"{path}.{name}" if path else name))

    return check


def _enum(schema: Schema) -> Check:
    allowed = schema["enum"]
    texts = [one if isinstance(one, str) else shown(one) for one in allowed]

    def check(value: Any, path: str, errors: Errors) -> None:
        if not any(value == one and type(value) is type(one) for one in allowed):
            errors.append(not_supported(path, value, texts))

    return check


def _pattern(schema: Schema) -> Check:
    text = schema["pattern"]
    matches = compile_matcher(text)

    def check(value: Any, path: str, errors: Errors) -> None:
        try:
            if type(value) is str and not matches(value):
                errors.append(_in_body(path, value, f"should match '{text}'"))
        except Undecided as error:
            errors.append(_in_body(path, value, f"should match '{text}', which is not known: {error}"))

    return check


def _format(schema: Schema) -> Check:
    name = schema["format"]
    good = FORMATS.get(name)

    def check(value: Any, path: str, errors: Errors) -> None:
        if good is not None and type(value) is str and not good(value):
            text = f"{path} in body must be of type {name}: {shown(value)}"
            errors.append(FieldError("FieldValueTypeInvalid", path, f"Invalid value: {shown(value)}: {text}"))

    return check


def _max_length(schema: Schema) -> Check:
    most = schema["maxLength"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is str and len(value) > most:
            errors.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {most} bytes"))

    return check


def _min_length(schema: Schema) -> Check:
    least = schema["minLength"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is str and len(value) < least:
            errors.append(_in_body(path, value, f"should be at least {least} chars long"))

    return check


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _number_text(bound: float) -> str:
    return f"{bound:.0f}" if float(bound).is_integer() else str(bound)


def _maximum(schema: Schema) -> Check:
    most, exclusive = schema["maximum"], bool(schema.get("exclusiveMaximum"))
    text = f"should be less than {'' if exclusive else 'or equal to '}{_number_text(most)}"

    def check(value: Any, path: str, errors: Errors) -> None:
        if _is_number(value) and (value >= most if exclusive else value > most):
            errors.append(_in_body(path, value, text))

    return check


def _minimum(schema: Schema) -> Check:
    least, exclusive = schema["minimum"], bool(schema.get("exclusiveMinimum"))
    text = f"should be greater than {'' if exclusive else 'or equal to '}{_number_text(least)}"

    def check(value: Any, path: str, errors: Errors) -> None:
        if _is_number(value) and (value <= least if exclusive else value < least):
            errors.append(_in_body(path, value, text))

    return check


def _multiple_of(schema: Schema) -> Check:
    factor = schema["multipleOf"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if _is_number(value) and abs(value / factor - round(value / factor)) > 1e-9:
            errors.append(_in_body(path, value, f"should be a multiple of {_number_text(factor)}"))

    return check


def _max_items(schema: Schema) -> Check:
    most = schema["maxItems"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is list and len(value) > most:
            errors.append(too_many(path, len(value), most))

    return check


def _min_items(schema: Schema) -> Check:
    least = schema["minItems"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is list and len(value) < least:
            errors.append(_in_body(path, len(value), f"should have at least {least} items"))

    return check


def _max_properties(schema: Schema) -> Check:
    most = schema["maxProperties"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is dict and len(value) > most:
            errors.append(too_many(path, len(value), most))

    return check


def _min_properties(schema: Schema) -> Check:
    least = schema["minProperties"]

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is dict and len(value) < least:
            errors.append(_in_body(path, value, f"should have at least {least} properties"))

    return check


def list_type(schema: Schema) -> Check:
    """That no item is there twice, where the list is a set or a map."""
    if schema["x-kubernetes-list-type"] == "set":
        return _unique(lambda item: item)
    if schema["x-kubernetes-list-type"] != "map":
        return lambda value, path, errors: None
    keys = schema.get("x-kubernetes-list-map-keys", ())
    return _unique(lambda item: {key: item.get(key) for key in keys} if isinstance(item, dict) else item)


def _unique(identity: Callable[[Any], Any]) -> Check:
    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is not list:
            return
        seen: set[str] = set()
        for index, item in enumerate(value):
            text = shown(identity(item))
            if text in seen:
                errors.append(duplicate(f"{path}[{index}]", identity(item)))
            seen.add(text)

    return check


KEYWORDS: dict[str, Callable[[Schema], Check]] = {
    "maxLength": _max_length,
    "minLength": _min_length,
    "pattern": _pattern,
    "format": _format,
    "maximum": _maximum,
    "minimum": _minimum,
    "multipleOf": _multiple_of,
    "maxItems": _max_items,
    "minItems": _min_items,
    "maxProperties": _max_properties,
    "minProperties": _min_properties,
    "enum": _enum,
    "required": _required,
}
"""By the keyword that asks for it, in the order in which errors are listed."""
