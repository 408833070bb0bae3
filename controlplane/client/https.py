"""The client over the wire: the same interface as `local`, to any Kubernetes API server.

For node agents on other hosts, for tests, and for whatever does not live in the daemon.
"""

from __future__ import annotations

import builtins
import io
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import orjson

from controlplane.api.discovery import AGGREGATED_MEDIA_TYPE, discovered
from controlplane.api.types import Kind, Object
from controlplane.client.interface import ObjectList, PatchType, Propagation, WatchEvent
from controlplane.client.status import error_of
from controlplane.server.pki import Pair

LINE_BOUND = 16 << 20
REQUEST_SECONDS = 60.0
CONTENT_TYPES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


def tls_context(ca_certificate: Path, *, client: Pair | None = None) -> ssl.SSLContext:
    """Trusts one CA, and shows `client` where that is given; blocks on files."""
    context = ssl.create_default_context(cafile=str(ca_certificate))
    if client is not None:
        with TemporaryDirectory() as directory:
            certificate, key = Path(directory, "certificate"), Path(directory, "key")
            key.touch(mode=0o600)
            certificate.write_bytes(client.certificate)
            key.write_bytes(client.key)
            context.load_cert_chain(certificate, key)
    return context


class HttpsClient:
    """The `Client` interface over HTTPS; made by `connect`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, context: ssl.SSLContext, *, token: str = "") -> AsyncIterator[HttpsClient]:
        """A client of the server at `url`, with a bearer token where one is given."""
        headers = {"Accept": "application/json", "User-Agent": "netsim"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with aiohttp.ClientSession(
            url, connector=connector, headers=headers, timeout=timeout, read_bufsize=LINE_BOUND
        ) as session:
            yield cls(session)

    async def kinds(self) -> builtins.list[Kind]:
        found: dict[tuple[str, str], Kind] = {}
        for root in ("/api", "/apis"):
            listed = await self._call("GET", root, accept=AGGREGATED_MEDIA_TYPE)
            for kind in discovered(listed):
                found.setdefault((kind.group, kind.plural), kind)
        return list(found.values())

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        return await self._call("GET", _path(kind, namespace, name))

    async def list(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        found = await self._call("GET", _path(kind, namespace), query)
        identity = {"apiVersion": kind.api_version, "kind": kind.name}
        return ObjectList([identity | item for item in found["items"]], found["metadata"]["resourceVersion"])

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        forever = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS)
        with _translated():
            async with self._session.get(_path(kind, namespace), params=query, timeout=forever) as response:
                await _check(response)
                async for line in response.content:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise error_of(event["object"])
                    yield WatchEvent(event["type"], event["object"])

    async def create(
        self, kind: Kind, obj: Object, namespace: str = "", *, subresource: str = "", name: str = ""
    ) -> Object:
        namespace = namespace or obj.get("metadata", {}).get("namespace", "")
        return await self._call("POST", _path(kind, namespace, name, subresource), body=obj)

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        path = _path(kind, metadata.get("namespace", ""), metadata["name"], subresource)
        return await self._call("PUT", path, body=obj)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        body: Any,
        patch_type: PatchType = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        query = _query(fieldManager=field_manager, force="true" if force else "")
        path = _path(kind, namespace, name, subresource)
        return await self._call("PATCH", path, query, body=body, content_type=CONTENT_TYPES[patch_type])

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        propagation_policy: Propagation | None = None,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """As the interface says; where the object is gone at once the server may answer with a Status."""
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if propagation_policy is not None:
            options["propagationPolicy"] = propagation_policy
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if preconditions:
            options["preconditions"] = preconditions
        return await self._call("DELETE", _path(kind, namespace, name), body=options)

    async def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        # As a file: aiohttp warns of large bodies given as bytes.
        data = io.BytesIO(orjson.dumps(body)) if body is not None else None
        headers = {"Accept": accept} | ({"Content-Type": content_type} if data is not None else {})
        with _translated():
            async with self._session.request(method, path, params=query, data=data, headers=headers) as response:
                await _check(response)
                answer: Object = orjson.loads(await response.read())
                return answer


@contextmanager
def _translated() -> Iterator[None]:
    """aiohttp's errors as ConnectionError, which callers of either client know."""
    try:
        yield
    except aiohttp.ClientError as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    data = await response.read()
    try:
        status = orjson.loads(data)
    except orjson.JSONDecodeError:
        status = {"code": response.status, "message": data.decode(errors="replace")}
    raise error_of(status)


def _path(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    parts = [kind.path]
    if kind.namespaced and namespace:
        parts += ["namespaces", namespace]
    return "/".join([*parts, kind.plural, *filter(None, (name, subresource))])


def _query(**parameters: str) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if value}
