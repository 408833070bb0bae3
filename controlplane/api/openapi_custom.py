"""Custom resources in OpenAPI documents: their definitions' schemas with what every object has.

In v3 a schema goes out as its definition has it. v2 has no words for combinations of schemas, nullable
and the like; they are left out there, as upstream does, and so is what its protobuf form lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api.types import Kind

Document = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_IDENTITY = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object. Servers should convert"
    " recognized schemas to the latest internal value, and may reject unrecognized values. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
    "kind": "Kind is a string value representing the REST resource this object represents. Servers may infer this from"
    " the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
}
_STANDARD_METADATA = (
    "Standard object's metadata. More info:"
    " https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_IN_V2 = frozenset(("type", "format", "description", "default", "required"))


def custom_definitions(kinds: Iterable[Kind], prefix: str, *, v2: bool = False) -> Document:
    """The definitions of the custom resources among `kinds` and of their lists, references below `prefix`."""
    definitions: Document = {}
    for kind in kinds:
        if kind.schema is not None:
            schema = dict(kind.schema.document)
            definitions[kind.definition] = _whole(kind, _plain_v2(schema) if v2 else schema, prefix, v2=v2)
            definitions[f"{kind.definition}List"] = _list(kind, prefix, v2=v2)
    return definitions


def _whole(kind: Kind, schema: Document, prefix: str, *, v2: bool) -> Document:
    properties = {
        "apiVersion": {"type": "string", "description": _IDENTITY["apiVersion"]},
        "kind": {"type": "string", "description": _IDENTITY["kind"]},
        "metadata": _reference(prefix, f"{_META}ObjectMeta", _STANDARD_METADATA, v2=v2),
    }
    return schema | {
        "type": "object",
        "properties": schema.get("properties", {}) | properties,
        "x-kubernetes-group-version-kind": [{"group": kind.group, "kind": kind.name, "version": kind.version}],
    }


def _list(kind: Kind, prefix: str, *, v2: bool) -> Document:
    item = _reference(prefix, kind.definition, "", v2=v2)
    return {
        "description": f"{kind.name}List is a list of {kind.name}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _IDENTITY["apiVersion"]},
            "items": {"type": "array", "items": item, "description": f"List of {kind.plural}."},
            "kind": {"type": "string", "description": _IDENTITY["kind"]},
            "metadata": _reference(prefix, f"{_META}ListMeta", "Standard list metadata.", v2=v2),
        },
        "x-kubernetes-group-version-kind": [{"group": kind.group, "kind": f"{kind.name}List", "version": kind.version}],
    }


def _reference(prefix: str, name: str, description: str, *, v2: bool) -> Document:
    target = {"$ref": prefix + name}
    described: Document = {"description": description} if description else {}
    return described | (target if v2 or not description else {"allOf": [target]})


def _plain_v2(schema: Document) -> Document:
    plain = {key: value for key, value in schema.items() if key in _IN_V2 or key.startswith("x-kubernetes-")}
    if schema.get("nullable"):
        plain.pop("type", None)
    if "properties" in schema:
        plain["properties"] = {name: _plain_v2(inner) for name, inner in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            plain[key] = _plain_v2(schema[key])
    return plain
