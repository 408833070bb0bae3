"""CustomResourceDefinitions over HTTP: served at once, several versions, names, restarts, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controlplane.api.errors import Invalid, NotFound
from controlplane.api.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from controlplane.client.informer import Informers
from controlplane.controllers.custom_resources import CustomResourceFinalizer
from controlplane.controllers.garbage import GarbageCollector
from controlplane.controllers.namespace import NamespaceController
from tests.api.conftest import Kubectl, Served, serving
from tests.api.crds import SPEC, STATUS, kind_of, version, widget, widgets

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
MERGE = {"Content-Type": "application/merge-patch+json"}


async def call(
    session: aiohttp.ClientSession, method: str, path: str, body: Any = None, headers: Any = None
) -> tuple[int, Any]:
    async with session.request(method, path, json=body, headers=headers) as response:
        return response.status, await response.json()


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """The first truthy result of `condition`, asked for 30 s at least."""
    for _ in range(3000):
        if found := await condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came: {condition}")


@asynccontextmanager
async def controllers(served: Served) -> AsyncIterator[None]:
    """Those that have to do with custom resources."""
    informers = Informers(served.local)
    running = [informers, *(one(served.local, informers) for one in (CustomResourceFinalizer, GarbageCollector))]
    running.append(NamespaceController(served.local, informers))
    tasks = [asyncio.ensure_future(one.run()) for one in running]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_definition_is_served_at_once(session: aiohttp.ClientSession) -> None:
    code, _ = await call(session, "POST", DEFINITIONS, widgets())
    assert code == 201
    code, made = await call(session, "POST", WIDGETS, widget("w", junk=1))
    assert code == 201
    assert made["spec"] == {"size": 1, "color": "red", "replicas": 1}
    assert made["metadata"]["generation"] == 1
    _, crd = await call(session, "GET", f"{DEFINITIONS}/widgets.example.com")
    assert crd["status"]["storedVersions"] == ["v1"]
    assert crd["status"]["acceptedNames"]["listKind"] == "WidgetList"
    assert {one["type"]: (one["status"], one["reason"]) for one in crd["status"]["conditions"]} == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    _, listed = await call(session, "GET", WIDGETS)
    assert (listed["kind"], len(listed["items"])) == ("WidgetList", 1)


async def test_discovery_and_schemas_follow(session: aiohttp.ClientSession) -> None:
    _, index = await call(session, "GET", "/openapi/v3")
    assert "apis/example.com/v1" not in index["paths"]
    await call(session, "POST", DEFINITIONS, widgets(shortNames=["wd"], categories=["all"]))
    _, resources = await call(session, "GET", "/apis/example.com/v1")
    assert [one["name"] for one in resources["resources"]] == ["widgets", "widgets/scale", "widgets/status"]
    assert resources["resources"][0]["shortNames"] == ["wd"]
    _, index = await call(session, "GET", "/openapi/v3")
    first = index["paths"]["apis/example.com/v1"]["serverRelativeURL"]
    _, document = await call(session, "GET", first)
    schema = document["components"]["schemas"]["com.example.v1.Widget"]
    assert schema["properties"]["spec"]["properties"]["color"]["enum"] == ["red", "green"]
    patch = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    changed = version(schema={"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}})
    body = {"spec": {"versions": [changed]}}
    code, _ = await call(session, "PATCH", f"{DEFINITIONS}/widgets.example.com", body, MERGE)
    assert code == 200
    _, index = await call(session, "GET", "/openapi/v3")
    assert index["paths"]["apis/example.com/v1"]["serverRelativeURL"] != first
    _, whole = await call(session, "GET", "/openapi/v2")
    assert "com.example.v1.WidgetList" in whole["definitions"]


async def test_status_and_scale(session: aiohttp.ClientSession) -> None:
    await call(session, "POST", DEFINITIONS, widgets())
    _, made = await call(session, "POST", WIDGETS, widget("w") | {"status": {"phase": "lost"}})
    assert "status" not in made
    body = {"status": {"phase": "Up", "replicas": 2}, "spec": {"size": 9}, "metadata": {"labels": {"a": "b"}}}
    _, changed = await call(session, "PATCH", f"{WIDGETS}/w/status", body, MERGE)
    assert changed["status"] == {"phase": "Up", "replicas": 2}
    assert (changed["spec"]["size"], changed["metadata"]["generation"]) == (1, 1)
    assert "labels" not in changed["metadata"]
    _, changed = await call(session, "PATCH", f"{WIDGETS}/w", {"spec": {"size": 3}, "status": {"phase": "x"}}, MERGE)
    assert (changed["status"]["phase"], changed["metadata"]["generation"]) == ("Up", 2)
    _, scale = await call(session, "GET", f"{WIDGETS}/w/scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 1}, {"replicas": 2})
    code, _ = await call(session, "PATCH", f"{WIDGETS}/w/scale", {"spec": {"replicas": 5}}, MERGE)
    _, found = await call(session, "GET", f"{WIDGETS}/w")
    assert (code, found["spec"]["replicas"], found["metadata"]["generation"]) == (200, 5, 3)
    code, refused = await call(session, "PATCH", f"{WIDGETS}/w/status", {"status": {"replicas": "x"}}, MERGE)
    assert code == 422
    assert refused["details"]["causes"][0]["field"] == "status.replicas"


async def test_what_was_wrong_before_may_stay(served: Served) -> None:
    await served.local.create(CUSTOM_RESOURCE_DEFINITION, widgets())
    await served.local.create(kind_of(served), widget("w", size=1), "default")
    strict = {
        "type": "object",
        "properties": {"spec": SPEC | {"properties": {"size": {"type": "integer", "minimum": 5}}}},
    }
    body = {"spec": {"versions": [version(schema={"openAPIV3Schema": strict})]}}
    await served.local.patch(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com", body=body)
    kind = kind_of(served)
    changed = await served.local.patch(kind, "w", "default", body={"metadata": {"labels": {"a": "b"}}})
    assert changed["metadata"]["labels"] == {"a": "b"}
    with pytest.raises(Invalid, match="greater than or equal to 5"):
        await served.local.patch(kind, "w", "default", body={"spec": {"size": 2}})


async def test_versions_show_the_same_objects(session: aiohttp.ClientSession, served: Served) -> None:
    plain = version("v1beta1", storage=False, subresources={}, deprecated=True)
    await call(session, "POST", DEFINITIONS, widgets(version(), plain))
    beta = WIDGETS.replace("v1", "v1beta1")
    async with session.post(beta, json=widget("w", "v1beta1")) as response:
        assert response.headers["Warning"] == '299 - "example.com/v1beta1 Widget is deprecated"'
        assert (await response.json())["apiVersion"] == "example.com/v1beta1"
    _, found = await call(session, "GET", f"{WIDGETS}/w")
    assert found["apiVersion"] == "example.com/v1"
    _, listed = await call(session, "GET", beta)
    assert [one["apiVersion"] for one in listed["items"]] == ["example.com/v1beta1"]
    swapped = [version(storage=False), plain | {"storage": True}]
    _, crd = await call(session, "PATCH", f"{DEFINITIONS}/widgets.example.com", {"spec": {"versions": swapped}}, MERGE)
    assert crd["status"]["storedVersions"] == ["v1", "v1beta1"]
    _, found = await call(session, "GET", f"{WIDGETS}/w")
    assert (found["apiVersion"], found["metadata"]["name"]) == ("example.com/v1", "w")
    code, changed = await call(session, "PATCH", f"{WIDGETS}/w", {"spec": {"size": 4}}, MERGE)
    assert (code, changed["apiVersion"], changed["spec"]["size"]) == (200, "example.com/v1", 4)
    code, refused = await call(
        session, "PATCH", f"{DEFINITIONS}/widgets.example.com", {"spec": {"versions": [version()]}}, MERGE
    )
    assert code == 422
    assert "status.storedVersions[1]" in refused["message"]


async def test_defaults_that_came_later_are_shown(served: Served) -> None:
    await served.local.create(CUSTOM_RESOURCE_DEFINITION, widgets())
    await served.local.create(kind_of(served), widget("w"), "default")
    spec = SPEC | {"properties": {**SPEC["properties"], "extra": {"type": "string", "default": "new"}}}  # type: ignore[dict-item]
    schema = {"type": "object", "properties": {"spec": spec, "status": STATUS}}
    body = {"spec": {"versions": [version(schema={"openAPIV3Schema": schema})]}}
    await served.local.patch(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com", body=body)
    found = await served.local.get(kind_of(served), "w", "default")
    assert found["spec"]["extra"] == "new"


async def test_names_that_others_have_are_not_accepted(served: Served) -> None:
    client = served.local
    await client.create(CUSTOM_RESOURCE_DEFINITION, widgets(shortNames=["wd"]))
    await client.create(CUSTOM_RESOURCE_DEFINITION, widgets(plural="gadgets", kind="Widget", listKind="GadgetList"))
    waiting = await client.get(CUSTOM_RESOURCE_DEFINITION, "gadgets.example.com")
    conditions = {one["type"]: one for one in waiting["status"]["conditions"]}
    assert conditions["NamesAccepted"]["reason"] == "KindConflict"
    assert conditions["NamesAccepted"]["message"] == '"Widget" is already in use'
    assert (conditions["Established"]["status"], conditions["Established"]["reason"]) == ("False", "NotAccepted")
    assert served.registry.scheme.resource("example.com", "v1", "gadgets") is None
    await client.patch(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com", body={"metadata": {"finalizers": None}})
    await client.delete(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com")
    async with controllers(served):
        await until(lambda: established(served, "gadgets.example.com"))
    assert served.registry.scheme.resource("example.com", "v1", "gadgets") is not None


async def established(served: Served, name: str) -> bool:
    crd = await served.local.get(CUSTOM_RESOURCE_DEFINITION, name)
    return any(one["type"] == "Established" and one["status"] == "True" for one in crd["status"]["conditions"])


async def gone(served: Served, name: str) -> bool:
    try:
        await served.local.get(CUSTOM_RESOURCE_DEFINITION, name)
    except NotFound:
        return True
    return False


async def test_a_definition_goes_with_its_objects_and_ends_their_watches(
    session: aiohttp.ClientSession, served: Served
) -> None:
    await call(session, "POST", DEFINITIONS, widgets())
    await call(session, "POST", WIDGETS, widget("w"))
    await call(
        session, "POST", WIDGETS, widget("held") | {"metadata": {"name": "held", "finalizers": ["example.com/f"]}}
    )
    async with controllers(served), session.get(f"{WIDGETS}?watch=1") as watch:
        await call(session, "DELETE", f"{DEFINITIONS}/widgets.example.com")

        async def terminating() -> bool:
            crd = await served.local.get(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com")
            return any(one["reason"] == "InstanceDeletionInProgress" for one in crd["status"]["conditions"])

        await until(terminating)
        code, _ = await call(session, "POST", WIDGETS, widget("late"))
        assert code == 405
        await call(session, "PATCH", f"{WIDGETS}/held", {"metadata": {"finalizers": None}}, MERGE)
        await until(lambda: gone(served, "widgets.example.com"))
        async with asyncio.timeout(30):
            assert b"DELETED" in await watch.read()
        code, _ = await call(session, "GET", WIDGETS)
        assert code == 404
        await call(session, "POST", DEFINITIONS, widgets())
        _, listed = await call(session, "GET", WIDGETS)
        assert listed["items"] == []


async def test_garbage_and_namespaces_cover_custom_resources(served: Served) -> None:
    client = served.local
    async with controllers(served):
        await client.create(CUSTOM_RESOURCE_DEFINITION, widgets())
        kind = kind_of(served)
        owner = await client.create(kind, widget("owner"), "default")
        reference = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "owner", "uid": owner["metadata"]["uid"]}
        owned = {"metadata": {"name": "owned", "ownerReferences": [reference]}}
        await client.create(CONFIG_MAP, owned, "default")
        await client.create(kind, widget("owned") | owned, "default")

        async def collected() -> bool:
            maps = [one["metadata"]["name"] for one in (await client.list(CONFIG_MAP, "default")).items]
            return "owned" not in maps and not (await client.list(kind, "default")).items

        await client.delete(kind, "owner", "default")
        await until(collected)
        await client.create(NAMESPACE, {"metadata": {"name": "n"}})
        await client.create(kind, widget("w"), "n")
        await client.delete(NAMESPACE, "n")

        async def emptied() -> bool:
            return "n" not in {one["metadata"]["name"] for one in (await client.list(NAMESPACE)).items}

        await until(emptied)
        assert (await client.list(kind)).items == []


async def test_definitions_and_objects_outlive_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.local.create(CUSTOM_RESOURCE_DEFINITION, widgets())
        await served.local.create(kind_of(served), widget("w"), "default")
    async with serving(tmp_path) as served:
        found = await served.local.get(kind_of(served), "w", "default")
        assert found["spec"]["color"] == "red"
        async with served.https() as client:
            assert "widgets" in {kind.plural for kind in await client.kinds()}


async def test_definitions_that_are_wrong(session: aiohttp.ClientSession) -> None:
    async def refusal(**changes: Any) -> str:
        crd = widgets()
        crd["spec"] |= changes
        code, refused = await call(session, "POST", DEFINITIONS, crd)
        assert code == 422, refused
        return str(refused["message"])

    bare = version(schema={"openAPIV3Schema": {"type": "object", "properties": {"spec": {}}}})
    assert (
        "spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object"
        " fields" in await refusal(versions=[bare])
    )
    assert "must have exactly one version marked as storage version" in await refusal(versions=[version(storage=False)])
    assert 'spec.scope: Unsupported value: "None": supported values: "Cluster", "Namespaced"' in await refusal(
        scope="None"
    )
    assert "metadata.name: Invalid value" in await refusal(names={"plural": "things", "kind": "Thing"})
    crd = widgets()
    crd["metadata"]["name"], crd["spec"]["group"] = "widgets.x.k8s.io", "x.k8s.io"
    _, refused = await call(session, "POST", DEFINITIONS, crd)
    assert "protected groups must have approval annotation" in refused["message"]


async def test_rules_are_run(session: aiohttp.ClientSession) -> None:
    grows = {"rule": "oldSelf.size <= self.size", "message": "only grows", "fieldPath": ".size"}
    rules = [
        {"rule": "self.size <= self.replicas * 2", "messageExpression": "'at most %d'.format([self.replicas * 2])"},
        grows | {"reason": "FieldValueForbidden"},
    ]
    ruled = SPEC | {"x-kubernetes-validations": rules}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": ruled, "status": STATUS}}}
    async with session.post(DEFINITIONS, json=widgets(version(schema=schema))) as response:
        assert (response.status, response.headers.get("Warning")) == (201, None)
    code, refused = await call(session, "POST", WIDGETS, widget("w", size=5, replicas=2))
    assert code == 422
    assert refused["message"] == 'Widget.example.com "w" is invalid: spec: Invalid value: "object": at most 4'
    code, _ = await call(session, "POST", WIDGETS, widget("w", size=3, replicas=2))
    assert code == 201
    code, refused = await call(session, "PATCH", f"{WIDGETS}/w", {"spec": {"size": 2}}, MERGE)
    assert refused["message"] == 'Widget.example.com "w" is invalid: spec.size: Forbidden: only grows'
    code, refused = await call(session, "PATCH", f"{WIDGETS}/w", {"spec": {"size": "x"}}, MERGE)
    assert '<nil>: Invalid value: "null": some validation rules were not checked' in refused["message"]


async def test_rules_that_cannot_be_run(session: aiohttp.ClientSession) -> None:
    def ruled(rule: str) -> dict[str, Any]:
        schema = {"type": "object", "x-kubernetes-validations": [{"rule": rule}]}
        return widgets(version(schema={"openAPIV3Schema": schema}))

    code, refused = await call(session, "POST", DEFINITIONS, ruled("self.a >"))
    assert code == 422
    assert "x-kubernetes-validations[0].rule: Invalid value" in refused["message"]
    assert "compilation failed" in refused["message"]
    async with session.post(DEFINITIONS, json=ruled("self.unheard(1)")) as response:
        assert response.status == 201
        assert "not evaluated by netsim, which lacks the function unheard" in response.headers["Warning"]


async def test_kubectl_with_custom_resources(kubectl: Kubectl) -> None:
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    one = version(additionalPrinterColumns=columns, selectableFields=[{"jsonPath": ".spec.color"}])
    crd = widgets(one, shortNames=["wd"], categories=["all"])
    assert (await kubectl("apply", "-f", "-", stdin=crd)).status == 0
    assert (await kubectl("apply", "-f", "-", stdin=widget("w"))).stdout == "widget.example.com/w created\n"
    assert (await kubectl("apply", "-f", "-", stdin=widget("w"))).stdout == "widget.example.com/w unchanged\n"
    applied = await kubectl("apply", "--server-side", "-f", "-", stdin=widget("w", size=2))
    assert applied.stdout == "widget.example.com/w serverside-applied\n"
    assert (await kubectl("get", "wd")).stdout.split() == ["NAME", "SIZE", "w", "2"]
    assert "widget.example.com/w" in (await kubectl("get", "all")).stdout
    assert "size\t<integer> -required-" in (await kubectl("explain", "wd.spec", "--recursive")).stdout
    assert (await kubectl("scale", "wd/w", "--replicas=3")).stdout == "widget.example.com/w scaled\n"
    assert "w" in (await kubectl("get", "wd", "--field-selector=spec.color=red")).stdout
    assert "No resources" in (await kubectl("get", "wd", "--field-selector=spec.color=green")).stderr
    refused = await kubectl("apply", "-f", "-", stdin=widget("w", size=0))
    why = "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    assert refused.stderr == f'The Widget "w" is invalid: {why}\n'
    unknown = await kubectl("apply", "-f", "-", stdin=widget("w", odd=1))
    assert 'strict decoding error: unknown field "spec.odd"' in unknown.stderr
    refused = await kubectl("patch", "wd", "w", "--type=strategic", "-p", "{}")
    assert "application/strategic-merge-patch+json is not supported" in refused.stderr
