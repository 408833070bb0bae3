"""Structural schemas compiled to decoders, in the style of `controlplane.api.schema`.

The decoders of built-in kinds refuse wrong types; these leave that to validation, as upstream does
for custom resources: decoding only prunes unknown fields and the nulls of fields that are not
nullable, and brings metadata into its typed form. Because they derive from the same classes,
server-side apply reads the structure of lists and maps from them like from any other.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.definitions import definitions
from controlplane.api.schema import Array, Decoding, Mapping, Node, Struct

Schema = dict[str, Any]

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Value(Node):
    """A scalar, or a value without structure of its own."""

    __slots__ = ()

    def check(self, value: Any) -> bool:
        return True


class Free(Mapping):
    """What `x-kubernetes-preserve-unknown-fields` keeps: maps go by their keys, lists are whole."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(VALUE, {})
        self.values = self

    def check(self, value: Any) -> bool:
        return True

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        return value


class List(Array):
    """An array; its items' nulls stay, for validation to judge."""

    __slots__ = ()

    def check(self, value: Any) -> bool:
        return type(value) is not list or all(map(self.items.check, value))

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not list:
            return value
        decode = self.items.decode
        return [decode(item, f"{path}[{index}]", decoding) for index, item in enumerate(value)]


class Map(Mapping):
    """An object with `additionalProperties`."""

    __slots__ = ("nullable",)

    def __init__(self, values: Node, schema: Schema, *, nullable: bool) -> None:
        super().__init__(values, schema)
        self.nullable = nullable

    def check(self, value: Any) -> bool:
        if type(value) is not dict:
            return True
        check = self.values.check
        return all(check(item) if item is not None else self.nullable for item in value.values())

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not dict:
            return value
        return {
            key: self.values.decode(item, f"{path}.{key}" if path else key, decoding) if item is not None else None
            for key, item in value.items()
            if item is not None or self.nullable
        }


class Fields(Struct):
    """An object with `properties`; unknown fields go, or, where `others` is set, are of that type."""

    __slots__ = ("nullable",)

    def __init__(self, schema: Schema, *, others: Node | None) -> None:
        super().__init__("", (), atomic=schema.get("x-kubernetes-map-type") == "atomic")
        self.others = others
        self.nullable: set[str] = set()

    def check(self, value: Any) -> bool:
        if type(value) is not dict:
            return True
        fields, others = self.fields, self.others
        for name, item in value.items():
            node = fields.get(name, others)
            if node is None:
                return False
            if item is None:
                if name in fields and name not in self.nullable:
                    return False
            elif not node.check(item):
                return False
        return True

    def decode(self, value: Any, path: str, decoding: Decoding) -> Any:
        if type(value) is not dict:
            return value
        decoded = {}
        for name, item in value.items():
            node = self.fields.get(name, self.others)
            inner = f"{path}.{name}" if path else name
            if node is None:
                decoding.unknown.append(inner)
            elif item is not None:
                decoded[name] = node.decode(item, inner, decoding)
            elif name not in self.fields or name in self.nullable:
                decoded[name] = None
        return decoded


VALUE = Value()
FREE = Free()


def compile_root(schema: Schema) -> Node:
    """The decoder of a whole custom resource, whose apiVersion, kind and metadata are implied."""
    fields = _fields(schema)
    _add_identity(fields)
    return fields


def compile_schema(schema: Schema) -> Node:
    """The decoder of one structural schema."""
    kind = schema.get("type", "")
    if kind == "array":
        return List(compile_schema(schema.get("items") or {}), schema)
    if kind == "object" or "properties" in schema:
        values = schema.get("additionalProperties")
        if values is not None and values is not False and not schema.get("properties"):
            inner = compile_schema(values) if isinstance(values, dict) else FREE
            nullable = not isinstance(values, dict) or bool(values.get("nullable"))
            return Map(inner, schema, nullable=nullable)
        fields = _fields(schema)
        if schema.get("x-kubernetes-embedded-resource"):
            _add_identity(fields)
        return fields
    return FREE if schema.get("x-kubernetes-preserve-unknown-fields") else VALUE


def _fields(schema: Schema) -> Fields:
    fields = Fields(schema, others=FREE if schema.get("x-kubernetes-preserve-unknown-fields") else None)
    for name, inner in schema.get("properties", {}).items():
        fields.fields[name] = compile_schema(inner)
        if inner.get("nullable"):
            fields.nullable.add(name)
    return fields


def _add_identity(fields: Fields) -> None:
    fields.fields |= {"apiVersion": VALUE, "kind": VALUE, "metadata": definitions()[OBJECT_META]}
