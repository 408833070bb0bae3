"""Server-side apply and field ownership, as kubectl and other writers meet them."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from controlplane.api.errors import Conflict, Invalid
from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, POD
from controlplane.api.types import Object
from tests.api.conftest import Kubectl, Served

MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = {"Content-Type": "application/apply-patch+yaml"}


def config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def deployment(**spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template} | spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def managers(obj: Object) -> list[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields", [])
    return [(entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries]


async def stored(served: Served) -> Object:
    return await served.local.get(CONFIG_MAP, "a", "default")


async def test_apply_makes_changes_and_prunes(kubectl: Kubectl, served: Served) -> None:
    done = await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="1", b="2"))
    assert done.stdout == "configmap/a serverside-applied\n", done.stderr
    done = await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="3"))
    assert done.stdout == "configmap/a serverside-applied\n", done.stderr
    assert (await stored(served))["data"] == {"a": "3"}
    shown = await kubectl("get", "cm", "a", "-o", "json", "--show-managed-fields")
    (entry,) = json.loads(shown.stdout)["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == ("kubectl", "Apply", {"f:data": {"f:a": {}}})
    before = await stored(served)
    await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="3"))
    assert await stored(served) == before


async def test_conflicts_and_taking_over(kubectl: Kubectl, served: Served) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="1"))
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    done = await kubectl(*other, stdin=config(a="2"))
    assert done.status == 1
    assert done.stderr.startswith('error: Apply failed with 1 conflict: conflict with "kubectl": .data.a\n')
    assert "Please review the fields above--they currently have other managers." in done.stderr
    done = await kubectl(*other, "--force-conflicts", stdin=config(a="2"))
    assert done.stdout == "configmap/a serverside-applied\n", done.stderr
    assert ((await stored(served))["data"], managers(await stored(served))) == ({"a": "2"}, [("other", "Apply", "")])


async def test_dry_run_and_diff_store_nothing(kubectl: Kubectl, served: Served) -> None:
    done = await kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=config(a="1"))
    assert done.stdout == "configmap/a serverside-applied (server dry run)\n", done.stderr
    assert "NotFound" in (await kubectl("get", "cm", "a")).stderr
    await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="1"))
    done = await kubectl("diff", "--server-side", "-f", "-", stdin=config(a="2"))
    assert (done.status, '-  a: "1"' in done.stdout, '+  a: "2"' in done.stdout) == (1, True, True), done.stderr
    assert (await stored(served))["data"] == {"a": "1"}


async def test_from_client_side_apply_to_server_side(kubectl: Kubectl, served: Served) -> None:
    await kubectl("apply", "-f", "-", stdin=config(a="1", b="2"))
    assert managers(await stored(served)) == [("kubectl-client-side-apply", "Update", "")]
    done = await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="3"))
    assert done.stdout == "configmap/a serverside-applied\n", done.stderr
    assert (await stored(served))["data"] == {"a": "3"}
    assert ("kubectl", "Apply", "") in managers(await stored(served))
    assert "kubectl-client-side-apply" not in str(managers(await stored(served)))
    done = await kubectl("apply", "-f", "-", stdin=config(a="4"))
    assert done.stdout == "configmap/a configured\n", done.stderr


async def test_what_is_no_field_is_refused(kubectl: Kubectl) -> None:
    body = config(a="1") | {"dta": {}}
    done = await kubectl("apply", "--server-side", "--validate=false", "-f", "-", stdin=body)
    assert done.status == 1
    assert "(default/a; v1, Kind=ConfigMap): .dta: field not declared in schema" in done.stderr


async def test_writers_own_what_they_write(kubectl: Kubectl, served: Served) -> None:
    await kubectl("create", "-f", "-", stdin=deployment())
    await kubectl("scale", "deployment/web", "--replicas=3")
    web = await served.local.get(DEPLOYMENT, "web", "default")
    counted = web | {"status": {"replicas": 3, "observedGeneration": 2}}
    await served.local.update(DEPLOYMENT, counted, subresource="status")
    done = await kubectl("set", "image", "deployment/web", "c=two")
    assert done.status == 0, done.stderr
    web = await served.local.get(DEPLOYMENT, "web", "default")
    assert sorted(managers(web)) == [
        ("apiserver", "Update", "status"),
        ("kubectl", "Update", "scale"),
        ("kubectl-create", "Update", ""),
        ("kubectl-set", "Update", ""),
    ]
    done = await kubectl("apply", "--server-side", "-f", "-", stdin=deployment(replicas=1))
    assert 'conflicts with "kubectl" with subresource "scale" using apps/v1' in done.stderr
    assert "- .spec.replicas" in done.stderr


async def test_objects_that_nobody_applied_are_not_followed(served: Served, kubectl: Kubectl) -> None:
    await served.local.create(CONFIG_MAP, config(a="1"), "default")
    await served.local.patch(CONFIG_MAP, "a", "default", body={"data": {"b": "2"}})
    assert managers(await stored(served)) == []
    done = await kubectl("apply", "--server-side", "-f", "-", stdin=config(a="2"))
    assert 'conflict with "before-first-apply" using v1' in done.stderr
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=config(a="2"))
    await served.local.patch(CONFIG_MAP, "a", "default", body={"data": {"a": "3"}})
    assert sorted(managers(await stored(served))) == [("apiserver", "Update", ""), ("before-first-apply", "Update", "")]


async def test_the_answers_code_says_whether_it_was_made(session: aiohttp.ClientSession) -> None:
    for code in (201, 200):
        async with session.patch(f"{MAPS}/a?fieldManager=me", json=config(a="1"), headers=APPLY) as response:
            assert response.status == code
    async with session.patch(f"{MAPS}/b?fieldManager=me", json=config(a="1"), headers=APPLY) as response:
        assert response.status == 400
    async with session.patch(f"{MAPS}/a?fieldManager=you", data="data: {a: x}", headers=APPLY) as response:
        status = await response.json()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.a"}
    ]


@pytest.mark.parametrize(
    ("query", "content_type", "message"),
    [
        ("", APPLY["Content-Type"], "fieldManager: Required value: is required for apply patch"),
        ("?force=true", "application/merge-patch+json", "force: Forbidden: may not be specified for non-apply patch"),
        (f"?fieldManager={'x' * 129}", APPLY["Content-Type"], "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
async def test_options_that_make_no_sense(
    session: aiohttp.ClientSession, query: str, content_type: str, message: str
) -> None:
    async with session.patch(f"{MAPS}/a{query}", data="{}", headers={"Content-Type": content_type}) as response:
        status = await response.json()
    assert (status["code"], status["message"]) == (422, f'PatchOptions.meta.k8s.io "" is invalid: {message}')


async def test_components_apply_too(served: Served) -> None:
    await served.local.create(
        POD, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "default"
    )
    condition = {"type": "example.com/Ready", "status": "True"}
    body = {"status": {"conditions": [condition]}}
    pod = await served.local.patch(
        POD, "p", "default", body=body, patch_type="apply", subresource="status", field_manager="gate"
    )
    assert condition in [{"type": one["type"], "status": one["status"]} for one in pod["status"]["conditions"]]
    assert ("gate", "Apply", "status") in managers(pod)


async def test_replicas_are_applied_through_scale(served: Served) -> None:
    client = served.local
    await client.create(DEPLOYMENT, deployment(), "default")
    body = {"spec": {"replicas": 4}}
    scale = await client.patch(
        DEPLOYMENT,
        "web",
        "default",
        body=body,
        patch_type="apply",
        subresource="scale",
        field_manager="hpa",
        force=True,
    )
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 4})
    web = await client.get(DEPLOYMENT, "web", "default")
    assert (web["spec"]["replicas"], ("hpa", "Apply", "scale") in managers(web)) == (4, True)
    with pytest.raises(Conflict, match=r'conflict with "hpa" with subresource "scale": .spec.replicas'):
        await client.patch(
            DEPLOYMENT, "web", "default", body=deployment(replicas=1), patch_type="apply", field_manager="me"
        )


async def test_a_scale_is_judged_as_one(served: Served) -> None:
    await served.local.create(DEPLOYMENT, deployment(), "default")
    message = (
        r'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    with pytest.raises(Invalid, match=message):
        await served.local.patch(DEPLOYMENT, "web", "default", body={"spec": {"replicas": -1}}, subresource="scale")
