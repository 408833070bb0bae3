"""OpenAPI documents: one v3 document per group and version, and the v2 one of everything.

`kubectl explain` reads schemas from them; `kubectl apply` and `create` look for the query parameters
and patch types of each operation. Documents are made anew on each call, from the installed
definitions and the scheme, and nothing of them is kept: clients hold on to them by the hash in the
index, which changes only with the kinds served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from controlplane.api.definitions import DEFINITIONS, REFERENCE, read_definitions
from controlplane.api.openapi_custom import custom_definitions
from controlplane.api.openapi_paths import operations
from controlplane.api.scheme import Scheme
from controlplane.api.types import Kind
from controlplane.api.version import KUBERNETES

Document = dict[str, Any]

COMPONENTS, V2_DEFINITIONS = "#/components/schemas/", "#/definitions/"
TITLE = "Kubernetes"

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

_DEFAULTS: dict[tuple[str, str], Any] = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.EndpointPort", "protocol"): "TCP",
}
"""Defaults that clients need because the field is part of a list's key."""


def index_v3(scheme: Scheme) -> Document:
    """What /openapi/v3 answers: where each group and version's document is."""
    paths = {}
    for group in scheme.groups():
        for version in scheme.versions(group):
            kinds = scheme.kinds(group, version)
            place = kinds[0].path.lstrip("/")
            paths[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={_hash(kinds)}"}
    return {"paths": paths}


def document_v3(scheme: Scheme, group: str, version: str) -> bytes | None:
    """The v3 document of one group and version; None when it is not served."""
    kinds = scheme.kinds(group, version)
    if not kinds:
        return None
    custom = custom_definitions(kinds, COMPONENTS)
    raw = read_definitions() | custom
    paths = operations(kinds, raw, COMPONENTS)
    reached = _reached(_references(paths), raw)
    schemas = {name: custom[name] if name in custom else _schema_v3(name, raw[name]) for name in reached}
    return orjson.dumps(
        {
            "openapi": "3.0.0",
            "info": {"title": TITLE, "version": KUBERNETES},
            "paths": paths,
            "components": {"schemas": schemas},
        }
    )


def document_v2(scheme: Scheme) -> Document:
    """The v2 document of everything served."""
    kinds = scheme.served()
    custom = custom_definitions(kinds, V2_DEFINITIONS, v2=True)
    raw = read_definitions() | custom
    paths = operations(kinds, raw, V2_DEFINITIONS)
    reached = _reached(_references(paths), raw)
    definitions = {name: custom[name] if name in custom else _schema_v2(name, raw[name]) for name in reached}
    return {
        "swagger": "2.0",
        "info": {"title": TITLE, "version": KUBERNETES},
        "paths": {path: _path_v2(item) for path, item in paths.items()},
        "definitions": definitions,
    }


def _hash(kinds: Iterable[Kind]) -> str:
    parts = [
        (kind.plural, kind.verbs, kind.subresources, kind.short_names, kind.schema.digest if kind.schema else "")
        for kind in kinds
    ]
    return hashlib.sha256(f"{DEFINITIONS} {KUBERNETES} {parts}".encode()).hexdigest()[:32].upper()


def _reached(roots: Iterable[str], raw: Document) -> list[str]:
    """`roots` and every definition that they lead to, by name."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references(raw[name]))
    return sorted(found)


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference.rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _schema_v3(name: str, schema: Document) -> Document:
    if name == _QUANTITY:
        return _described(schema, {"oneOf": [{"type": "string"}, {"type": "number"}]})
    if name == _INT_OR_STRING:
        return _described(schema, {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
    return _plain(name, schema, COMPONENTS)


def _schema_v2(name: str, schema: Document) -> Document:
    if name == _QUANTITY:
        return _described(schema, {"type": "string"})
    if name == _INT_OR_STRING:
        return _described(schema, {"type": "string", "format": "int-or-string"})
    return _plain(name, schema, V2_DEFINITIONS)


def _described(schema: Document, shape: Document) -> Document:
    return ({"description": schema["description"]} if "description" in schema else {}) | shape


def _plain(name: str, schema: Document, prefix: str) -> Document:
    """`schema` with plain types and references below `prefix`, and the defaults known for `name`."""
    plain: Document = {}
    for key, value in schema.items():
        if key == "type":
            plain[key] = value[0] if isinstance(value, list) else value
        elif key == "properties":
            plain[key] = {field: _field(name, field, one, prefix) for field, one in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            plain[key] = _field("", "", value, prefix)
        elif key not in ("$ref", "enum"):
            plain[key] = value
    return plain


def _field(owner: str, name: str, schema: Document, prefix: str) -> Document:
    plain = _plain("", schema, prefix)
    reference = schema.get("$ref")
    if reference is not None:
        target = {"$ref": prefix + reference.removeprefix(REFERENCE)}
        if prefix != COMPONENTS:
            return plain | target
        plain["allOf"] = [target]
    default = _DEFAULTS.get((owner, name))
    if default is not None:
        plain["default"] = default
    return plain


def _path_v2(item: Document) -> Document:
    """A v3 path item in v2's form: the body is a parameter, schemas of parameters are flat."""
    converted: Document = {}
    for key, value in item.items():
        if key == "parameters":
            converted[key] = [_parameter_v2(one) for one in value]
            continue
        operation = dict(value)
        operation["parameters"] = [_parameter_v2(one) for one in value.get("parameters", ())]
        body = operation.pop("requestBody", None)
        if body is not None:
            content = body["content"]
            operation["consumes"] = list(content)
            schema = next(iter(content.values()))["schema"]
            operation["parameters"].append({"name": "body", "in": "body", "required": True, "schema": schema})
        operation["produces"] = ["application/json"]
        operation["responses"] = {
            code: {"description": one["description"]}
            | ({"schema": one["content"]["application/json"]["schema"]} if "content" in one else {})
            for code, one in value["responses"].items()
        }
        converted[key] = operation
    return converted


def _parameter_v2(parameter: Document) -> Document:
    flat: Document = {key: value for key, value in parameter.items() if key != "schema"}
    flat.update(parameter["schema"])
    return flat
