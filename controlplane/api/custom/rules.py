"""`x-kubernetes-validations`: rules in the Common Expression Language, run after the other checks.

A rule sees its value as `self` and, in an update, what was there before as `oldSelf`; rules that speak
of `oldSelf` are only run where there is such a value. Wording follows upstream's
k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel. Types are not checked when a definition is
made, and what a format says of a string (that it is a time) is not known to rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from controlplane.api.cel import (
    Budget,
    CelCost,
    CelError,
    CelSyntaxError,
    CelUnsupported,
    Evaluate,
    compile_expression,
)
from controlplane.api.cel.values import NO_OVERLOAD, NONE, Optional
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid

Schema = Mapping[str, Any]
Check = Callable[[Any, Any, str, list[FieldError], Budget], None]
"""Takes a value, the one before (None: there was none), its path, the errors to add to, and what it may cost."""

NOWHERE = "<nil>"
NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete"
    " validation"
)

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
TOO_COSTLY = "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {message}"
NO_SUCH_CALL = (
    "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {message}"
)

_OLD = re.compile(r"\boldSelf\b")


def rule_errors(schema: Schema, path: str) -> Iterator[FieldError]:
    """The rules of a definition's schema that are no expressions."""
    for rule, place in _rules(schema, path):
        for name in ("rule", "messageExpression"):
            try:
                if rule.get(name):
                    compile_expression(rule[name])
            except CelSyntaxError as error:
                yield invalid(f"{place}.{name}", rule[name], f"compilation failed: ERROR: <input>:1:1: {error}")
            except CelUnsupported:
                continue


def unsupported_rules(schema: Schema, path: str) -> Iterator[str]:
    """What rules use that is not implemented, one text for each: they are not run."""
    for rule, place in _rules(schema, path):
        try:
            compile_expression(rule.get("rule", ""))
        except CelSyntaxError:
            continue
        except CelUnsupported as error:
            yield f"{place}: not evaluated by netsim, which lacks {error}"


def compile_rules(schema: Schema) -> Check | None:
    """The rules of a schema and of everything in it; None where there are none."""
    own = [found for rule in schema.get("x-kubernetes-validations", ()) if (found := _rule(schema, rule)) is not None]
    fields = {name: inner for name, one in schema.get("properties", {}).items() if (inner := compile_rules(one))}
    values, items = schema.get("additionalProperties"), schema.get("items")
    each_value = compile_rules(values) if isinstance(values, dict) else None
    each_item = compile_rules(items) if isinstance(items, dict) else None
    keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    if not (own or fields or each_value or each_item):
        return None

    def check(value: Any, old: Any, path: str, errors: list[FieldError], budget: Budget) -> None:
        for rule in own:
            rule(value, old, path, errors, budget)
        before = old if isinstance(old, dict) else {}
        if isinstance(value, dict):
            for name, inner in fields.items():
                if name in value:
                    inner(value[name], before.get(name), f"{path}.{name}" if path else name, errors, budget)
            if each_value is not None:
                for name, item in value.items():
                    each_value(item, before.get(name), f"{path}[{name}]", errors, budget)
        elif isinstance(value, list) and each_item is not None:
            earlier = _by_key(old, keys)
            for index, item in enumerate(value):
                each_item(item, earlier.get(_key(item, keys)), f"{path}[{index}]", errors, budget)

    return check


def _rule(schema: Schema, rule: Mapping[str, Any]) -> Check | None:
    text = rule.get("rule", "")
    try:
        run = compile_expression(text)
        told = compile_expression(rule["messageExpression"]) if rule.get("messageExpression") else None
    except (CelSyntaxError, CelUnsupported):
        return None
    message = rule.get("message", "").strip() or f"failed rule: {text.strip()}"
    of_update, optional = _OLD.search(text) is not None, bool(rule.get("optionalOldSelf"))
    kind = schema.get("type", "")

    def check(value: Any, old: Any, path: str, errors: list[FieldError], budget: Budget) -> None:
        if (of_update and old is None and not optional) or budget.spent:
            return
        before = (Optional(old, True) if old is not None else NONE) if optional else old
        variables = {"self": value, "oldSelf": before}
        place = (path + rule.get("fieldPath", "")).removeprefix(".") or NOWHERE
        try:
            if run(variables, budget) is True:
                return
            said = _told(told, variables, budget) or message
        except CelCost as error:
            said = OUT_OF_BUDGET if error.of_all else TOO_COSTLY.format(error=error, message=message)
        except CelError as error:
            said = f"{error} evaluating rule: {message}"
            if str(error) == NO_OVERLOAD:
                said = NO_SUCH_CALL.format(error=error, message=message)
        errors.append(_error(rule.get("reason", ""), place, kind, said))

    return check


def _told(told: Evaluate | None, variables: Mapping[str, Any], budget: Budget) -> str:
    """What the message expression says; nothing where it fails, or says what is no message."""
    if told is None:
        return ""
    try:
        found = told(variables, budget)
    except CelError:
        return ""
    return found.strip() if isinstance(found, str) and "\n" not in found.strip() else ""


def _error(reason: str, path: str, kind: str, said: str) -> FieldError:
    match reason:
        case "FieldValueForbidden":
            return FieldError(reason, path, f"Forbidden: {said}")
        case "FieldValueRequired":
            return FieldError(reason, path, f"Required value: {said}")
        case "FieldValueDuplicate":
            return FieldError(reason, path, f'Duplicate value: "{kind}"')
    return FieldError("FieldValueInvalid", path, f'Invalid value: "{kind}": {said}')


def _by_key(old: Any, keys: tuple[str, ...]) -> dict[Any, Any]:
    """Items by their keys; those of lists without keys have no counterpart."""
    if not keys or not isinstance(old, list):
        return {}
    return {_key(item, keys): item for item in old}


def _key(item: Any, keys: tuple[str, ...]) -> Any:
    return repr([item.get(key) for key in keys]) if keys and isinstance(item, dict) else None


def _rules(schema: Schema, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for index, rule in enumerate(schema.get("x-kubernetes-validations", ())):
        yield rule, f"{path}.x-kubernetes-validations[{index}]"
    for name, inner in schema.get("properties", {}).items():
        yield from _rules(inner, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from _rules(schema[name], f"{path}.{name}")
