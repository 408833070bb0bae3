"""pods/proxy, services/proxy and nodes/proxy, to servers on this machine's own addresses."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from http.client import HTTPSConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from controlplane.api.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from controlplane.client.https import tls_context
from tests.api.conftest import ADMIN_TOKEN, Kubectl, Served
from tests.api.test_streams import HostStreams

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
PAGE = b'<html><a href="/next">n</a><img alt="x" src=\'/i.png\'><a href="https://else.where/x">o</a></html>'


def own_address() -> str:
    """An address of this machine that is not its loopback: those are not proxied to. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.255.255.254", 9))
        return str(probe.getsockname()[0])


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/cut":
        begun = web.StreamResponse(headers={"Content-Length": "2000"})
        await begun.prepare(request)
        await begun.write(b"half" * 100)
        assert request.transport is not None
        request.transport.close()
        return begun
    if request.path == "/page":
        return web.Response(body=PAGE, content_type="text/html")
    if request.path == "/odd":
        return web.Response(status=302, headers={"Location": "http://["})
    if request.path == "/moved":
        return web.Response(status=302, headers={"Location": "/there?a=1"})
    if request.headers.get("Upgrade"):
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        async for message in opened:
            await opened.send_str(f"got {message.data}")
        return opened
    seen = {
        "method": request.method,
        "path": request.raw_path,
        "body": (await request.read()).decode(),
        "authorization": request.headers.get("Authorization"),
        "kept": request.headers.get("X-Kept"),
    }
    return web.json_response(seen, status=418 if request.path == "/teapot" else 200, headers={"X-Back": "yes"})


@pytest.fixture
async def backend(served: Served) -> AsyncIterator[tuple[str, int]]:
    """A server, behind a pod `one` and a Service `web` with a named port 8000 and an unnamed-port Service `plain`."""
    address = own_address()
    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, address, 0)
    await site.start()
    port = runner.addresses[0][1]
    container = {"name": "c", "image": "x", "ports": [{"containerPort": port}]}
    await served.local.create(POD, {"metadata": {"name": "one"}, "spec": {"containers": [container]}}, "default")
    await served.local.patch(POD, "one", "default", body={"status": {"podIP": address}}, subresource="status")
    for name, port_name in (("web", "http"), ("plain", "")):
        ports = [{"name": port_name, "port": 8000}] if port_name else [{"port": 8000}]
        await served.local.create(SERVICE, {"metadata": {"name": name}, "spec": {"ports": ports}}, "default")
        slice_ = {
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        }
        await served.local.create(ENDPOINT_SLICE, slice_, "default")
    yield address, port
    await runner.cleanup()


async def test_requests_of_every_method_arrive(session: aiohttp.ClientSession, backend: tuple[str, int]) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        url = f"{PODS}/one:{backend[1]}/proxy/a%20b/c?x=1&y=%26"
        async with session.request(method, url, data="given", headers={"X-Kept": "k"}) as response:
            seen = await response.json()
            assert response.headers["X-Back"] == "yes"
        assert seen == {
            "method": method,
            "path": "/a%20b/c?x=1&y=%26",
            "body": "given",
            "authorization": None,
            "kept": "k",
        }
    async with session.get(f"{PODS}/one/proxy/teapot") as response:
        assert response.status == 418
    big = "x" * 900_000
    async with session.post(f"{PODS}/one/proxy/", data=io.BytesIO(big.encode())) as response:
        assert len((await response.json())["body"]) == len(big)


async def test_a_location_that_is_no_url_stays(session: aiohttp.ClientSession, backend: tuple[str, int]) -> None:
    async with session.get(f"{PODS}/one/proxy/odd", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "http://[")


async def test_an_answer_that_breaks_off_is_not_filled_up(served: Served, backend: tuple[str, int]) -> None:
    def ask() -> tuple[int, bytes]:
        where = urlsplit(served.url)
        connection = HTTPSConnection(where.netloc, context=tls_context(served.pki.ca_certificate), timeout=30)
        connection.request("GET", f"{PODS}/one/proxy/cut", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        answer = connection.getresponse()
        with closing(connection), pytest.raises(IncompleteRead) as broken:
            answer.read()
        return answer.status, broken.value.partial

    assert await asyncio.to_thread(ask) == (200, b"half" * 100)


async def test_addresses_of_the_server_itself_are_not_proxied_to(
    served: Served, session: aiohttp.ClientSession, backend: tuple[str, int]
) -> None:
    status = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
    await served.local.create(NODE, {"metadata": {"name": "self"}})
    await served.local.patch(NODE, "self", body=status, subresource="status")
    async with session.get(f"/api/v1/nodes/self:{backend[1]}/proxy/x") as response:
        assert (response.status, (await response.json())["message"]) == (400, "address not allowed")
    slice_ = {"ports": [{"name": "http"}], "endpoints": [{"addresses": [backend[0]]}]}
    await served.local.patch(ENDPOINT_SLICE, "web", "default", body=slice_)
    async with session.get(f"{SERVICES}/web:http/proxy/x") as response:
        assert response.status == 503


@pytest.mark.parametrize("name", ["web:http", "web:8000", "http:web:http", "plain", "plain:8000", "http:plain:"])
async def test_a_service_is_found_by_its_ports(
    session: aiohttp.ClientSession, backend: tuple[str, int], name: str
) -> None:
    async with session.get(f"{SERVICES}/{name}/proxy/x") as response:
        assert (response.status, (await response.json())["path"]) == (200, "/x")


async def test_kubectl_gets_raw_paths(kubectl: Kubectl, backend: tuple[str, int]) -> None:
    done = await kubectl("get", "--raw", f"{SERVICES}/web:http/proxy/hello")
    assert '"path": "/hello"' in done.stdout, done.stderr
    none = await kubectl("get", "--raw", f"{SERVICES}/web:81/proxy/")
    assert none.stderr.strip() == ('Error from server (ServiceUnavailable): no service port 81 found for service "web"')


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (f"{SERVICES}/none/proxy/", 404, 'services "none" not found'),
        (f"{SERVICES}/empty/proxy/", 503, 'no endpoints available for service "empty"'),
        (f"{SERVICES}/web/proxy/", 503, 'no endpoints available for service "web"'),
        (f"{SERVICES}/ftp:web:http/proxy/", 400, "invalid service request ftp:web:http"),
        (f"{PODS}/new/proxy/", 400, "address not allowed"),
    ],
)
async def test_what_cannot_be_reached_is_named(
    served: Served, session: aiohttp.ClientSession, backend: tuple[str, int], path: str, code: int, message: str
) -> None:
    await served.local.create(SERVICE, {"metadata": {"name": "empty"}, "spec": {"ports": [{"port": 80}]}}, "default")
    new = {"metadata": {"name": "new"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    await served.local.create(POD, new, "default")
    async with session.get(path) as response:
        assert (response.status, (await response.json())["message"]) == (code, message)


async def test_a_closed_port_is_a_503(session: aiohttp.ClientSession, backend: tuple[str, int]) -> None:
    async with session.get(f"{PODS}/one:1/proxy/") as response:
        said = (await response.json())["message"]
    assert (response.status, said) == (
        503,
        f"error trying to reach service: dial tcp {backend[0]}:1: connect: connection refused",
    )


async def test_pages_and_redirections_lead_through_the_proxy(
    session: aiohttp.ClientSession, backend: tuple[str, int]
) -> None:
    prefix = f"{PODS}/one/proxy"
    async with session.get(f"{prefix}/page") as response:
        body = await response.text()
    assert f'href="{prefix}/next"' in body
    assert f"src='{prefix}/i.png'" in body
    assert 'href="https://else.where/x"' in body
    async with session.get(f"{prefix}/moved", allow_redirects=False) as response:
        assert response.headers["Location"] == f"{prefix}/there?a=1"
    async with session.get(f"{prefix}?a=1", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (301, f"{prefix}/?a=1")


async def test_a_websocket_goes_through(session: aiohttp.ClientSession, backend: tuple[str, int]) -> None:
    async with asyncio.timeout(30), session.ws_connect(f"{PODS}/one/proxy/socket") as opened:
        for word in ("one", "two"):
            await opened.send_str(word)
            message = await opened.receive()
            assert (message.type, message.data) == (WSMsgType.TEXT, f"got {word}")


async def test_a_node_answers_as_its_kubelet(served: Served, session: aiohttp.ClientSession) -> None:
    nodes = "/api/v1/nodes/node-1/proxy"
    await served.local.create(NODE, {"metadata": {"name": "node-1"}})
    served.streams.register("node-1", HostStreams())
    spec = {"nodeName": "node-1", "containers": [{"name": "c", "image": "x"}]}
    await served.local.create(POD, {"metadata": {"name": "one"}, "spec": spec}, "default")

    async def get(path: str) -> tuple[int, Any]:
        async with session.get(nodes + path) as response:
            return response.status, await response.text()

    assert await get("/healthz") == (200, "ok")
    assert '"name":"one"' in (await get("/pods"))[1]
    assert await get("/containerLogs/default/one/c") == (200, "first\n")
    assert await get("/elsewhere") == (404, "404 page not found\n")
