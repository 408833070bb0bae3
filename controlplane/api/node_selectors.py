"""Node selector terms, the selector language of node affinity; the scheduler and the DaemonSet controller ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Labels = Mapping[str, str]
Expression = Mapping[str, Any]


def matches_terms(terms: Sequence[Mapping[str, Any]], name: str, labels: Labels) -> bool:
    """Whether any of the node selector terms fits a node; a term that asks nothing fits none."""
    return any(matches_term(term, name, labels) for term in terms)


def matches_term(term: Mapping[str, Any], name: str, labels: Labels) -> bool:
    """Whether one node selector term fits the node of that name and labels."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    node_fields = {"metadata.name": name}
    return all(_matches(labels, one) for one in expressions) and all(_matches(node_fields, one) for one in fields)


def _matches(labels: Labels, expression: Expression) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt":
            return _compare(labels.get(key), values) > 0
        case "Lt":
            return _compare(labels.get(key), values) < 0
    return False


def _compare(text: str | None, values: Sequence[str]) -> int:
    """The sign of label minus value; 0, which fits neither Gt nor Lt, where either is no number."""
    try:
        difference = int(text or "") - int(values[0])
    except (ValueError, IndexError):
        return 0
    return (difference > 0) - (difference < 0)
