"""`matchConditions`: expressions over a request that all have to hold for a webhook to be asked.

They see `object`, `oldObject` and `request`. `authorizer` is not there: a condition that uses it, or a
function that is not implemented, is warned about and taken for true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from controlplane.api.cel import CelSyntaxError, CelUnsupported, Evaluate, compile_expression
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid

Condition = tuple[str, Evaluate]


def condition_errors(conditions: Iterable[Mapping[str, Any]], path: str) -> Iterator[FieldError]:
    """The conditions that are no expressions."""
    for index, condition in enumerate(conditions):
        text = condition.get("expression", "")
        try:
            compile_expression(text)
        except CelSyntaxError as error:
            yield invalid(f"{path}[{index}].expression", text, f"compilation failed: ERROR: <input>:1:1: {error}")
        except CelUnsupported:
            continue


def condition_warnings(conditions: Iterable[Mapping[str, Any]], path: str) -> Iterator[str]:
    """What conditions use that is not implemented, a text for each."""
    for index, condition in enumerate(conditions):
        try:
            compile_expression(condition.get("expression", ""))
        except CelSyntaxError:
            continue
        except CelUnsupported as error:
            yield f"{path}[{index}]: not evaluated by netsim, which lacks {error}"


def compile_conditions(conditions: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """The conditions that can be evaluated, by their names."""
    found = []
    for condition in conditions:
        try:
            found.append((condition.get("name", ""), compile_expression(condition.get("expression", ""))))
        except (CelSyntaxError, CelUnsupported):
            continue
    return tuple(found)
