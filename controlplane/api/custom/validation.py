"""The value checks of a schema, as a function that lists every error.

Wording and causes are those that upstream's validator gives for custom resources
(k8s.io/apiextensions-apiserver/pkg/apiserver/validation over k8s.io/kube-openapi/pkg/validation).
What single keywords ask for is in `keywords.py`; expressions (`x-kubernetes-validations`) are not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api.custom.keywords import KEYWORDS, Check, Errors, list_type
from controlplane.api.custom.schema import Schema
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid

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


_CHECKS: dict[str, Callable[[Schema], Check]] = KEYWORDS | {
    "properties": _properties,
    "additionalProperties": _values,
    "items": _items,
    "x-kubernetes-list-type": list_type,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
"""By the keyword that asks for it, in the order in which errors are listed."""
