"""Selections from the texts of labelSelector and fieldSelector."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.selectors import compile_labels, parse_fields
from controlplane.api.types import Kind, Object
from controlplane.server import versions
from controlplane.server.watching import EVERYTHING, Selection


def selection_of(kind: Kind, label_selector: str, field_selector: str) -> Selection:
    """What both selectors take; BadRequest when one cannot be parsed or names an unknown field."""
    conditions: list[Callable[[Object], bool]] = []
    name = ""
    if field_selector:
        fields = parse_fields(kind, field_selector)
        name = fields.exact("metadata.name") or ""
        if not name or len(fields.terms) > 1:
            conditions.append(_converted(kind, fields.matches))
    if label_selector:
        labels = compile_labels(label_selector)
        conditions.append(lambda obj: labels(obj["metadata"].get("labels", {})))
    if not conditions:
        return Selection(name) if name else EVERYTHING
    if len(conditions) == 1:
        return Selection(name, conditions[0])
    return Selection(name, lambda obj: all(condition(obj) for condition in conditions))


def _converted(kind: Kind, matches: Callable[[Object], bool]) -> Callable[[Object], bool]:
    """`matches` of an object of `kind`, as a condition on what is stored."""
    return matches if kind.conversion is None else lambda obj: matches(versions.shown_object(kind, obj))
