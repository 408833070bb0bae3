"""Schemas of custom resources: pruning, defaults, checks and their wording."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import openapi
from controlplane.api.custom import definition
from controlplane.api.custom.defaults import compile_defaults
from controlplane.api.custom.kind import kinds_of
from controlplane.api.custom.patterns import UnsupportedPattern, compile_pattern
from controlplane.api.custom.schema import compile_root, compile_schema
from controlplane.api.custom.structural import schema_errors
from controlplane.api.custom.validation import compile_checks
from controlplane.api.decode import decode_object
from controlplane.api.errors import BadRequest
from controlplane.api.fieldset import leaves
from controlplane.api.kinds import CUSTOM_RESOURCE_DEFINITION
from controlplane.api.schema import Decoding
from controlplane.api.scheme import Scheme
from tests.api.crds import version, widgets

STRING: dict[str, Any] = {"type": "string"}
FREE: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def pruned(schema: dict[str, Any], value: Any) -> tuple[Any, list[str]]:
    node, decoding = compile_schema(schema), Decoding()
    if node.check(value):
        return value, []
    return node.decode(value, "", decoding), decoding.unknown


def errors(schema: dict[str, Any], value: Any, path: str = "spec") -> list[str]:
    found: list[Any] = []
    compile_checks(schema)(value, path, found)
    return [str(error) for error in found]


@pytest.mark.parametrize(
    ("schema", "value", "kept", "unknown"),
    [
        (obj(a=STRING), {"a": "x", "b": 1}, {"a": "x"}, ["b"]),
        (obj(a=obj(b=STRING)), {"a": {"b": "x", "c": {}}}, {"a": {"b": "x"}}, ["a.c"]),
        (
            obj(a={"type": "array", "items": obj(b=STRING)}),
            {"a": [{"b": "x"}, {"c": 1}]},
            {"a": [{"b": "x"}, {}]},
            ["a[1].c"],
        ),
        (FREE, {"a": {"b": None}}, {"a": {"b": None}}, []),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": obj(b=STRING)}},
            {"a": {"c": 1}, "d": 1},
            {"a": {}, "d": 1},
            ["a.c"],
        ),
        (
            {"type": "object", "additionalProperties": obj(a=STRING)},
            {"k": {"a": "x", "b": 1}},
            {"k": {"a": "x"}},
            ["k.b"],
        ),
        ({"x-kubernetes-int-or-string": True}, 5, 5, []),
        (obj(a=STRING), {"a": 5}, {"a": 5}, []),
        (obj(a={**STRING, "nullable": True}, b=STRING), {"a": None, "b": None}, {"a": None}, []),
        ({"type": "object", "additionalProperties": STRING}, {"a": None, "b": "x"}, {"b": "x"}, []),
        (obj(a={"type": "array", "items": STRING}, b=FREE), {"a": [], "b": {}}, {"a": [], "b": {}}, []),
    ],
)
def test_what_the_schema_does_not_know_goes(schema: dict[str, Any], value: Any, kept: Any, unknown: list[str]) -> None:
    assert pruned(schema, value) == (kept, unknown)


def test_what_is_pruned_is_as_it_is_stored() -> None:
    node = compile_root(obj(spec=obj(a=STRING)))
    value = {"apiVersion": "e/v1", "kind": "W", "metadata": {"name": "w", "bad": 1}, "spec": {"b": 1}, "junk": {}}
    decoding = Decoding()
    stored = node.decode(value, "", decoding)
    assert stored == {"apiVersion": "e/v1", "kind": "W", "metadata": {"name": "w"}, "spec": {}}
    assert decoding.unknown == ["metadata.bad", "spec.b", "junk"]
    assert node.check(stored)
    assert not node.check(value)


def test_an_embedded_object_keeps_its_identity() -> None:
    schema = obj(template={**obj(spec=FREE), "x-kubernetes-embedded-resource": True})
    value = {"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "odd": 1}, "spec": {"x": 1}}}
    kept, unknown = pruned(schema, value)
    assert kept == {"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}}}
    assert unknown == ["template.metadata.odd"]


def test_defaults_are_filled_in_and_nothing_given_is_changed() -> None:
    schema = obj(
        a={**STRING, "default": "x"},
        b={**obj(c={"type": "integer", "default": 1}), "default": {}},
        items={"type": "array", "items": obj(d={"type": "boolean", "default": True})},
        named={"type": "object", "additionalProperties": obj(e={**STRING, "default": "y"})},
        absent=obj(f={**STRING, "default": "z"}),
    )
    fill = compile_defaults(schema)
    assert fill is not None
    given_value = {"items": [{}, {"d": False}], "named": {"k": {}}}
    filled = fill(given_value)
    assert filled == {
        "a": "x",
        "b": {"c": 1},
        "items": [{"d": True}, {"d": False}],
        "named": {"k": {"e": "y"}},
    }
    assert given_value == {"items": [{}, {"d": False}], "named": {"k": {}}}
    assert fill(filled) is filled
    filled["b"]["c"] = 5
    assert fill({})["b"] == {"c": 1}
    assert compile_defaults(obj(a=STRING)) is None


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (STRING, 5, 'spec: Invalid value: "integer": spec in body must be of type string: "integer"'),
        ({"type": "integer"}, "5", 'spec: Invalid value: "string": spec in body must be of type integer: "string"'),
        ({"type": "integer"}, True, 'spec: Invalid value: "boolean": spec in body must be of type integer: "boolean"'),
        ({"type": "number"}, "5", 'spec: Invalid value: "string": spec in body must be of type number: "string"'),
        (
            {"x-kubernetes-int-or-string": True},
            1.5,
            'spec: Invalid value: "number": spec in body must be of type integer,string: "number"',
        ),
        (obj(a=STRING), {"a": None}, 'spec.a: Invalid value: "null": spec.a in body must be of type string: "null"'),
        (
            {"type": "integer", "minimum": 1},
            0,
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            "spec: Invalid value: 1: spec in body should be greater than 1",
        ),
        (
            {"type": "number", "maximum": 1.5},
            2,
            "spec: Invalid value: 2: spec in body should be less than or equal to 1.5",
        ),
        ({"type": "integer", "multipleOf": 3}, 4, "spec: Invalid value: 4: spec in body should be a multiple of 3"),
        ({**STRING, "minLength": 2}, "a", 'spec: Invalid value: "a": spec in body should be at least 2 chars long'),
        ({**STRING, "maxLength": 1}, "ab", "spec: Too long: may not be more than 1 bytes"),
        ({**STRING, "pattern": "^a$"}, "b", "spec: Invalid value: \"b\": spec in body should match '^a$'"),
        ({**STRING, "enum": ["a", "b"]}, "c", 'spec: Unsupported value: "c": supported values: "a", "b"'),
        (
            {**STRING, "format": "date-time"},
            "now",
            'spec: Invalid value: "now": spec in body must be of type date-time: "now"',
        ),
        (
            {"type": "array", "items": STRING, "minItems": 2},
            ["a"],
            "spec: Invalid value: 1: spec in body should have at least 2 items",
        ),
        ({"type": "array", "items": STRING, "maxItems": 1}, ["a", "b"], "spec: Too many: 2: must have at most 1 items"),
        (
            {"type": "array", "items": STRING},
            ["a", 1],
            'spec[1]: Invalid value: "integer": spec[1] in body must be of type string: "integer"',
        ),
        (
            {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
            ["a", "b", "a"],
            'spec[2]: Duplicate value: "a"',
        ),
        (
            {
                "type": "array",
                "items": obj(n=STRING),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
            },
            [{"n": "a", "x": 1}, {"n": "a"}],
            'spec[1]: Duplicate value: {"n":"a"}',
        ),
        ({**obj(a=STRING), "required": ["a"]}, {}, "spec.a: Required value"),
        (
            {"type": "object", "additionalProperties": STRING},
            {"k": 1},
            'spec.k: Invalid value: "integer": spec.k in body must be of type string: "integer"',
        ),
        (
            {**obj(a=STRING), "not": {"required": ["a"]}},
            {"a": "x"},
            '<nil>: Invalid value: "": "spec" must not validate the schema (not)',
        ),
    ],
)
def test_what_is_wrong_is_said_in_upstreams_words(schema: dict[str, Any], value: Any, text: str) -> None:
    assert errors(schema, value) == [text]


def test_combinations() -> None:
    one_of = {**obj(a=STRING, b=STRING), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert errors(one_of, {"a": "x"}) == []
    said = '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found'
    assert errors(one_of, {}) == ["spec.a: Required value", f"{said} none valid"]
    assert errors(one_of, {"a": "x", "b": "x"}) == [f"{said} 2 valid alternatives"]
    any_of = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert errors(any_of, "x") == errors(any_of, 1) == []
    assert errors(any_of, []) != []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2026-01-02T03:04:05Z", "2026-01-02"),
        ("date", "2026-01-02", "2026-13-02"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "fe80::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("email", "a@example.com", "example.com"),
        ("uuid", "b7a27271-7a0b-49b4-96ae-469b4d49944c", "b7a27271"),
        ("duration", "1h30m", "soon"),
        ("byte", "aGk=", "a"),
        ("mac", "aa:bb:cc:dd:ee:ff", "aa:bb"),
        ("hostname", "web.example.com", "-web"),
        ("uri", "https://example.com", "example com"),
    ],
)
def test_formats(name: str, good: str, bad: str) -> None:
    schema = {**STRING, "format": name}
    assert errors(schema, good) == []
    assert len(errors(schema, bad)) == 1


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "s.type: Required value: must not be empty at the root"),
        ({"type": "array", "items": STRING}, 's.type: Invalid value: "array": must be object at the root'),
        (obj(a={}), "s.properties[a].type: Required value: must not be empty for specified object fields"),
        (
            obj(a={"type": "array"}),
            "s.properties[a].items: Required value: must be specified",
        ),
        (
            obj(a={**FREE, "properties": {"b": {"type": "strin"}}}),
            's.properties[a].properties[b].type: Unsupported value: "strin": supported values: "array", "boolean",'
            ' "integer", "number", "object", "string"',
        ),
        (
            obj(a={**STRING, "anyOf": [{"type": "string"}]}),
            "s.properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            {**obj(), "anyOf": [{"properties": {"b": {"minLength": 1}}}]},
            "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]",
        ),
        (
            obj(metadata=obj(name=STRING, labels=FREE)),
            "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but"
            " metadata is implicitly specified",
        ),
        (
            obj(a={"type": "array", "items": STRING, "uniqueItems": True}),
            "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity"
            " becomes quadratic",
        ),
        (
            obj(a={"type": "integer", "default": "x"}),
            's.properties[a].default: Invalid value: "string": default in body must be of type integer: "string"',
        ),
        (
            obj(a={"type": "array", "items": obj(n=STRING), "x-kubernetes-list-type": "map"}),
            "s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is"
            " map",
        ),
    ],
)
def test_schemas_that_are_not_structural(schema: dict[str, Any], text: str) -> None:
    assert [str(error) for error in schema_errors(schema, "s")] == [text]


def test_a_structural_schema() -> None:
    schema = obj(
        a={"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        b={**obj(c=STRING, d=STRING), "oneOf": [{"required": ["c"]}, {"required": ["d"]}]},
    )
    assert schema_errors(schema, "s") == []


def test_patterns_are_gos() -> None:
    assert compile_pattern(r"^\d+$").search("1\n") is None
    assert compile_pattern(r"^[[:alpha:]]+\z").search("ab")
    assert compile_pattern(r"(?P<a>x)").search("x")
    for text in (r"(?=a)", r"(a)\1", r"(", r"(?<!a)b"):
        with pytest.raises(UnsupportedPattern):
            compile_pattern(text)


def test_apply_sees_lists_by_their_keys() -> None:
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["n"],
        "items": obj(n=STRING, v=STRING),
    }
    node = compile_schema(obj(keyed=keyed, plain={"type": "array", "items": STRING}, free=FREE))
    found = set(leaves(node, {"keyed": [{"n": "a", "v": "x"}], "plain": ["x"], "free": {"deep": {"er": 1}}}))
    assert ("f:keyed", 'k:{"n":"a"}', "f:v") in found
    assert ("f:plain",) in found
    assert ("f:free", "f:deep", "f:er") in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
SCHEMA = obj(
    a={**STRING, "default": "x", "minLength": 1},
    b=obj(a={"type": "integer", "default": 3}, b={"type": "array", "items": obj(a={**STRING, "default": "q"})}),
    c={"type": "object", "additionalProperties": {"type": "integer"}},
)


@given(JSON)
def test_any_json_is_pruned_filled_and_judged_once(value: Any) -> None:
    node, fill = compile_schema(SCHEMA), compile_defaults(SCHEMA)
    assert fill is not None
    stored = fill(value if node.check(value) else node.decode(value, "", Decoding()))
    assert node.check(stored)
    assert fill(stored) is stored
    errors(SCHEMA, stored)


KEYWORDS = (
    "type properties items additionalProperties enum pattern minimum required anyOf oneOf allOf not default format"
    " nullable x-kubernetes-preserve-unknown-fields x-kubernetes-int-or-string x-kubernetes-embedded-resource"
    " minLength maxItems x-kubernetes-list-type x-kubernetes-list-map-keys x-kubernetes-validations"
)
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "object", "string", "array", "("])
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "metadata", *KEYWORDS.split()]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(SCHEMAS, JSON)
def test_any_schema_is_refused_or_serves(schema: Any, value: Any) -> None:
    crd = widgets(version(schema={"openAPIV3Schema": schema}))
    try:
        crd = decode_object(CUSTOM_RESOURCE_DEFINITION, crd).object
    except BadRequest:
        return
    definition.default(crd)
    definition.prepare_create(crd)
    if definition.validate(crd):
        return
    kind = kinds_of(crd)[0]
    obj = decode_object(kind, {"metadata": {"name": "w", "namespace": "default"}, "spec": value}).object
    kind.strategy.default(obj)
    kind.strategy.validate(obj)
    openapi.document_v3(Scheme([kind]), "example.com", "v1")
