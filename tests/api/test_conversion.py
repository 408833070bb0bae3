"""Conversion webhooks: versions of a custom resource that differ in more than their name."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controlplane.api.errors import InternalError
from controlplane.api.kinds import CUSTOM_RESOURCE_DEFINITION
from controlplane.server import conversion
from tests.api.conftest import Served
from tests.api.crds import kind_of, version, widgets

STABLE = "/apis/example.com/v1/namespaces/default/widgets"
BETA = "/apis/example.com/v1beta1/namespaces/default/widgets"
MERGE = {"Content-Type": "application/merge-patch+json"}
FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
FIELDS = {"example.com/v1": "size", "example.com/v1beta1": "howMany"}


@dataclass
class Converter:
    """A webhook by which `size` is called `howMany` in v1beta1; `asked` counts objects of each review."""

    url: str = ""
    ca: str = ""
    failure: str = ""
    asked: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        review = (await request.json())["request"]
        self.asked.append(len(review["objects"]))
        made = [self._converted(obj, review["desiredAPIVersion"]) for obj in review["objects"]]
        result = {"status": "Failed", "message": self.failure} if self.failure else {"status": "Success"}
        response = {"uid": review["uid"], "convertedObjects": made, "result": result}
        return web.json_response(
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}
        )

    @staticmethod
    def _converted(obj: dict[str, Any], target: str) -> dict[str, Any]:
        spec = dict(obj["spec"])
        old, new = FIELDS[obj["apiVersion"]], FIELDS[target]
        if old in spec:
            spec[new] = spec.pop(old)
        return obj | {"apiVersion": target, "spec": spec}


def schema(name: str) -> dict[str, Any]:
    spec = {"type": "object", "properties": {name: {"type": "integer"}, "note": {"type": "string"}}}
    return {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": FREE}}}


@pytest.fixture
async def converter(served: Served) -> AsyncIterator[Converter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served.pki.server_certificate, served.pki.server_key)
    found = Converter(ca=base64.b64encode(served.pki.ca_certificate.read_bytes()).decode())
    app = web.Application()
    app.router.add_post("/convert", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    found.url = f"https://127.0.0.1:{runner.addresses[0][1]}/convert"
    crd = widgets(
        version(schema=schema("size"), subresources={"status": {}}),
        version("v1beta1", storage=False, schema=schema("howMany"), subresources={"status": {}}),
    )
    client = {"url": found.url, "caBundle": found.ca}
    webhook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
    crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    await served.local.create(CUSTOM_RESOURCE_DEFINITION, crd)
    yield found
    await runner.cleanup()


def beta(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1beta1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


async def test_objects_in_either_version(session: aiohttp.ClientSession, converter: Converter) -> None:
    async with session.post(BETA, json=beta("w", howMany=3)) as response:
        assert response.status == 201, await response.text()
        assert (await response.json())["spec"] == {"howMany": 3}
    async with session.get(f"{STABLE}/w") as response:
        found = await response.json()
    assert (found["apiVersion"], found["spec"]) == ("example.com/v1", {"size": 3})
    async with session.patch(f"{BETA}/w", json={"spec": {"howMany": 4}}, headers=MERGE) as response:
        changed = await response.json()
    assert (response.status, changed["spec"]) == (200, {"howMany": 4})
    assert changed["metadata"]["uid"] == found["metadata"]["uid"]
    async with session.get(f"{STABLE}/w") as response:
        found = await response.json()
    found["spec"]["size"] = 5
    async with session.put(f"{STABLE}/w", json=found) as response:
        assert response.status == 200
    async with session.get(f"{BETA}/w") as response:
        assert (await response.json())["spec"] == {"howMany": 5}
    async with session.get(f"{BETA}/w/status") as response:
        assert (await response.json())["spec"] == {"howMany": 5}
    async with session.patch(f"{BETA}/w/status", json={"status": {"ready": True}}, headers=MERGE) as response:
        assert ((await response.json())["status"], response.status) == ({"ready": True}, 200)
    async with session.get(f"{STABLE}/w") as response:
        found = await response.json()
    assert (found["spec"], found["status"]) == ({"size": 5}, {"ready": True})
    async with session.delete(f"{BETA}/w") as response:
        assert response.status == 200


async def test_lists_are_converted_together_and_once(
    session: aiohttp.ClientSession, served: Served, converter: Converter
) -> None:
    kind = kind_of(served)
    for number in range(20):
        body = {"metadata": {"name": f"w{number}"}, "spec": {"size": number}}
        await served.local.create(kind, body, "default")
    assert converter.asked == []
    for _ in range(2):
        async with session.get(BETA) as response:
            items = (await response.json())["items"]
        assert sorted(item["spec"]["howMany"] for item in items) == list(range(20))
    assert converter.asked == [20]


async def test_more_than_is_remembered(
    session: aiohttp.ClientSession, served: Served, converter: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "REMEMBERED_BYTES", 0)
    for number in range(20):
        body = {"metadata": {"name": f"w{number}"}, "spec": {"size": number}}
        await served.local.create(kind_of(served), body, "default")
    for _ in range(2):
        async with session.get(BETA) as response:
            items = (await response.json())["items"]
        assert sorted(item["spec"]["howMany"] for item in items) == list(range(20))
    assert converter.asked == [20, 20]
    async with session.patch(f"{BETA}/w7", json={"spec": {"howMany": 70}}, headers=MERGE) as response:
        assert (response.status, (await response.json())["spec"]) == (200, {"howMany": 70})


async def test_watches_show_the_version_that_was_asked_for(served: Served, converter: Converter) -> None:
    shown = kind_of(served, "v1beta1")
    listed = await served.local.list(shown, "default")
    await served.local.create(kind_of(served), {"metadata": {"name": "w"}, "spec": {"size": 7}}, "default")
    async with asyncio.timeout(30):
        async for event in served.local.watch(shown, "default", resource_version=listed.resource_version):
            assert (event.object["apiVersion"], event.object["spec"]) == ("example.com/v1beta1", {"howMany": 7})
            break


async def test_server_side_apply_through_a_version(session: aiohttp.ClientSession, converter: Converter) -> None:
    query, headers = {"fieldManager": "m"}, {"Content-Type": "application/apply-patch+yaml"}
    for number, code in ((1, 201), (2, 200)):
        body = beta("w", howMany=number)
        async with session.patch(f"{BETA}/w", params=query, json=body, headers=headers) as response:
            assert response.status == code, await response.text()
            assert (await response.json())["spec"] == {"howMany": number}
    async with session.get(f"{STABLE}/w") as response:
        assert (await response.json())["spec"] == {"size": 2}


async def test_a_conversion_that_fails(session: aiohttp.ClientSession, served: Served, converter: Converter) -> None:
    await served.local.create(kind_of(served), {"metadata": {"name": "w"}, "spec": {"size": 7}}, "default")
    converter.failure = "not today"
    async with session.get(f"{BETA}/w") as response:
        refused = await response.json()
    assert (response.status, refused["reason"]) == (500, "InternalError")
    assert refused["message"] == "conversion webhook for example.com/v1, Kind=Widget failed: not today"
    with pytest.raises(InternalError, match="not today"):
        await served.local.list(kind_of(served, "v1beta1"))
    async with session.get(f"{STABLE}/w") as response:
        assert response.status == 200
    converter.failure = ""
    async with session.get(f"{BETA}/w") as response:
        assert response.status == 200
