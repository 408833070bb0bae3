"""CustomResourceDefinitions for tests, and waiting for what a watch shows."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Kind
from tests.api.conftest import Served

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
        "replicas": {"type": "integer", "default": 1},
    },
}
STATUS = {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}}


def version(name: str = "v1", *, storage: bool = True, served: bool = True, **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    return {
        "name": name,
        "served": served,
        "storage": storage,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
    } | more


def widgets(*versions: dict[str, Any], scope: str = "Namespaced", **names: Any) -> dict[str, Any]:
    found = {"plural": "widgets", "kind": "Widget"} | names
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{found['plural']}.example.com"},
        "spec": {"group": "example.com", "scope": scope, "names": found, "versions": list(versions) or [version()]},
    }


def widget(name: str, api_version: str = "v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"example.com/{api_version}",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 1} | spec,
    }


def kind_of(served: Served, api_version: str = "v1", plural: str = "widgets") -> Kind:
    kind = served.registry.scheme.resource("example.com", api_version, plural)
    assert kind is not None
    return kind
