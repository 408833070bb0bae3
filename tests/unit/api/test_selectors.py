"""Selectors: what they take, and upstream's words for what cannot be parsed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.errors import BadRequest
from controlplane.api.kinds import CONFIG_MAP, POD
from controlplane.api.selectors import (
    compile_labels,
    compile_selector,
    format_selector,
    parse_fields,
    validate_selector,
)

LABELS = {"app": "web", "tier": "front", "weight": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier = front", True),
        ("app=api", False),
        ("app!=api", True),
        ("missing!=x", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("app in (web, api)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("missing notin (a)", True),
        ("missing in (a)", False),
        ("empty=", True),
        ("empty in (,a)", True),
        ("weight>4", True),
        ("weight<5", False),
        ("app>4", False),
        ("app in (web),tier notin (back),!x,weight>1", True),
    ],
)
def test_labels(text: str, taken: bool) -> None:
    assert compile_labels(text)(LABELS) is taken


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("app web", "found 'web', expected: in, notin, =, ==, !=, gt, lt"),
        ("app=web,", "found '', expected: identifier after ','"),
        ("=web", "found '=', expected: identifier"),
        ("app in web", "found 'web', expected: '('"),
        ("app in (web", "expected: ',', or ')'"),
        ("app=a b", "found 'b', expected: ',' or 'end of string'"),
        ("-x=1", 'key: Invalid value: "-x": name part must consist of alphanumeric characters'),
        ("app=-x", 'values[0][app]: Invalid value: "-x": a valid label must be an empty string or consist of'),
        ("app>x", "values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
    ],
)
def test_labels_that_cannot_be_parsed(text: str, problem: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(problem)) as caught:
        compile_labels(text)
    assert caught.value.message.startswith("unable to parse requirement: ")


def test_selector_objects() -> None:
    assert not compile_selector(None)(LABELS)
    assert compile_selector({})(LABELS)
    both = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "back"]},
            {"key": "old", "operator": "DoesNotExist"},
            {"key": "weight", "operator": "Exists"},
            {"key": "tier", "operator": "NotIn", "values": ["back"]},
        ],
    }
    assert compile_selector(both)(LABELS)
    assert not compile_selector(both)(LABELS | {"old": "1"})
    assert format_selector(both) == "app=web,!old,tier in (back,front),tier notin (back),weight"
    assert format_selector({}) == format_selector(None) == "<none>"


def test_wrong_selector_objects() -> None:
    selector = {
        "matchLabels": {"a b": "x"},
        "matchExpressions": [
            {"key": "a", "operator": "In"},
            {"key": "a", "operator": "Exists", "values": ["x"]},
            {"key": "", "operator": "Near"},
        ],
    }
    found = [str(error) for error in validate_selector(selector, "spec.selector")]
    assert found[0].startswith('spec.selector.matchLabels: Invalid value: "a b": name part must consist of')
    assert found[1:4] == [
        "spec.selector.matchExpressions[0].values: Required value: "
        "must be specified when `operator` is 'In' or 'NotIn'",
        "spec.selector.matchExpressions[1].values: Forbidden: "
        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        'spec.selector.matchExpressions[2].operator: Invalid value: "Near": not a valid selector operator',
    ]


def test_fields(create: Callable[..., Any], pod: Callable[..., Any]) -> None:
    obj = create(POD, pod(nodeName="node-1"))
    taken = ("", "spec.nodeName=node-1", "spec.nodeName!=node-2,status.phase=Pending", "metadata.name==web")
    assert all(parse_fields(POD, text).matches(obj) for text in taken)
    assert not any(parse_fields(POD, text).matches(obj) for text in ("spec.nodeName=", "metadata.namespace=other"))
    assert parse_fields(POD, "status.phase!=Running,metadata.name=web").exact("metadata.name") == "web"
    assert parse_fields(POD, "metadata.name!=web").exact("metadata.name") is None


def test_fields_that_cannot_be_selected_by() -> None:
    with pytest.raises(BadRequest, match=r"^field label not supported: spec.foo$"):
        parse_fields(POD, "spec.foo=1")
    with pytest.raises(BadRequest) as caught:
        parse_fields(CONFIG_MAP, "data=1")
    assert caught.value.message == '"data" is not a known field selector: only "metadata.name", "metadata.namespace"'
    with pytest.raises(BadRequest, match="invalid selector: 'x'; can't understand 'x'"):
        parse_fields(POD, "x")
