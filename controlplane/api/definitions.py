"""The definitions of all API types, compiled to decoders when first asked for.

They are read at run time from the installed `kubernetes-validate` package (v1.37). Only what the
decoders need is kept: the descriptions, most of the file, are dropped again (OpenAPI reads the file
anew when somebody asks for them).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from controlplane.api.scalars import Base64, Boolean, Integer, IntOrString, Number, Quantity, Text, Time
from controlplane.api.schema import Array, Mapping, Node, Struct, StructOr
from controlplane.api.types import Kind

DEFINITIONS = "kubernetes-json-schema/v1.37.0-local/_definitions.json"
REFERENCE = "#/$defs/"
SCHEMA_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


class Definitions:
    """The decoders of all definitions, each compiled when it is first asked for."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._nodes: dict[str, Node] = {}

    def __getitem__(self, name: str) -> Node:
        """The decoder of definition `name`, e.g. "io.k8s.api.core.v1.Pod"; KeyError when there is none."""
        node = self._nodes.get(name)
        return node if node is not None else self._compile(name)

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def _compile(self, name: str) -> Node:
        raw = self._raw[name]
        special = _SPECIAL.get(name)
        if name.removeprefix(SCHEMA_PROPS) in _OR:
            struct = self[SCHEMA_PROPS]
            assert isinstance(struct, Struct)
            node: Node = StructOr(struct, _OR[name.removeprefix(SCHEMA_PROPS)])
        elif special is not None:
            node = special()
        elif "properties" in raw or (raw.get("type") and not name.endswith((".FieldsV1", ".RawExtension", ".Patch"))):
            return self._compile_struct(name, raw)
        else:
            node = Node()
        self._nodes[name] = node
        return node

    def _compile_struct(self, name: str, raw: dict[str, Any]) -> Struct:
        struct = Struct(name, raw.get("required", ()), atomic=raw.get("x-kubernetes-map-type") == "atomic")
        self._nodes[name] = struct
        for field, schema in raw.get("properties", {}).items():
            node = self._compile_field(schema)
            struct.fields[field] = node
            struct.checks[field] = node.check
            strategy = schema.get("x-kubernetes-patch-strategy")
            if strategy and isinstance(node, Struct):
                struct.strategies[field] = strategy
        return struct

    def _compile_field(self, schema: dict[str, Any]) -> Node:
        reference = schema.get("$ref")
        if reference is not None:
            return self[reference.removeprefix(REFERENCE)]
        declared = schema.get("type", "")
        type_ = declared[0] if isinstance(declared, list) else declared
        if type_ == "array":
            return Array(self._compile_field(schema["items"]), schema)
        if type_ == "object":
            values = schema.get("additionalProperties")
            return Mapping(self._compile_field(values), schema) if values else Node()
        return _SCALARS[type_, schema.get("format", "")]


_SCALARS: dict[tuple[str, str], Node] = {
    ("", ""): Node(),
    ("string", ""): Text("string"),
    ("string", "byte"): Base64("[]uint8"),
    ("string", "date-time"): Time(micro=False),
    ("integer", "int32"): Integer(32),
    ("integer", "int64"): Integer(64),
    ("integer", ""): Integer(64),
    ("boolean", ""): Boolean("bool"),
    ("number", "double"): Number("float64"),
    ("number", ""): Number("float64"),
}

_OR: dict[str, tuple[type, ...]] = {"OrArray": (list,), "OrBool": (bool,), "OrStringArray": (list, str)}
"""What may stand for a schema in a schema; the definitions say only that it is any JSON."""

_SPECIAL: dict[str, Callable[[], Node]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": Quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": IntOrString,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": lambda: Time(micro=False),
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": lambda: Time(micro=True),
}


def read_definitions() -> dict[str, Any]:
    """All definitions with their descriptions, freshly read: about 6 MB, not to be kept."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("kubernetes_validate is not installed", name="kubernetes_validate")
    path = Path(spec.submodule_search_locations[0]) / DEFINITIONS
    definitions: dict[str, Any] = orjson.loads(path.read_bytes())["$defs"]
    return definitions


_definitions: Definitions | None = None


def definitions() -> Definitions:
    """The decoders, read and stripped when first asked for."""
    global _definitions
    if _definitions is None:
        _definitions = Definitions(_stripped(read_definitions()))
    return _definitions


def node_of(kind: Kind) -> Node:
    """The decoder of objects of `kind`."""
    return kind.schema.node if kind.schema is not None else definitions()[kind.definition]


def _stripped(raw: dict[str, Any]) -> dict[str, Any]:
    for schema in raw.values():
        schema.pop("description", None)
        for field in schema.get("properties", {}).values():
            field.pop("description", None)
            field.pop("enum", None)
    return raw
