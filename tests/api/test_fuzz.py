"""Requests that make little sense: whatever is sent gets an answer that is no 500 and no traceback, and what is refused
has changed nothing."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import aiohttp
import orjson
import pytest
from yarl import URL

from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, POD, SERVED, SERVICE
from controlplane.api.types import Kind
from tests.api.conftest import Served
from tests.unit.server.test_fuzz import ODD, Bodies

REQUESTS = 700
METHODS = ("GET", "GET", "POST", "POST", "PUT", "PATCH", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
NAMES = (
    "web",
    "web",
    "web",
    "one",
    "A_b",
    "%2e%2e",
    "a%2Fb",
    "%00",
    "..",
    "x" * 300,
    "%ff%fe",
    "web:80",
    "a:b:c:d",
    "",
)
PARTS = ("", "", "", "/status", "/scale", "/log", "/exec", "/eviction", "/binding", "/token", "/proxy", "/proxy/x")
MORE_PARTS = (
    "/ephemeralcontainers",
    "/portforward",
    "/attach",
    "/finalize",
    "/approval",
    "/nothing",
    "//",
    "/status/x",
)
OTHER_PATHS = (
    *(
        "/",
        "/api",
        "/apis",
        "/api/v1",
        "/api/v9/pods",
        "/apis/apps",
        "/apis/none/v1/x",
        "//api//v1//pods",
        "/openapi/v3",
    ),
    *("/openapi/v3/apis/apps/v1", "/healthz/nothing", "/livez?verbose", "/metrics", "/version/x", "/api/v1/watch/pods"),
    *("/api/v1/namespaces/", "/api/v1/namespaces//pods", "/api/v1/namespaces/default/", "/apis/apps/v1/watch", "/%00"),
)
PARAMETERS: dict[str, tuple[str, ...]] = {
    "limit": ("1", "0", "-1", "x", "99999999999999999999"),
    "continue": ("x", "%00", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", "////", ""),
    "resourceVersion": ("0", "1", "-1", "x", "99999999", "1.5"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x", ""),
    "labelSelector": ("a=b", "a in (", "!,", "=", "a notin (b),c", "%ff", "a>x", "((((("),
    "fieldSelector": ("metadata.name=web", "x=y", "=", "spec.nodeName!=", "metadata.name=a\\"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "x", ""),
    "dryRun": ("All", "x", ""),
    "fieldManager": ("me", "x" * 200, "\u0007", ""),
    "force": ("true", "x"),
    "propagationPolicy": ("Foreground", "Orphan", "x"),
    "gracePeriodSeconds": ("0", "-1", "x", "99999999999"),
    "timeoutSeconds": ("1", "-1", "x"),
    "sendInitialEvents": ("true", "x"),
    "includeObject": ("None", "Object", "x"),
    "tailLines": ("-1", "x", "99999999999999999999"),
    "sinceTime": ("x", "2026-01-01T00:00:00Z"),
    "container": ("c", "none"),
    "command": ("true",),
    "ports": ("80", "x", "0", "99999"),
    "pretty": ("true", "x"),
}
CONTENT_TYPES = (
    *("application/json", "application/json", "", "application/yaml", "application/merge-patch+json", "x/y", "a;;=,"),
    *("application/strategic-merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"),
    *("application/vnd.kubernetes.protobuf", "application/json; charset=latin1"),
)
ACCEPTS = (
    *("", "*/*", "application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/yaml", ";;;", "x"),
    *("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf"),
    *("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/json;as=Nothing;v=v9;g=x"),
)
PATCHES: tuple[Any, ...] = (
    [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}],
    [{"op": "replace", "path": "/spec/replicas", "value": "x"}, {"op": "test", "path": "/", "value": 1}],
    [{"op": "remove", "path": "/metadata"}],
    [{"op": "move", "from": "/spec", "path": "/spec/x"}],
    [{"op": "copy", "from": "", "path": "/spec"}],
    [{"op": "add", "path": "/metadata/~2x/-"}],
    {"metadata": {"name": "other"}},
    {"metadata": None},
    {"spec": None},
    {"metadata": {"labels": {"$patch": "replace", "a": "b"}}},
    {"spec": {"containers": [{"$patch": "delete"}]}},
    {"spec": {"$setElementOrder/containers": [1], "containers": [{"name": "c"}]}},
    {"spec": {"$deleteFromPrimitiveList/x": 5}},
    {"$retainKeys": 7},
    {"metadata": {"managedFields": [{"fieldsV1": {"x": 1}}]}},
    {"metadata": {"finalizers": ["x"], "ownerReferences": [{}]}},
    {"metadata": {"uid": "other", "resourceVersion": "1"}},
    "text",
    [],
    5,
    None,
)
GARBAGE = (
    *(b"", b"{", b"[" * 5000, b"\xff\xfe", b"null", b"k8s\x00", b"k8s\x00\x0a\xff\xff\xff\xff\x0f", b"- a: &x [*x]\n"),
    *(
        b'{"a":' * 2000,
        b"a: !!python/object:os.system {}",
        b'{"kind": "Pod"',
        b'{"metadata": {"name": "\\ud800"}}',
        b"1e999",
    ),
)


UNREACHABLE = (b"error dialing backend: no agent is running for node", b"no preferred addresses found")
"""What upstream too answers with 500: a pod or a node whose kubelet cannot be asked."""


class Requests:
    """Random requests, most of them nearly right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._bodies = Bodies(seed)

    def next(self) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, path with query, body and headers of one."""
        pick = self.random.choice
        kind = pick((*SERVED, POD, POD, SERVICE, DEPLOYMENT, CONFIG_MAP))
        method = pick(METHODS)
        if self.random.random() < 0.5:
            return self._sensible(kind, method)
        headers = {"Content-Type": pick(CONTENT_TYPES), "Accept": pick(ACCEPTS)}
        if self.random.random() < 0.1:
            name = pick(("Impersonate-User", "If-None-Match", "Upgrade", "X-Stream-Protocol-Version"))
            headers[name] = pick(NAMES[:5])
        return method, self._path(kind) + self._query(), self._body(kind), headers

    def _sensible(self, kind: Kind, method: str) -> tuple[str, str, bytes, dict[str, str]]:
        """A request with at most one thing that is wrong."""
        pick = self.random.choice
        base = f"{kind.path}/namespaces/default/{kind.plural}" if kind.namespaced else f"{kind.path}/{kind.plural}"
        if method == "POST":
            return method, base, orjson.dumps(self._bodies.of(kind)), {"Content-Type": "application/json"}
        path = f"{base}/web{pick(PARTS)}"
        if method == "PATCH":
            patch = pick(PATCHES) if self.random.random() < 0.5 else self._bodies.of(kind)
            form = "json-patch" if isinstance(patch, list) else pick(("merge-patch", "strategic-merge-patch"))
            return method, path, orjson.dumps(patch), {"Content-Type": f"application/{form}+json"}
        body = orjson.dumps(self._bodies.of(kind)) if method == "PUT" else b""
        return method, path, body, {"Content-Type": "application/json"}

    def _path(self, kind: Kind) -> str:
        pick = self.random.choice
        if self.random.random() < 0.1:
            return str(pick(OTHER_PATHS))
        middle = f"/namespaces/{pick(('default', 'default', 'default', 'none', 'A_b'))}" if kind.namespaced else ""
        path = f"{kind.path}{middle}/{kind.plural}"
        if self.random.random() < 0.3:
            return path
        return f"{path}/{pick(NAMES)}{pick(PARTS + MORE_PARTS)}"

    def _query(self) -> str:
        names = self.random.sample(list(PARAMETERS), self.random.choice((0, 0, 1, 2, 3)))
        found = URL.build(query={name: self.random.choice(PARAMETERS[name]) for name in names})
        return str(found)

    def _body(self, kind: Kind) -> bytes:
        chance = self.random.random()
        if chance < 0.5:
            return orjson.dumps(self._bodies.of(kind))
        if chance < 0.75:
            return orjson.dumps(self.random.choice(PATCHES))
        if chance < 0.9:
            return self.random.choice(GARBAGE)
        return orjson.dumps(self.random.choice(ODD), default=str)


@pytest.mark.parametrize("seed", range(3))
async def test_requests_are_answered_and_refusals_change_nothing(
    served: Served, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    caplog.set_level(logging.WARNING)
    body = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    await served.local.create(POD, body, "default")
    requests, codes = Requests(seed), set[int]()
    for _ in range(REQUESTS):
        method, path, data, headers = requests.next()
        revision = served.registry.store.revision
        sent = f"{method} {path} {headers} {data[:2000]!r}"
        async with (
            asyncio.timeout(30),
            session.request(
                method, URL(served.url + path, encoded=True), data=data, headers=headers, allow_redirects=False
            ) as response,
        ):
            codes.add(response.status)
            said = b"" if method == "HEAD" or response.status == 200 else await response.read()
        if not any(text in said for text in UNREACHABLE):
            assert response.status not in (500, 507), f"{sent}: {said!r}"
        if response.status >= 400:
            assert served.registry.store.revision == revision, f"{sent}: {said!r}"
        assert not [record for record in caplog.records if record.exc_info], sent
    assert {200, 201, 400, 404, 405, 415, 422} <= codes
