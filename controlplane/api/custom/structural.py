"""Whether a schema is structural: every field specified once, outside of combinations of schemas.

Rules and wording follow k8s.io/apiextensions-apiserver/pkg/apiserver/schema and
pkg/apis/apiextensions/validation. Only structural schemas can be pruned by, defaulted and published.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.api.custom.keywords import Errors
from controlplane.api.custom.patterns import UnsupportedPattern, compile_matcher
from controlplane.api.custom.schema import Schema
from controlplane.api.custom.validation import compile_checks
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, not_supported, required

TYPES = ("array", "boolean", "integer", "number", "object", "string")
JUNCTORS = ("allOf", "anyOf", "oneOf")
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

ROOT, ITEM, FIELD = "at the root", "for specified array items", "for specified object fields"

_EMPTY_IN_COMBINATIONS = {
    "type": "must be empty to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "additionalProperties": "must be undefined to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}


def schema_errors(schema: Schema, path: str) -> Errors:
    """Every error of a version's openAPIV3Schema."""
    errors = [*_invariants(schema, path, ROOT), *_completeness(schema, schema, path, path)]
    if not errors:
        errors += _default_errors(schema, path)
    return sorted(errors, key=str)


def _invariants(schema: Schema, path: str, level: str) -> Iterator[FieldError]:
    yield from _unsupported(schema, path)
    yield from _types(schema, path, level)
    yield from _lists(schema, path)
    yield from _metadata(schema, path, level)
    yield from _combinations(schema, path)
    for name, inner in schema.get("properties", {}).items():
        if not (name == "metadata" and level == ROOT):
            yield from _invariants(inner, f"{path}.properties[{name}]", FIELD)
    items, values = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, dict):
        yield from _invariants(items, f"{path}.items", ITEM)
    if values is not None:
        if level == ROOT:
            yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(values, dict):
            yield from _invariants(values, f"{path}.additionalProperties", FIELD)


def _unsupported(schema: Schema, path: str) -> Iterator[FieldError]:
    for name in ("definitions", "dependencies", "id", "$schema", "patternProperties", "additionalItems"):
        if schema.get(name):
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if "$ref" in schema:
        yield forbidden(f"{path}.$ref", "$ref is not supported")
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", text)
    if schema.get("additionalProperties") is False:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
    if schema.get("additionalProperties") is not None and schema.get("properties"):
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    for index, rule in enumerate(schema.get("x-kubernetes-validations", ())):
        if not rule.get("rule", "").strip():
            yield required(f"{path}.x-kubernetes-validations[{index}].rule", "rule is not specified")


def _types(schema: Schema, path: str, level: str) -> Iterator[FieldError]:
    kind = schema.get("type", "")
    anything = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if kind and kind not in TYPES:
        yield not_supported(f"{path}.type", kind, TYPES)
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        text = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)
    elif not kind and not anything:
        yield required(f"{path}.type", f"must not be empty {level}")
    if level == ROOT and kind and kind != "object":
        yield invalid(f"{path}.type", kind, "must be object at the root")
    if kind == "array" and not schema.get("items"):
        yield required(f"{path}.items", "must be specified")
    if schema.get("x-kubernetes-int-or-string"):
        text = "must be false if x-kubernetes-int-or-string is true"
        for other in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if schema.get(other):
                yield invalid(f"{path}.{other}", True, text)
        if kind:
            yield invalid(f"{path}.type", kind, "must be empty if x-kubernetes-int-or-string is true")
    if schema.get("pattern"):
        try:
            compile_matcher(schema["pattern"])
        except UnsupportedPattern as error:
            yield invalid(
                f"{path}.pattern", schema["pattern"], f"must be a valid regular expression, but isn't: {error}"
            )


def _lists(schema: Schema, path: str) -> Iterator[FieldError]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", ())
    if kind is not None and kind not in ("atomic", "set", "map"):
        yield not_supported(f"{path}.x-kubernetes-list-type", kind, ("atomic", "set", "map"))
    if kind is not None and schema.get("type") != "array":
        text = "must be array if x-kubernetes-list-type is specified"
        found = schema.get("type")
        yield invalid(f"{path}.type", found, text) if found else required(f"{path}.type", text)
    if kind == "map" and not keys:
        text = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{path}.x-kubernetes-list-map-keys", text)
    if keys and kind != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield (
            required(f"{path}.x-kubernetes-list-type", text)
            if kind is None
            else invalid(f"{path}.x-kubernetes-list-type", kind, text)
        )
    items = schema.get("items")
    if kind != "map" or not isinstance(items, dict):
        return
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", items.get("type", ""), text)
    for key in keys:
        field = items.get("properties", {}).get(key)
        if field is None:
            text = "entries must all be names of item properties"
            yield invalid(f"{path}.x-kubernetes-list-map-keys", key, text)
        elif key not in items.get("required", ()) and "default" not in field:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{path}.items.properties[{key}].default", text)


def _metadata(schema: Schema, path: str, level: str) -> Iterator[FieldError]:
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    if level != ROOT and not embedded:
        return
    properties = schema.get("properties", {})
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            yield invalid(f"{path}.properties[{name}].type", properties[name].get("type", ""), "must be string")
    if "metadata" in properties:
        metadata = properties["metadata"]
        if metadata.get("type") != "object":
            yield invalid(f"{path}.properties[metadata].type", metadata.get("type", ""), "must be object")
        extra = metadata.get("properties", {}).keys() - {"name", "generateName"}
        if level == ROOT and (extra or metadata.get("x-kubernetes-preserve-unknown-fields")):
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden(f"{path}.properties[metadata]", text)
    if embedded and not schema.get("x-kubernetes-preserve-unknown-fields") and not properties:
        text = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{path}.properties", text)


def _nested(schema: Schema, path: str) -> Iterator[tuple[Schema, str]]:
    """The schemas that combinations within `schema` are made of."""
    for junctor in JUNCTORS:
        for index, inner in enumerate(schema.get(junctor, ())):
            yield inner, f"{path}.{junctor}[{index}]"
    if "not" in schema:
        yield schema["not"], f"{path}.not"


def _combinations(schema: Schema, path: str) -> Iterator[FieldError]:
    either = schema.get("x-kubernetes-int-or-string")
    for inner, place in _nested(schema, path):
        if either and (schema.get("anyOf") == INT_OR_STRING and ".anyOf[" in place[len(path) :]):
            continue
        if either and inner.get("anyOf") == INT_OR_STRING and place == f"{path}.allOf[0]":
            inner = {name: value for name, value in inner.items() if name != "anyOf"}
        yield from _combined(inner, place)


def _combined(schema: Schema, path: str) -> Iterator[FieldError]:
    for name, text in _EMPTY_IN_COMBINATIONS.items():
        if schema.get(name) not in (None, False, "", [], {}) or (name == "default" and "default" in schema):
            yield forbidden(f"{path}.{name}", text)
    for name, inner in schema.get("properties", {}).items():
        place = f"{path}.properties[{name}]"
        if name == "metadata":
            yield forbidden(place, "must not be specified in a nested context")
        yield from _combined(inner, place)
    if isinstance(schema.get("items"), dict):
        yield from _combined(schema["items"], f"{path}.items")
    for inner, place in _nested(schema, path):
        yield from _combined(inner, place)


def _completeness(whole: Schema, part: Schema, path: str, place: str) -> Iterator[FieldError]:
    """That what combinations within `part` (at `place`) speak of is specified in `whole` (at `path`)."""
    for inner, at in _nested(part, place):
        yield from _specified(whole, inner, path, at)
    if whole is not part:
        return
    for name, inner in whole.get("properties", {}).items():
        yield from _completeness(inner, inner, f"{path}.properties[{name}]", f"{place}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(whole.get(name), dict):
            yield from _completeness(whole[name], whole[name], f"{path}.{name}", f"{place}.{name}")


def _specified(whole: Schema, part: Schema, path: str, place: str) -> Iterator[FieldError]:
    for name, inner in part.get("properties", {}).items():
        at, found = f"{place}.properties[{name}]", whole.get("properties", {}).get(name)
        if found is None:
            yield required(f"{path}.properties[{name}]", f"because it is defined in {at}")
        else:
            yield from _specified(found, inner, f"{path}.properties[{name}]", at)
    if isinstance(part.get("items"), dict):
        if not isinstance(whole.get("items"), dict):
            yield required(f"{path}.items", f"because it is defined in {place}.items")
        else:
            yield from _specified(whole["items"], part["items"], f"{path}.items", f"{place}.items")
    for inner, at in _nested(part, place):
        yield from _specified(whole, inner, path, at)


def _default_errors(schema: Schema, path: str) -> Iterator[FieldError]:
    """Defaults that the schema itself would not take."""
    if "default" in schema:
        found: Errors = []
        compile_checks(schema)(schema["default"], "default", found)
        for error in found:
            yield FieldError(error.type, f"{path}.{error.field}", error.body)
    for name, inner in _parts(schema):
        yield from _default_errors(inner, f"{path}.{name}")


def _parts(schema: Schema) -> Iterator[tuple[str, Any]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"properties[{name}]", inner
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield name, schema[name]
