"""Label and field selectors, compiled once and then asked for each object.

The grammar and the texts of errors are those of k8s.io/apimachinery/pkg/labels and pkg/fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from controlplane.api import meta, names
from controlplane.api.errors import BadRequest, FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, required
from controlplane.api.types import Kind, Object

Labels = Mapping[str, str]
LabelPredicate = Callable[[Labels], bool]

_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^=!<>(),\s]+)")
_OPERATORS = "in, notin, =, ==, !=, gt, lt"


class Requirement(NamedTuple):
    """One term of a label selector; `operator` is =, !=, in, notin, exists, !, > or <."""

    key: str
    operator: str
    values: frozenset[str]

    def matches(self, labels: Labels) -> bool:
        """Whether `labels` satisfy this term."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not re.fullmatch(r"[+-]?[0-9]+", value):
            return False
        bound = int(next(iter(self.values)))
        return int(value) > bound if self.operator == ">" else int(value) < bound


def parse_labels(text: str) -> list[Requirement]:
    """The terms of a label selector such as "app=web,tier in (a,b),!old"; BadRequest when it is none."""
    tokens = _TOKEN.findall(text)
    if not tokens:
        return []
    requirements, position = [], 0
    while True:
        requirement, position = _requirement(tokens, position)
        requirements.append(requirement)
        if position == len(tokens):
            return requirements
        if tokens[position] != ",":
            raise _unparsable(tokens[position], "',' or 'end of string'")
        position += 1
        if position == len(tokens):
            raise _unparsable("", "identifier after ','")


def compile_labels(text: str) -> LabelPredicate:
    """A predicate on labels for a selector text; the empty text takes everything."""
    return _all_of(parse_labels(text))


def compile_selector(selector: Mapping[str, Any] | None) -> LabelPredicate:
    """A predicate on labels for a `LabelSelector` object: None takes nothing, an empty one everything."""
    if selector is None:
        return lambda labels: False
    wanted = [Requirement(key, "=", frozenset((value,))) for key, value in selector.get("matchLabels", {}).items()]
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    for term in selector.get("matchExpressions", ()):
        wanted.append(Requirement(term["key"], operators[term["operator"]], frozenset(term.get("values", ()))))
    return _all_of(wanted)


def format_selector(selector: Mapping[str, Any] | None) -> str:
    """A `LabelSelector` object as printed in tables and in Scale: "app=web,tier in (a,b)".

    A ReplicationController's selector, a plain map of labels, is printed the same way.
    """
    if selector is None:
        return "<none>"
    if all(isinstance(value, str) for value in selector.values()):
        selector = {"matchLabels": selector}
    terms = [(key, f"{key}={value}") for key, value in selector.get("matchLabels", {}).items()]
    for term in selector.get("matchExpressions", ()):
        key, values = term["key"], ",".join(sorted(term.get("values", ())))
        shown = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append((key, shown.get(term["operator"], f"!{key}")))
    return ",".join(text for _, text in sorted(terms)) or "<none>"


def validate_selector(selector: Mapping[str, Any], path: str) -> list[FieldError]:
    """Every error in a `LabelSelector` object."""
    errors = meta.validate_labels(selector.get("matchLabels", {}), f"{path}.matchLabels")
    for index, term in enumerate(selector.get("matchExpressions", ())):
        errors += _validate_expression(term, f"{path}.matchExpressions[{index}]")
    return errors


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A compiled field selector of one kind: `terms` are (field, whether equal, value)."""

    kind: Kind
    terms: tuple[tuple[str, bool, str], ...]

    def matches(self, obj: Object) -> bool:
        """Whether the fields of `obj` satisfy every term."""
        if not self.terms:
            return True
        fields: Mapping[str, str] | None = None
        for name, equal, value in self.terms:
            if name.startswith("metadata."):
                found = obj["metadata"].get(name[9:], "")
            else:
                fields = fields if fields is not None else self.kind.strategy.fields(obj)
                found = fields[name]
            if (found == value) is not equal:
                return False
        return True

    def exact(self, field: str) -> str | None:
        """The value that `field` must have, None when more than one is possible."""
        return next((value for name, equal, value in self.terms if equal and name == field), None)


def parse_fields(kind: Kind, text: str) -> FieldSelector:
    """The field selector `text` for `kind`, e.g. "spec.nodeName=node-1"; BadRequest when it is none."""
    own = kind.strategy.fields({"apiVersion": kind.api_version, "kind": kind.name, "metadata": {}})
    terms = []
    for term in re.findall(r"(?:\\.|[^,\\])+", text):
        name, operator, value = _split_field(term)
        if name not in ("metadata.name", "metadata.namespace") and name not in own:
            raise BadRequest(
                f"field label not supported: {name}"
                if own
                else f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
        terms.append((name, operator != "!=", re.sub(r"\\([\\,=])", r"\1", value)))
    return FieldSelector(kind, tuple(terms))


def _all_of(requirements: list[Requirement]) -> LabelPredicate:
    if all(one.operator == "=" for one in requirements):
        pairs = [(one.key, next(iter(one.values))) for one in requirements]
        return lambda labels: all(labels.get(key) == value for key, value in pairs)
    return lambda labels: all(one.matches(labels) for one in requirements)


def _requirement(tokens: list[str], position: int) -> tuple[Requirement, int]:
    token = tokens[position]
    position += 1
    if token == "!":
        key = tokens[position] if position < len(tokens) else ""
        return Requirement(_key(key), "!", frozenset()), position + 1
    key = _key(token)
    if position == len(tokens) or tokens[position] == ",":
        return Requirement(key, "exists", frozenset()), position
    operator = tokens[position]
    position += 1
    if operator in ("in", "notin"):
        values, position = _values(tokens, position)
    elif operator in ("=", "==", "!=", ">", "<"):
        following = tokens[position] if position < len(tokens) else ","
        values = {"" if following == "," else following}
        position += following != ","
    else:
        raise _unparsable(operator, _OPERATORS)
    _check_values(key, operator, values)
    return Requirement(key, "=" if operator == "==" else operator, frozenset(values)), position


def _key(token: str) -> str:
    if not token or token in "=!<>(),==!=":
        raise _unparsable(token, "identifier")
    wrong = names.label_key(token)
    if wrong:
        raise BadRequest(f"unable to parse requirement: {invalid('key', token, '; '.join(wrong))}")
    return token


def _values(tokens: list[str], position: int) -> tuple[set[str], int]:
    if position == len(tokens) or tokens[position] != "(":
        raise _unparsable(tokens[position] if position < len(tokens) else "", "'('")
    end = next((i for i in range(position, len(tokens)) if tokens[i] == ")"), None)
    if end is None:
        raise _unparsable("", "',', or ')'")
    values, last = set(), ","
    for token in tokens[position + 1 : end]:
        if token == "," and last == ",":
            values.add("")
        elif token != ",":
            if last != ",":
                raise _unparsable(token, "',', or ')'")
            values.add(token)
        last = token
    if last == ",":
        values.add("")
    return values, end + 1


def _check_values(key: str, operator: str, values: set[str]) -> None:
    if operator in "<>":
        if not re.fullmatch(r"[+-]?[0-9]+", next(iter(values))):
            text = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise BadRequest(f"unable to parse requirement: {invalid('values[0]', next(iter(values)), text)}")
        return
    for index, value in enumerate(sorted(values)):
        wrong = names.label_value(value)
        if wrong:
            raise BadRequest(
                f"unable to parse requirement: {invalid(f'values[{index}][{key}]', value, '; '.join(wrong))}"
            )


def _unparsable(found: str, expected: str) -> BadRequest:
    return BadRequest(f"unable to parse requirement: found '{found}', expected: {expected}")


def _validate_expression(term: Mapping[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, values = term.get("operator", ""), term.get("values")
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden(f"{path}.values", text))
    else:
        errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    errors += invalid_each(f"{path}.key", term.get("key", ""), names.label_key(term.get("key", "")))
    for index, value in enumerate(values or ()):
        errors += invalid_each(f"{path}.values[{index}]", value, names.label_value(value))
    return errors


def _split_field(term: str) -> tuple[str, str, str]:
    match = re.match(r"((?:\\.|[^=!\\])*)(!=|==|=)(.*)", term, re.DOTALL)
    if match is None:
        raise BadRequest(f"invalid selector: '{term}'; can't understand '{term}'")
    return match[1], match[2], match[3]
