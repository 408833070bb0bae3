"""APIServices: this server's own, and an extension API server behind a Service."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controlplane.api.kinds import API_SERVICE, CUSTOM_RESOURCE_DEFINITION, ENDPOINT_SLICE, SERVICE
from controlplane.server.dialing import Dialer
from tests.api.conftest import Kubectl, Served
from tests.api.crds import widgets

Seen = list[web.Request]
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "odd.example.com/v1",
    "resources": [
        {"name": "things", "singularName": "thing", "namespaced": True, "kind": "Thing", "verbs": ["get", "list"]},
        {"name": "things/scale", "singularName": "", "namespaced": True, "kind": "Scale", "verbs": ["get"]},
    ],
}
THING = {"apiVersion": "odd.example.com/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "default"}}


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """The first truthy result of `condition`, asked for 30 s at least."""
    for _ in range(3000):
        if found := await condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came: {condition}")


async def available(served: Served, name: str) -> tuple[str, str, str]:
    service = await served.local.get(API_SERVICE, name)
    condition = next(iter(service.get("status", {}).get("conditions", [])), {})
    return condition.get("status", ""), condition.get("reason", ""), condition.get("message", "")


async def listed(served: Served, name: str) -> bool:
    return name in {one["metadata"]["name"] for one in (await served.local.list(API_SERVICE)).items}


def api_service(**spec: Any) -> dict[str, Any]:
    wanted = {"group": "odd.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10}
    wanted |= {"service": {"namespace": "default", "name": "odd"}, "insecureSkipTLSVerify": True}
    return {"metadata": {"name": "v1.odd.example.com"}, "spec": wanted | spec}


@pytest.fixture
async def extension(served: Served, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seen]:
    """A server on the loopback address that asks for the front-proxy certificate, behind the Service "odd".

    Endpoints may not be loopback addresses; the one here is only where the dialer is told to go.
    """
    seen: Seen = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        if request.headers.get("Upgrade"):
            opened = web.WebSocketResponse()
            await opened.prepare(request)
            async for message in opened:
                await opened.send_str(f"got {message.data}")
            return opened
        if request.path == "/apis/odd.example.com/v1":
            return web.json_response(RESOURCES)
        if request.path == "/openapi/v3/apis/odd.example.com/v1":
            return web.json_response({"openapi": "3.0.0"})
        if request.path.endswith("/things"):
            return web.json_response({"kind": "ThingList", "apiVersion": "odd.example.com/v1", "items": [THING]})
        return web.json_response(THING)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served.pki.server_certificate, served.pki.server_key)
    context.load_verify_locations(served.pki.front_proxy.ca_certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    runner = web.ServerRunner(web.Server(handle))  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    dial = Dialer.connect

    async def connect(self: Any, _address: str, _port: int) -> Any:
        return await dial(self, "127.0.0.1", port)

    monkeypatch.setattr(Dialer, "connect", connect)
    yield seen
    await runner.cleanup()


async def serve(served: Served) -> None:
    port = {"name": "https", "port": 443, "protocol": "TCP"}
    await served.local.create(
        SERVICE, {"metadata": {"name": "odd"}, "spec": {"ports": [port | {"targetPort": 443}]}}, "default"
    )
    slice_ = {
        "metadata": {"name": "odd", "labels": {"kubernetes.io/service-name": "odd"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.44.1.9"], "conditions": {"ready": True}}],
        "ports": [port],
    }
    await served.local.create(ENDPOINT_SLICE, slice_, "default")


async def test_every_group_and_version_has_one(served: Served) -> None:
    names = {one["metadata"]["name"] for one in (await served.local.list(API_SERVICE)).items}
    assert {"v1.", "v1.apps", "v1.batch", "v2.autoscaling", "v1.apiextensions.k8s.io"} <= names
    assert "v1.example.com" not in names
    assert await available(served, "v1.apps") == ("True", "Local", "Local APIServices are always available")
    await served.local.create(CUSTOM_RESOURCE_DEFINITION, widgets())
    await until(lambda: listed(served, "v1.example.com"))
    await served.local.patch(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com", body={"metadata": {"finalizers": None}})
    await served.local.delete(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com")
    await served.local.patch(CUSTOM_RESOURCE_DEFINITION, "widgets.example.com", body={"metadata": {"finalizers": None}})

    async def gone() -> bool:
        return not await listed(served, "v1.example.com")

    await until(gone)


async def test_one_that_cannot_be_reached_says_why(served: Served, session: aiohttp.ClientSession) -> None:
    name = "v1.odd.example.com"
    await served.local.create(API_SERVICE, api_service())

    async def verdict() -> tuple[str, str, str] | None:
        found = await available(served, name)
        return found if found[0] else None

    assert await until(verdict) == ("False", "ServiceNotFound", 'service/odd in "default" is not present')
    async with session.get("/apis/odd.example.com/v1/things") as response:
        assert response.status == 503
        assert (await response.json())["reason"] == "ServiceUnavailable"
    port = {"port": 80}
    await served.local.create(SERVICE, {"metadata": {"name": "odd"}, "spec": {"ports": [port]}}, "default")

    async def port_error() -> bool:
        return (await available(served, name))[1] == "ServicePortError"

    await until(port_error)


async def test_requests_go_to_the_server_behind(
    served: Served, session: aiohttp.ClientSession, extension: Seen, kubectl: Kubectl
) -> None:
    await serve(served)
    await served.local.create(API_SERVICE, api_service())

    async def passed() -> bool:
        return (await available(served, "v1.odd.example.com"))[:2] == ("True", "Passed")

    await until(passed)
    async with session.get("/apis/odd.example.com/v1/namespaces/default/things", params={"limit": "5"}) as response:
        assert (response.status, (await response.json())["items"]) == (200, [THING])
    request = extension[-1]
    assert request.path_qs == "/apis/odd.example.com/v1/namespaces/default/things?limit=5"
    assert request.headers["X-Remote-User"] == "admin"
    assert request.headers.getall("X-Remote-Group") == ["system:masters", "system:authenticated"]
    assert "Authorization" not in request.headers
    someone = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters", "Impersonate-Extra-a.b%2Fc%20d": "e"}
    async with session.get("/apis/odd.example.com/v1/things", headers=someone) as response:
        assert response.status == 200
    assert extension[-1].headers["X-Remote-User"] == "jane"
    assert extension[-1].headers["X-Remote-Extra-a.b%2Fc%20d"] == "e"
    async with session.get("/apis") as response:
        groups = {one["name"] for one in (await response.json())["groups"]}
    assert "odd.example.com" in groups
    async with session.get("/openapi/v3") as response:
        place = (await response.json())["paths"]["apis/odd.example.com/v1"]["serverRelativeURL"]
    async with session.get(place) as response:
        assert await response.json() == {"openapi": "3.0.0"}
    assert "thing.odd.example.com/t" in (await kubectl("get", "things", "-o", "name")).stdout
    assert "odd.example.com/v1" in (await kubectl("api-resources")).stdout
    shown = (await kubectl("get", "apiservice", "v1.odd.example.com")).stdout.split()
    assert shown[-4:-1] == ["v1.odd.example.com", "default/odd", "True"]


async def test_a_websocket_reaches_the_server_behind(
    served: Served, session: aiohttp.ClientSession, extension: Seen
) -> None:
    await serve(served)
    await served.local.create(API_SERVICE, api_service())

    async def passed() -> bool:
        return (await available(served, "v1.odd.example.com"))[0] == "True"

    await until(passed)
    url, headers = "/apis/odd.example.com/v1/namespaces/default/things/t/console?a=1", {"Impersonate-User": "jane"}
    headers["Impersonate-Group"] = "system:masters"
    async with asyncio.timeout(30), session.ws_connect(url, headers=headers) as opened:
        for word in ("one", "two"):
            await opened.send_str(word)
            assert (await opened.receive()).data == f"got {word}"
    (request,) = (one for one in extension if one.headers.get("Upgrade"))
    assert (request.path_qs, request.host) == (url, "odd.default.svc:443")
    assert (request.headers["X-Remote-User"], "Impersonate-User" in request.headers) == ("jane", False)


async def test_who_may_not_ask_is_not_handed_on(served: Served, extension: Seen) -> None:
    await serve(served)
    await served.local.create(API_SERVICE, api_service())
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(served.url, connector=connector) as anybody:
        headers = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
        async with anybody.get("/apis/odd.example.com/v1/things", headers=headers) as response:
            assert response.status == 403
            assert 'cannot list resource "things" in API group "odd.example.com"' in (await response.json())["message"]
    assert all("things" not in request.path for request in extension)


async def test_services_that_are_wrong(session: aiohttp.ClientSession) -> None:
    body = api_service(groupPriorityMinimum=0, service={"namespace": "default"}, caBundle="aGk=")
    async with session.post("/apis/apiregistration.k8s.io/v1/apiservices", json=body) as response:
        refused = await response.json()
    assert response.status == 422
    assert {one["field"] for one in refused["details"]["causes"]} == {
        "spec.groupPriorityMinimum",
        "spec.insecureSkipTLSVerify",
        "spec.service.name",
    }
