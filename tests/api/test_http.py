"""The HTTP surface as clients other than ours see it: forms, parameters, headers, refusals."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from controlplane.api.errors import StorageError
from controlplane.api.kinds import CONFIG_MAP, POD, SERVICE_ACCOUNT
from controlplane.api.version import KUBERNETES
from controlplane.client.https import tls_context
from controlplane.store.database import Database
from tests.api.conftest import ADMIN_TOKEN, Served

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def create(served: Served, *names: str) -> None:
    for name in names:
        await served.local.create(CONFIG_MAP, config_map(name), "default")


async def refused(response: aiohttp.ClientResponse, code: int, reason: str) -> str:
    status = await response.json()
    assert (response.status, status["code"], status["kind"], status["reason"]) == (code, code, "Status", reason)
    return str(status["message"])


async def test_version_health_and_discovery(session: aiohttp.ClientSession) -> None:
    async with session.get("/version") as response:
        assert (await response.json())["gitVersion"] == KUBERNETES
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        async with session.get(path) as response:
            assert (response.content_type, await response.text()) == ("text/plain", "ok")
    async with session.get("/readyz?verbose&exclude=store&exclude=etcd") as response:
        assert await response.text() == (
            "[+]ping ok\n[+]store excluded: ok\n"
            'warn: some health checks cannot be excluded: no matches for "etcd"\nreadyz check passed\n'
        )
    async with session.get("/apis/apps/v1") as response:
        assert "deployments/scale" in [one["name"] for one in (await response.json())["resources"]]
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    async with session.get("/apis", headers={"Accept": accept}) as response:
        assert (await response.json())["kind"] == "APIGroupDiscoveryList"


async def test_health_is_that_of_the_store(
    session: aiohttp.ClientSession, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_database: Database, _rows: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "append", fail)
        with pytest.raises(StorageError):
            await create(served, "a")
        for path in ("/readyz", "/healthz", "/readyz/store"):
            async with session.get(path) as response:
                assert response.status == 500
                assert "the disk is full" in await response.text()
        for path in ("/livez", "/readyz/ping"):
            async with session.get(path) as response:
                assert (response.status, await response.text()) == (200, "ok")
    await create(served, "a")
    async with session.get("/readyz?verbose") as response:
        assert await response.text() == "[+]ping ok\n[+]store ok\nreadyz check passed\n"


async def test_documents_are_only_read(session: aiohttp.ClientSession) -> None:
    for path in ("/version", "/apis", "/openapi/v2"):
        async with session.post(path, data="{}") as response:
            await refused(response, 405, "MethodNotAllowed")


async def test_metrics_count_requests_and_objects(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, "a", "b")
    for path in (f"{MAPS}/a", f"{MAPS}/missing", MAPS, "/nowhere"):
        async with session.get(path) as response:
            await response.read()
    async with session.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4"
        lines = (await response.text()).splitlines()
    one = 'verb="GET",group="",version="v1",resource="configmaps",subresource="",scope="resource"'
    assert f'apiserver_request_total{{{one},code="200"}} 1' in lines
    assert f'apiserver_request_total{{{one},code="404"}} 1' in lines
    assert f'apiserver_request_duration_seconds_bucket{{{one},le="+Inf"}} 2' in lines
    assert f"apiserver_request_duration_seconds_count{{{one}}} 2" in lines
    none = 'verb="GET",group="",version="",resource="",subresource="",scope=""'
    assert f'apiserver_request_total{{{none},code="404"}} 1' in lines
    assert 'apiserver_resource_objects{group="",resource="configmaps"} 2' in lines
    memory = next(line for line in lines if line.startswith("process_resident_memory_bytes "))
    assert int(memory.split()[1]) > 1 << 20


async def test_openapi_is_not_sent_twice(session: aiohttp.ClientSession) -> None:
    async with session.get("/openapi/v3") as response:
        url = (await response.json())["paths"]["apis/apps/v1"]["serverRelativeURL"]
    async with session.get(url) as response:
        assert "io.k8s.api.apps.v1.Deployment" in (await response.json())["components"]["schemas"]
        tag = response.headers["ETag"]
    async with session.get(url, headers={"If-None-Match": tag}) as response:
        assert response.status == 304


async def test_every_answer_has_an_audit_id(session: aiohttp.ClientSession) -> None:
    async with session.get("/nowhere") as response:
        assert response.headers["Audit-Id"]
        assert await refused(response, 404, "NotFound") == "the server could not find the requested resource"


async def test_tables_and_metadata_only(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, "a")
    async with session.get(MAPS, headers={"Accept": TABLE}) as response:
        table = await response.json()
    assert (table["kind"], table["rows"][0]["cells"][0]) == ("Table", "a")
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    async with session.get(MAPS, headers={"Accept": accept}) as response:
        listed = await response.json()
    assert (listed["kind"], listed["items"][0]["kind"]) == ("PartialObjectMetadataList", "PartialObjectMetadata")
    assert "data" not in listed["items"][0]


async def test_asking_for_protobuf_gets_json(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, "a")
    async with session.get(f"{MAPS}/a", headers={"Accept": "application/vnd.kubernetes.protobuf"}) as response:
        assert response.content_type == "application/json"


async def test_answers_in_yaml_and_in_nothing_else_that_is_asked_for(
    session: aiohttp.ClientSession, served: Served
) -> None:
    await create(served, "a")
    async with session.get(f"{MAPS}/a", headers={"Accept": "application/yaml"}) as response:
        assert response.content_type == "application/yaml"
        assert yaml.safe_load(await response.text())["metadata"]["name"] == "a"
    for accept, code in (("text/html", 406), ("text/html,*/*;q=0.8", 200), ("application/cbor", 200)):
        async with session.get(MAPS, headers={"Accept": accept}) as response:
            assert response.status == code
            if code == 406:
                assert "only the following media types are accepted" in await refused(response, 406, "NotAcceptable")


async def test_a_body_that_is_no_json_is_told_by_its_beginning(session: aiohttp.ClientSession) -> None:
    for body, shown in ((b"{", "unexpected end of JSON input ({)"), (b"", "unexpected end of JSON input (<empty>)")):
        async with session.post(MAPS, data=body, headers={"Content-Type": "application/json"}) as response:
            assert shown in await refused(response, 400, "BadRequest")


async def test_the_issuer_of_tokens_is_known_to_who_checks_them(session: aiohttp.ClientSession, served: Served) -> None:
    async with session.get("/.well-known/openid-configuration") as response:
        found = await response.json()
    async with session.get("/openid/v1/jwks") as response:
        assert response.content_type == "application/jwk-set+json"
        key = json.loads(await response.text())["keys"][0]
    assert (found["issuer"], key["kty"]) == (served.registry.tokens.issuer, "EC")
    token = served.registry.tokens.issue("system:serviceaccount:default:a", (), 600, {}).token
    signed, _, signature = token.rpartition(".")
    x, y, raw = (base64.urlsafe_b64decode(f"{text}==") for text in (key["x"], key["y"], signature))
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    numbers.public_key().verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))


async def test_a_large_answer_is_whole(session: aiohttp.ClientSession) -> None:
    for number in range(8):
        async with session.post(MAPS, json=config_map(f"m{number}", k="x" * 100_000)) as response:
            assert response.status == 201
    plain = {"Accept-Encoding": "identity"}
    async with session.get(MAPS, headers=plain) as response:
        body = await response.read()
    assert int(response.headers["Content-Length"]) == len(body) > 800_000
    assert [len(one["data"]["k"]) for one in json.loads(body)["items"]] == [100_000] * 8
    async with session.head(MAPS, headers=plain) as response:
        assert (response.status, await response.read()) == (200, b"")
    async with session.get(f"{MAPS}/m0", headers=plain) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        ("Expect: 100-continue\r\nContent-Length: 30", "", "HTTP/1.1 100 Continue"),
        ("Content-Encoding: gzip\r\nContent-Length: 3", "abc", "HTTP/1.1 400 Bad Request"),
    ],
)
async def test_bodies_that_are_waited_for_or_packed(
    served: Served, caplog: pytest.LogCaptureFixture, head: str, body: str, said: str
) -> None:
    host, port = served.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls_context(served.pki.ca_certificate))
    request = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n{head}\r\n\r\n{body}"
    try:
        writer.write(request.encode())
        async with asyncio.timeout(30):
            first = (await reader.readline()).decode().strip()
    finally:
        writer.transport.abort()
    assert first == said
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []


async def test_a_long_selector_is_read(session: aiohttp.ClientSession) -> None:
    names = ",".join(f"name-{number}" for number in range(2000))
    async with session.get(MAPS, params={"labelSelector": f"name in ({names})"}) as response:
        assert (response.status, (await response.json())["items"]) == (200, [])


async def test_yaml_bodies(session: aiohttp.ClientSession) -> None:
    body = yaml.safe_dump(config_map("a", k="v"))
    async with session.post(MAPS, data=body, headers={"Content-Type": "application/yaml"}) as response:
        assert (response.status, (await response.json())["data"]) == (201, {"k": "v"})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"k8s\x00\xff\xff", b"\xff\xfe", b'{"metadata": 1}']
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
)
async def test_bodies_that_are_no_object(session: aiohttp.ClientSession, body: bytes, content_type: str) -> None:
    async with session.post(MAPS, data=body, headers={"Content-Type": content_type}) as response:
        await refused(response, 400, "BadRequest")


async def test_unknown_media_types(session: aiohttp.ClientSession) -> None:
    for media_type in ("text/xml", "text/plain", "application/x-www-form-urlencoded"):
        async with session.post(MAPS, data=b"{}", headers={"Content-Type": media_type}) as response:
            await refused(response, 415, "UnsupportedMediaType")
    async with session.patch(f"{MAPS}/a", data=b"{}", headers={"Content-Type": "application/json"}) as response:
        await refused(response, 415, "UnsupportedMediaType")


async def test_bodies_larger_than_three_mebibytes(session: aiohttp.ClientSession, served: Served) -> None:
    body = io.BytesIO(json.dumps(config_map("a", k="x" * (3 << 20))).encode())
    async with session.post(MAPS, data=body, headers={"Content-Type": "application/json"}) as response:
        await refused(response, 413, "RequestEntityTooLarge")
    assert served.registry.list(CONFIG_MAP).revisions == []


async def test_large_answers_are_compressed_when_asked(session: aiohttp.ClientSession, served: Served) -> None:
    for name in "abc":
        await served.local.create(CONFIG_MAP, config_map(name, k="x" * 1_000_000), "default")
    async with session.get(MAPS) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert [len(item["data"]["k"]) for item in (await response.json())["items"]] == [1_000_000] * 3
    async with session.get(MAPS, headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert len(await response.read()) > 3_000_000


async def test_field_validation(session: aiohttp.ClientSession, served: Served) -> None:
    body = config_map("a") | {"dta": {}}
    async with session.post(f"{MAPS}?fieldValidation=Strict", json=body) as response:
        assert 'strict decoding error: unknown field "dta"' in await refused(response, 400, "BadRequest")
    async with session.post(MAPS, json=body) as response:
        assert response.status == 201
        assert response.headers["Warning"] == '299 - "unknown field \\"dta\\""'
        assert "dta" not in await response.json()
    twice = b'{"metadata": {"name": "b"}, "data": {"k": "1"}, "data": {"k": "2"}}'
    async with session.post(
        f"{MAPS}?fieldValidation=Strict", data=twice, headers={"Content-Type": "application/json"}
    ) as response:
        assert 'duplicate field "data"' in await refused(response, 400, "BadRequest")


async def test_dry_run_stores_nothing(session: aiohttp.ClientSession, served: Served) -> None:
    revision = served.registry.store.revision
    async with session.post(f"{MAPS}?dryRun=All", json=config_map("a")) as response:
        assert (response.status, (await response.json())["metadata"]["name"]) == (201, "a")
    await create(served, "b")
    async with session.delete(f"{MAPS}/b?dryRun=All") as response:
        assert response.status == 200
    assert served.registry.store.revision == revision + 1


async def test_pages_are_of_one_snapshot(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, *"abcde")
    async with session.get(MAPS, params={"limit": 2}) as response:
        first = await response.json()
    assert first["metadata"]["remainingItemCount"] == 3
    await served.local.delete(CONFIG_MAP, "c", "default")
    await create(served, "bb")
    names = [item["metadata"]["name"] for item in first["items"]]
    token = first["metadata"]["continue"]
    while token:
        async with session.get(MAPS, params={"limit": 2, "continue": token}) as response:
            page = await response.json()
        names += [item["metadata"]["name"] for item in page["items"]]
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        token = page["metadata"].get("continue")
    assert names == list("abcde")


@pytest.mark.parametrize(
    "query", ["limit=x", "continue=@@", "labelSelector=a%20b", "fieldSelector=spec.x%3D1", "watch=1&resourceVersion=x"]
)
async def test_malformed_parameters(session: aiohttp.ClientSession, query: str) -> None:
    async with session.get(f"{MAPS}?{query}") as response:
        await refused(response, 400, "BadRequest")


async def test_delete_answers(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, "a", "b", "c")
    async with session.delete(f"{MAPS}/a") as response:
        status = await response.json()
    assert (status["status"], status["details"]["name"], status["details"]["kind"]) == ("Success", "a", "configmaps")
    async with session.delete(MAPS, params={"fieldSelector": "metadata.name!=c"}) as response:
        assert [item["metadata"]["name"] for item in (await response.json())["items"]] == ["b"]
    assert [r.key.name for r in served.registry.list(CONFIG_MAP, "default").revisions] == ["c"]


@pytest.mark.parametrize(("method", "path"), [("POST", f"{MAPS}/a"), ("PUT", MAPS), ("OPTIONS", MAPS)])
async def test_methods_that_are_not_served(session: aiohttp.ClientSession, method: str, path: str) -> None:
    async with session.request(method, path, json={}) as response:
        await refused(response, 405, "MethodNotAllowed")


async def test_names_in_url_and_body_agree(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, "a")
    async with session.put(f"{MAPS}/a", json=config_map("b")) as response:
        message = await refused(response, 400, "BadRequest")
    assert message == "the name of the object (b) does not match the name on the URL (a)"
    elsewhere = config_map("a")
    elsewhere["metadata"]["namespace"] = "kube-system"
    async with session.post(MAPS, json=elsewhere) as response:
        await refused(response, 400, "BadRequest")


class TestWho:
    """Authentication and authorization."""

    async def get(self, served: Served, path: str, token: str = "") -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connector = aiohttp.TCPConnector(ssl=tls_context(served.pki.ca_certificate))
        async with (
            aiohttp.ClientSession(served.url, connector=connector, headers=headers) as session,
            session.get(path) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if text.startswith("{") else {"message": text}

    async def token(self, served: Served, name: str) -> str:
        await served.local.create(SERVICE_ACCOUNT, {"metadata": {"name": name}}, "default")
        made = await served.local.create(SERVICE_ACCOUNT, {}, "default", subresource="token", name=name)
        return str(made["status"]["token"])

    async def test_anonymous_sees_health_and_version_only(self, served: Served) -> None:
        assert (await self.get(served, "/healthz"))[0] == 200
        assert (await self.get(served, "/version"))[0] == 200
        code, status = await self.get(served, "/apis")
        assert (code, status["message"]) == (403, 'forbidden: User "system:anonymous" cannot get path "/apis"')
        code, status = await self.get(served, "/api/v1/pods")
        assert code == 403
        who = 'pods is forbidden: User "system:anonymous" cannot list resource "pods"'
        assert status["message"] == f'{who} in API group "" at the cluster scope'

    async def test_service_accounts_see_discovery(self, served: Served) -> None:
        token = await self.token(served, "robot")
        assert (await self.get(served, "/apis", token))[0] == 200
        code, status = await self.get(served, "/apis/apps/v1/namespaces/default/deployments/x", token)
        assert code == 403
        assert status["message"] == (
            'deployments.apps "x" is forbidden: User "system:serviceaccount:default:robot" cannot get resource '
            '"deployments" in API group "apps" in the namespace "default"'
        )

    async def test_bad_tokens_are_nobodys(self, served: Served) -> None:
        token = await self.token(served, "robot")
        assert (await self.get(served, "/version", "nonsense"))[0] == 401
        head, body, signature = token.split(".")
        assert (await self.get(served, "/apis", f"{head}.{body}.{signature[::-1]}"))[0] == 401
        await served.local.delete(SERVICE_ACCOUNT, "robot", "default")
        assert (await self.get(served, "/apis", token))[0] == 401

    async def test_only_masters_act_as_others(self, served: Served) -> None:
        token = await self.token(served, "robot")
        connector = aiohttp.TCPConnector(ssl=tls_context(served.pki.ca_certificate))
        headers = {"Authorization": f"Bearer {token}", "Impersonate-User": "admin"}
        async with (
            aiohttp.ClientSession(served.url, connector=connector, headers=headers) as session,
            session.get("/apis") as response,
        ):
            message = await refused(response, 403, "Forbidden")
        assert message.startswith('users "admin" is forbidden: User "system:serviceaccount:default:robot" cannot')


@pytest.mark.parametrize(("version", "code"), [("policy/v1", 201), ("policy/v1beta1", 201), ("policy/v1alpha1", 400)])
async def test_evictions_of_old_clients_are_taken(
    served: Served, session: aiohttp.ClientSession, version: str, code: int
) -> None:
    body = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    await served.local.create(POD, body, "default")
    eviction = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "one", "namespace": "default"}}
    async with session.post("/api/v1/namespaces/default/pods/one/eviction", json=eviction) as response:
        assert response.status == code


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            422,
            'resourceVersionMatch \\"exact\\" is forbidden for resourceVersion \\"0\\"',
        ),
        (
            "resourceVersionMatch=x&resourceVersion=1",
            422,
            'Unsupported value: \\"x\\": supported values: \\"Exact\\", \\"NotOlderThan\\", \\"\\"',
        ),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("watch=1&sendInitialEvents=true", 422, "sendInitialEvents requires setting resourceVersionMatch to"),
        ("watch=1&resourceVersionMatch=NotOlderThan", 422, "is forbidden for watch unless sendInitialEvents is"),
        ("resourceVersion=99999999", 504, "Too large resource version: 99999999, current: "),
        ("resourceVersion=99999999&resourceVersionMatch=Exact", 504, "Too large resource version: 99999999, current: "),
        ("continue=abc", 400, "continue key is not valid"),
    ],
)
async def test_options_of_lists(session: aiohttp.ClientSession, query: str, code: int, message: str) -> None:
    async with session.get(f"/api/v1/pods?{query}") as response:
        assert (response.status, message in await response.text()) == (code, True), await response.text()


async def test_a_list_goes_on_after_its_snapshot_is_forgotten(served: Served, session: aiohttp.ClientSession) -> None:
    for name in "abc":
        await served.local.create(CONFIG_MAP, {"metadata": {"name": name}}, "default")
    base = "/api/v1/namespaces/default/configmaps"

    async def page(**query: str) -> Any:
        async with session.get(base, params=query) as response:
            return await response.json()

    token = (await page(limit="1"))["metadata"]["continue"]
    both = await page(resourceVersion="5", **{"continue": token})
    assert both["message"] == "specifying resource version is not allowed when using continue"
    await served.local.delete(CONFIG_MAP, "b", "default")
    served.registry.store._history.floor = served.registry.store.revision
    expired = await page(limit="1", **{"continue": token})
    assert (expired["code"], expired["reason"]) == (410, "Expired")
    assert expired["message"].startswith("The provided continue parameter is too old to display a consistent list")
    rest = await page(**{"continue": expired["metadata"]["continue"]})
    assert "c" in [one["metadata"]["name"] for one in rest["items"]]
    assert "b" not in [one["metadata"]["name"] for one in rest["items"]]


async def test_an_update_makes_some_kinds_of_objects(session: aiohttp.ClientSession, served: Served) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    for name, version in (("a", {}), ("b", {"resourceVersion": "7"})):
        body = {"metadata": {"name": name} | version, "spec": {"holderIdentity": "x"}}
        async with session.put(f"{path}/{name}", json=body) as response:
            assert response.status == 201
            made = await response.json()
    async with session.put(f"{path}/b", json=made) as response:
        assert response.status == 200
    async with session.put(f"{path}/b", json={"metadata": {"name": "b"}}) as response:
        assert await refused(response, 422, "Invalid") == (
            'leases.coordination.k8s.io "b" is invalid: '
            "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
        )
    async with session.put(f"{path}/c", json={"metadata": {"name": "d"}}) as response:
        await refused(response, 400, "BadRequest")
    async with session.put(f"{MAPS}/c", json=config_map("c")) as response:
        await refused(response, 404, "NotFound")
