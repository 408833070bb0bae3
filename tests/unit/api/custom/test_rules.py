"""What is said of an object whose rules fail in their evaluation, or cost too much."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.custom.kind import CustomSchema

NUMBERS = {"type": "array", "items": {"type": "integer"}}
SQUARE = "self.all(a, self.all(b, a + b > -1))"


def said(*rules: str, numbers: list[int]) -> list[str]:
    """The errors of an object whose list `numbers` has `rules`."""
    validations = [{"rule": rule} for rule in rules]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"numbers": NUMBERS | {"x-kubernetes-validations": validations}},
    }
    return [error.body for error in CustomSchema(schema).errors({"numbers": numbers})]


def test_a_rule_that_costs_too_much_is_the_last() -> None:
    (only,) = said(SQUARE, "false", numbers=list(range(400)))
    assert only.startswith("Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further")
    assert only.endswith(f"due to call cost exceeds limit for rule: failed rule: {SQUARE}")


def test_rules_that_cost_too_much_together_are_not_all_run() -> None:
    (only,) = said(*[SQUARE] * 50, numbers=list(range(150)))
    assert "validation failed due to running out of cost budget, no further validation rules will be run" in only


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("self[0] + 'a' == 1", "'no such overload': call arguments did not match a supported operator"),
        ("self[9] == 1", "index out of bounds: 9 evaluating rule: failed rule: self[9] == 1"),
    ],
)
def test_a_rule_that_has_no_value_says_why(rule: str, why: str) -> None:
    (only,) = said(rule, numbers=[1])
    assert why in only


def test_what_a_stricter_definition_would_not_take_any_more_may_stay() -> None:
    """Else nothing of such an object could be changed, and its finalizers never be removed."""
    rule = {"rule": "self.size < 9", "message": "too large"}
    properties = {"size": {"type": "integer"}, "names": {"type": "array", "minItems": 1, "items": {"type": "string"}}}
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": [rule]}
    schema = CustomSchema({"type": "object", "properties": {"spec": spec, "labels": {"type": "string"}}})
    before = {"spec": {"size": 1, "names": []}}
    assert schema.errors({**before, "labels": "x"}, before) == []
    assert [error.body for error in schema.errors({"spec": {"size": 9, "names": []}}, before)] == [
        'Invalid value: "object": too large'
    ]
    assert len(schema.errors(before)) == 2, "a new one has what is wrong, and that rules were not run"
