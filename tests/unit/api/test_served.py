"""The scheme, discovery and OpenAPI: what clients learn, and that all of it holds together."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from controlplane.api import discovery, openapi
from controlplane.api.definitions import definitions
from controlplane.api.kinds import BODIES, DEPLOYMENT, EVICTION, POD, REPLICA_SET, SCALE, SERVED
from controlplane.api.scheme import SCHEME, Scheme
from controlplane.api.subresources import SUBRESOURCES
from controlplane.api.types import Kind


@pytest.mark.parametrize("kind", [*SERVED, *BODIES], ids=lambda kind: kind.name)
def test_kind_data_is_complete(kind: Kind) -> None:
    assert kind.definition in definitions()
    assert kind.definition.endswith(f".{kind.version}.{kind.name}")
    assert list(kind.verbs) == sorted(kind.verbs)
    assert list(kind.subresources) == sorted(kind.subresources)
    assert set(kind.subresources) <= set(SUBRESOURCES)


def test_names() -> None:
    for name in ("rs", "replicaset", "replicasets", "ReplicaSet", "replicasets.apps"):
        assert SCHEME.named(name) is REPLICA_SET
    assert SCHEME.named("nothing") is None
    assert SCHEME.resource("apps", "v1", "deployments") is DEPLOYMENT
    assert SCHEME.of("v1", "Pod") is POD
    assert SCHEME.of("autoscaling/v1", "Scale") is SCALE
    assert SCHEME.kind("policy", "v1", "Eviction") is EVICTION
    assert SCHEME.resource("policy", "v1", "evictions") is None
    names = [name for kind in SCHEME.stored() for name in (kind.plural, *kind.short_names)]
    assert len(names) == len(set(names))


def test_order() -> None:
    assert SCHEME.groups()[:3] == ["", "apiregistration.k8s.io", "apps"]
    versions = ["v1alpha1", "v2", "v1beta1", "v1", "v1beta2", "other"]
    kinds = [Kind("g", version, "Thing", "things", "d") for version in versions]
    assert Scheme(kinds).versions("g") == ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "other"]


def test_aggregated_discovery_says_what_the_older_documents_say() -> None:
    for group in SCHEME.groups():
        found = discovery.aggregated(SCHEME, core=not group)
        item = next(one for one in found["items"] if one["metadata"].get("name", "") == group)
        for version in item["versions"]:
            flat = []
            for resource in version["resources"]:
                flat.append((resource["resource"], resource["responseKind"]["kind"], resource["verbs"]))
                for sub in resource.get("subresources", ()):
                    name = f"{resource['resource']}/{sub['subresource']}"
                    flat.append((name, sub["responseKind"]["kind"], sub["verbs"]))
            listed = discovery.resource_list(SCHEME, group, version["version"])
            assert listed is not None
            assert flat == [(one["name"], one["kind"], one["verbs"]) for one in listed["resources"]]


def test_discovery_of_pods() -> None:
    listed = discovery.resource_list(SCHEME, "", "v1")
    assert listed is not None
    found = {one["name"]: one for one in listed["resources"]}
    assert found["pods"] == {
        "name": "pods",
        "singularName": "pod",
        "namespaced": True,
        "kind": "Pod",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["po"],
        "categories": ["all"],
    }
    assert found["pods/eviction"] == {
        "name": "pods/eviction",
        "singularName": "",
        "namespaced": True,
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
        "verbs": ["create"],
    }
    assert discovery.group(SCHEME, "apps") == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "apps",
        "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
        "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
    }
    assert discovery.group(SCHEME, "nothing") is None
    assert discovery.resource_list(SCHEME, "apps", "v9") is None
    assert [one["name"] for one in discovery.group_list(SCHEME)["groups"]] == [g for g in SCHEME.groups() if g]


def v3(group: str) -> dict[str, Any]:
    document = openapi.document_v3(SCHEME, group, "v1")
    assert document is not None
    parsed: dict[str, Any] = orjson.loads(document)
    return parsed


def test_openapi_v3_index_names_every_group() -> None:
    paths = openapi.index_v3(SCHEME)["paths"]
    assert len(paths) == sum(len(SCHEME.versions(group)) for group in SCHEME.groups())
    assert re.fullmatch(r"/openapi/v3/apis/apps/v1\?hash=[0-9A-F]{32}", paths["apis/apps/v1"]["serverRelativeURL"])
    assert openapi.document_v3(SCHEME, "apps", "v9") is None


@pytest.mark.parametrize("group", SCHEME.groups())
def test_openapi_v3_is_closed_and_plain(group: str) -> None:
    document = openapi.document_v3(SCHEME, group, "v1")
    assert document is not None
    schemas = orjson.loads(document)["components"]["schemas"]
    assert {found.decode() for found in re.findall(rb'"#/components/schemas/([^"]+)"', document)} <= set(schemas)
    assert b"$defs" not in document
    assert b'"null"' not in document


def test_openapi_v3_has_what_kubectl_looks_for() -> None:
    document = v3("apps")
    operation = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert operation["x-kubernetes-action"] == "patch"
    assert operation["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert {"dryRun", "fieldManager", "fieldValidation"} <= {one["name"] for one in operation["parameters"]}
    assert "application/strategic-merge-patch+json" in operation["requestBody"]["content"]
    schemas = document["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["type"] == "array"
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["items"] == {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]}
    assert schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"] == "TCP"
    assert schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"]["oneOf"] == [{"type": "string"}, {"type": "number"}]


def test_openapi_v2_is_closed() -> None:
    parsed = openapi.document_v2(SCHEME)
    document = orjson.dumps(parsed)
    assert {found.decode() for found in re.findall(rb'"#/definitions/([^"]+)"', document)} <= set(parsed["definitions"])
    post = parsed["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    assert post["parameters"][-1]["schema"] == {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"}
    operations = [one for path in parsed["paths"].values() for key, one in path.items() if key != "parameters"]
    identities = [operation["operationId"] for operation in operations]
    assert len(identities) == len(set(identities))
