"""The value checks of a schema, as a function that lists every error.

Wording and causes are those that upstream's validator gives for custom resources
(k8s.io/apiextensions-apiserver/pkg/apiserver/validation over k8s.io/kube-openapi/pkg/validation).
Expressions (`x-kubernetes-validations`) are not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api.custom.formats import FORMATS
from controlplane.api.custom.patterns import compile_matcher
from controlplane.api.custom.schema import Schema
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, not_supported, required, shown, too_many

Errors = list[FieldError]
Check = Callable[[Any, str, Errors], None]
"""Takes a value, its path and the list of errors to add to."""

NOWHERE = "<nil>"
"""What upstream prints for the path of an error in a combination of schemas."""

_TYPES: dict[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}


def compile_checks(schema: Schema) -> Check:
    """The checks of one schema, nested ones included."""
    checks = [make(schema) for key, make in _CHECKS.items() if key in schema]
    wanted = _wanted_types(schema)
    nullable = bool(schema.get("nullable"))

    def check(value: Any, path: str, errors: Errors) -> None:
        if value is None and nullable:
            return
        if wanted:
            found = _TYPES[type(value)]
            if found not in wanted and not (found == "number" and "integer" in wanted and value.is_integer()):
                errors.append(_wrong_type(path, wanted[0] if len(wanted) == 1 else ",".join(wanted[:2]), found))
        for one in checks:
            one(value, path, errors)

    return check


def _wanted_types(schema: Schema) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    kind = schema.get("type", "")
    return ("number", "integer") if kind == "number" else (kind,) if kind else ()


def _wrong_type(path: str, wanted: str, found: str) -> FieldError:
    wanted = "number" if wanted == "number,integer" else wanted
    text = f'{path} in body must be of type {wanted}: "{found}"'
    return FieldError("FieldValueTypeInvalid", path, f'Invalid value: "{found}": {text}')


def _in_body(path: str, value: Any, what: str) -> FieldError:
    return invalid(path, value, f"{path} in body {what}")


def _properties(schema: Schema) -> Check:
    checks = {name: compile_checks(inner) for name, inner in schema["properties"].items() if name != "metadata"}

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is dict:
            for name, one in checks.items():
                if name in value:
                    one(value[name], f"{path}.{name}" if path else name, errors)

    return check


def _values(schema: Schema) -> Check:
    values = schema["additionalProperties"]
    known = schema.get("properties", {})
    one = compile_checks(values) if isinstance(values, dict) else None

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is dict and one is not None:
            for name, item in value.items():
                if name not in known:
                    one(item, f"{path}.{name}" if path else name, errors)

    return check


def _items(schema: Schema) -> Check:
    one = compile_checks(schema["items"])

    def check(value: Any, path: str, errors: Errors) -> None:
        if type(value) is list:
            for index, item in enumerate(value):
                one(item, f"{path}[{index}]", errors)

    return check


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
        if type(value) is str and not matches(value):
            errors.append(_in_body(path, value, f"should match '{text}'"))

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


def _list_type(schema: Schema) -> Check:
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


def _all_of(schema: Schema) -> Check:
    checks = [compile_checks(one) for one in schema["allOf"]]

    def check(value: Any, path: str, errors: Errors) -> None:
        before = len(errors)
        for one in checks:
            one(value, path, errors)
        if len(errors) > before:
            errors.append(_combined(path, "must validate all the schemas (allOf)"))

    return check


def _any_of(schema: Schema) -> Check:
    checks = [compile_checks(one) for one in schema["anyOf"]]

    def check(value: Any, path: str, errors: Errors) -> None:
        found = _alternatives(checks, value, path)
        if all(found):
            errors += _best(found)
            errors.append(_combined(path, "must validate at least one schema (anyOf)"))

    return check


def _one_of(schema: Schema) -> Check:
    checks = [compile_checks(one) for one in schema["oneOf"]]

    def check(value: Any, path: str, errors: Errors) -> None:
        found = _alternatives(checks, value, path)
        valid = sum(not one for one in found)
        if valid == 1:
            return
        if not valid:
            errors += _best(found)
        why = f"Found {valid} valid alternatives" if valid else "Found none valid"
        errors.append(_combined(path, f"must validate one and only one schema (oneOf). {why}"))

    return check


def _not(schema: Schema) -> Check:
    unwanted = compile_checks(schema["not"])

    def check(value: Any, path: str, errors: Errors) -> None:
        if not _alternatives([unwanted], value, path)[0]:
            errors.append(_combined(path, "must not validate the schema (not)"))

    return check


def _alternatives(checks: list[Check], value: Any, path: str) -> list[Errors]:
    results: list[Errors] = []
    for check in checks:
        errors: Errors = []
        check(value, path, errors)
        results.append(errors)
    return results


def _best(alternatives: list[Errors]) -> Errors:
    """The errors of the alternative that comes nearest."""
    return min(alternatives, key=lambda errors: len(errors))


def _combined(path: str, what: str) -> FieldError:
    return invalid(NOWHERE, "", f'"{path}" {what}')


_CHECKS: dict[str, Callable[[Schema], Check]] = {
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
    "properties": _properties,
    "additionalProperties": _values,
    "items": _items,
    "x-kubernetes-list-type": _list_type,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
"""By the keyword that asks for it, in the order in which errors are listed."""
