"""Label selectors of the `matchLabels` and `matchExpressions` form, compiled once, asked often.

An empty selector matches everything and an absent one nothing, as upstream's
LabelSelectorAsSelector has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Labels = Mapping[str, str]
Matcher = Callable[[Labels], bool]


def compile_selector(selector: Mapping[str, Any] | None) -> Matcher:
    """The test that a `metav1.LabelSelector` stands for."""
    if selector is None:
        return lambda labels: False
    wanted = selector.get("matchLabels") or {}
    expressions = [_compile_expression(expression) for expression in selector.get("matchExpressions") or ()]
    if not expressions:
        return equality(wanted)
    equal = equality(wanted)
    return lambda labels: equal(labels) and all(expression(labels) for expression in expressions)


def equality(wanted: Labels) -> Matcher:
    """The test of a plain map selector, such as a Service's: every pair is present."""
    pairs = wanted.items()
    return lambda labels: pairs <= labels.items()


def is_empty(selector: Mapping[str, Any] | None) -> bool:
    """Whether a selector is present and selects everything."""
    return selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions")


def _compile_expression(expression: Mapping[str, Any]) -> Matcher:
    key, operator = expression["key"], expression["operator"]
    values = frozenset(expression.get("values") or ())
    match operator:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
    raise ValueError(f"{operator!r} is not a valid label selector operator")
