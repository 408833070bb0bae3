"""Admission webhooks: real HTTPS servers that change, judge, fail and warn."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controlplane.api.errors import Invalid
from controlplane.api.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    LEASE,
    MUTATING_WEBHOOK_CONFIGURATION,
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    ROLE,
    ROLE_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from tests.api.conftest import Served
from tests.api.crds import kind_of, version, widget, widgets

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"Content-Type": "application/merge-patch+json"}

Review = dict[str, Any]
Answer = Callable[[Review], dict[str, Any]]


@dataclass
class Hooks:
    """A webhook server: what it answers by path, and the requests that it has seen."""

    url: str = ""
    ca: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[Review] = field(default_factory=list)
    gate: Callable[[], Awaitable[None]] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        self.seen.append(asked | {"path": request.path})
        if self.gate is not None:
            await self.gate()
        response = {"uid": asked["uid"]} | self.answers[request.path](asked)
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

    def webhook(self, path: str, **more: Any) -> dict[str, Any]:
        rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
        return {
            "name": f"{path.strip('/')}.example.com",
            "clientConfig": {"url": f"{self.url}{path}", "caBundle": self.ca},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        } | more


def patching(*operations: dict[str, Any]) -> Answer:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda asked: {"allowed": True, "patchType": "JSONPatch", "patch": text}


def allowing(asked: Review) -> dict[str, Any]:
    return {"allowed": True}


def label(name: str) -> Answer:
    def answer(asked: Review) -> dict[str, Any]:
        labels = {**asked["object"]["metadata"].get("labels", {}), name: "yes"}
        return patching({"op": "add", "path": "/metadata/labels", "value": labels})(asked)

    return answer


@pytest.fixture
async def hooks(served: Served) -> AsyncIterator[Hooks]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served.pki.server_certificate, served.pki.server_key)
    found = Hooks(ca=base64.b64encode(served.pki.ca_certificate.read_bytes()).decode())
    app = web.Application()
    app.router.add_post("/{path}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    found.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def configure(served: Served, kind: Any, name: str, *webhooks: dict[str, Any]) -> None:
    await served.local.create(kind, {"metadata": {"name": name}, "webhooks": list(webhooks)})


async def create(session: aiohttp.ClientSession, name: str, query: str = "", **more: Any) -> tuple[int, Any, list[str]]:
    async with session.post(f"{MAPS}{query}", json={"metadata": {"name": name}} | more) as response:
        return response.status, await response.json(), response.headers.getall("Warning", [])


async def test_webhooks_change_objects_in_the_order_of_their_names(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hooks.answers = {"/first": label("first"), "/second": label("second")}
    await configure(served, MUTATING_WEBHOOK_CONFIGURATION, "b", hooks.webhook("/second"))
    await configure(served, MUTATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/first"))
    code, made, _ = await create(session, "m")
    assert (code, made["metadata"]["labels"]) == (201, {"first": "yes", "second": "yes"})
    assert [one["path"] for one in hooks.seen] == ["/first", "/second"]
    asked = hooks.seen[0]
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "m", "default")
    assert (asked["oldObject"], asked["dryRun"]) == (None, False)
    assert asked["userInfo"]["username"] == "admin"
    assert asked["options"]["kind"] == "CreateOptions"


async def test_one_that_wishes_is_asked_again(served: Served, session: aiohttp.ClientSession, hooks: Hooks) -> None:
    hooks.answers = {"/first": label("first"), "/second": label("second")}
    again = {"reinvocationPolicy": "IfNeeded"}
    await configure(
        served, MUTATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/first", **again), hooks.webhook("/second")
    )
    await create(session, "m")
    assert [one["path"] for one in hooks.seen] == ["/first", "/second", "/first"]


async def test_what_a_webhook_makes_of_an_object_is_checked(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hooks.answers["/bad"] = patching({"op": "add", "path": "/data", "value": {"a/b": "x"}})
    await configure(served, MUTATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/bad"))
    code, refused, _ = await create(session, "m")
    assert (code, refused["reason"]) == (422, "Invalid")
    hooks.answers["/bad"] = patching({"op": "remove", "path": "/nothing"})
    code, refused, _ = await create(session, "m")
    assert (code, refused["reason"]) == (500, "InternalError")


async def test_a_refusal_says_who_and_why(served: Served, session: aiohttp.ClientSession, hooks: Hooks) -> None:
    status = {"code": 403, "reason": "Forbidden", "message": "no such names"}
    hooks.answers["/judge"] = lambda asked: {"allowed": asked["name"] == "good", "status": status, "warnings": ["hm"]}
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge"))
    code, refused, warnings = await create(session, "bad")
    assert (code, refused["reason"], refused["code"]) == (403, "Forbidden", 403)
    assert refused["message"] == 'admission webhook "judge.example.com" denied the request: no such names'
    assert warnings == ['299 - "hm"']
    code, _, warnings = await create(session, "good")
    assert (code, warnings) == (201, ['299 - "hm"'])
    hooks.answers["/judge"] = lambda asked: {"allowed": False}
    code, refused, _ = await create(session, "bad")
    assert refused["message"] == 'admission webhook "judge.example.com" denied the request without explanation'
    assert code == 400
    async with session.delete(f"{MAPS}/good") as response:
        assert response.status == 400
    asked = hooks.seen[-1]
    assert (asked["operation"], asked["object"], asked["oldObject"]["metadata"]["name"]) == ("DELETE", None, "good")


async def test_rules_and_selectors_say_what_is_asked(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hooks.answers["/judge"] = allowing
    rule = {
        "operations": ["UPDATE"],
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": ["*"],
        "scope": "Namespaced",
    }
    selectors = {
        "namespaceSelector": {"matchLabels": {"watched": "yes"}},
        "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
    }
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge", rules=[rule], **selectors))

    async def touch(name: str) -> int:
        before = len(hooks.seen)
        async with session.patch(f"{MAPS}/{name}", json={"data": {"n": str(before)}}, headers=MERGE) as response:
            assert response.status == 200
        return len(hooks.seen) - before

    await create(session, "m")
    await create(session, "skipped", metadata={"name": "skipped", "labels": {"skip": ""}})
    assert await touch("m") == 0
    await served.local.patch(NAMESPACE, "default", body={"metadata": {"labels": {"watched": "yes"}}})
    assert hooks.seen == []
    assert await touch("m") == 1
    assert await touch("skipped") == 0
    assert hooks.seen[0]["oldObject"]["metadata"]["name"] == "m"


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_a_webhook_that_cannot_be_asked(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks, policy: str
) -> None:
    gone = {"clientConfig": {"url": "https://127.0.0.1:1/x", "caBundle": hooks.ca}, "failurePolicy": policy}
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge", **gone))
    code, answer, _ = await create(session, "m")
    if policy == "Ignore":
        assert code == 201
        return
    assert (code, answer["reason"]) == (500, "InternalError")
    assert answer["message"] == (
        'Internal error occurred: failed calling webhook "judge.example.com": failed to call webhook: '
        'Post "https://127.0.0.1:1/x?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused'
    )


async def test_who_is_not_trusted_or_late_or_talks_nonsense(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    def judge(**more: Any) -> dict[str, Any]:
        return hooks.webhook("/judge", timeoutSeconds=1, **more)

    async def said(**more: Any) -> str:
        body = {"webhooks": [judge(**more)]}
        await served.local.patch(VALIDATING_WEBHOOK_CONFIGURATION, "a", body=body)
        code, answer, _ = await create(session, "m")
        assert code == 500
        return str(answer["message"])

    hooks.answers["/judge"] = lambda asked: {"allowed": True, "uid": "another"}
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", judge())
    assert "received invalid webhook response: expected response.uid=" in await said()
    assert "x509: certificate signed by unknown authority" in await said(clientConfig={"url": f"{hooks.url}/judge"})
    never = asyncio.Event()
    hooks.gate = never.wait  # type: ignore[assignment]
    assert "context deadline exceeded" in await said()
    never.set()


async def test_dry_run_needs_a_webhook_without_side_effects(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hooks.answers["/judge"] = allowing
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge"))
    code, _, _ = await create(session, "m", "?dryRun=All")
    assert (code, hooks.seen[0]["dryRun"]) == (201, True)
    assert (await served.local.list(CONFIG_MAP, "default")).items == []


async def test_a_write_that_another_overtakes_begins_again(served: Served, hooks: Hooks) -> None:
    hooks.answers["/judge"] = allowing
    client = served.local
    await client.create(CONFIG_MAP, {"metadata": {"name": "m"}}, "default")
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge"))
    bodies = [{"data": {str(number): "x"}} for number in range(6)]
    await asyncio.gather(*(client.patch(CONFIG_MAP, "m", "default", body=body) for body in bodies))
    found = await client.get(CONFIG_MAP, "m", "default")
    assert len(found["data"]) == 6
    assert len(hooks.seen) > 6


@pytest.mark.parametrize("verb", ["update", "patch"])
async def test_who_may_not_create_does_not_by_a_write_that_is_overtaken(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks, verb: str
) -> None:
    """The Lease goes while the webhook is asked: what was an update would then make it anew."""
    rule = {"operations": ["UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["leases"]}
    hooks.answers["/judge"] = allowing
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge", rules=[rule]))
    rights = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update", "patch"]}
    await served.local.create(ROLE, {"metadata": {"name": "r"}, "rules": [rights]}, "default")
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    await served.local.create(
        ROLE_BINDING, {"metadata": {"name": "b"}, "roleRef": role, "subjects": [subject]}, "default"
    )
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    lease = dict(await served.local.create(LEASE, lease, "default"))

    async def gone() -> None:
        await served.local.delete(LEASE, "l", "default")

    hooks.gate = gone
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "b"}}
    url, headers = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", {"Impersonate-User": "jane"}
    if verb == "update":
        asking = session.put(url, json=body | {"metadata": lease["metadata"]}, headers=headers)
    else:
        headers["Content-Type"] = "application/apply-patch+yaml"
        params = {"fieldManager": "jane", "force": "true"}
        body["metadata"] = {"name": "l"}
        asking = session.patch(url, params=params, json=body, headers=headers)
    async with asking as response:
        refused = await response.json()
    assert (response.status, len(hooks.seen)) == (403, 1), refused
    assert 'User "jane" cannot create resource "leases"' in refused["message"]
    assert (await served.local.list(LEASE, "default")).items == []


async def test_configurations_are_nobodys_business(served: Served, hooks: Hooks) -> None:
    everything = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]
    hooks.answers["/judge"] = lambda asked: {"allowed": False}
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge", rules=everything))
    await served.local.delete(VALIDATING_WEBHOOK_CONFIGURATION, "a")
    assert hooks.seen == []
    await served.local.create(CONFIG_MAP, {"metadata": {"name": "m"}}, "default")


async def test_another_version_of_a_resource_is_asked_about_too(served: Served, hooks: Hooks) -> None:
    hooks.answers["/judge"] = allowing
    plain = version("v1beta1", storage=False, subresources={})
    await served.local.create(CUSTOM_RESOURCE_DEFINITION, widgets(version(), plain))
    rule = {
        "operations": ["CREATE"],
        "apiGroups": ["example.com"],
        "apiVersions": ["v1beta1"],
        "resources": ["widgets"],
    }
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge", rules=[rule]))
    await served.local.create(kind_of(served), widget("w"), "default")
    assert hooks.seen[0]["object"]["apiVersion"] == "example.com/v1beta1"
    assert hooks.seen[0]["requestKind"]["version"] == "v1"
    exact = hooks.webhook("/judge", rules=[rule], matchPolicy="Exact")
    await served.local.patch(VALIDATING_WEBHOOK_CONFIGURATION, "a", body={"webhooks": [exact]})
    await served.local.create(kind_of(served), widget("x"), "default")
    assert len(hooks.seen) == 1


async def test_conditions_say_what_is_asked(served: Served, session: aiohttp.ClientSession, hooks: Hooks) -> None:
    hooks.answers["/judge"] = lambda asked: {"allowed": False}
    conditions = [
        {"name": "not-system", "expression": "!request.userInfo.username.startsWith('system:')"},
        {"name": "labelled", "expression": "object.metadata.?labels['judged'].orValue('') == 'yes'"},
    ]
    judge = hooks.webhook("/judge", matchConditions=conditions)
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", judge)
    code, _, _ = await create(session, "m")
    assert (code, hooks.seen) == (201, [])
    code, _, _ = await create(session, "n", metadata={"name": "n", "labels": {"judged": "yes"}})
    assert (code, len(hooks.seen)) == (400, 1)
    conditions[1]["expression"] = "object.metadata.labels.judged == 'yes'"
    body = {"webhooks": [judge | {"matchConditions": conditions}]}
    await served.local.patch(VALIDATING_WEBHOOK_CONFIGURATION, "a", body=body)
    code, refused, _ = await create(session, "o")
    assert code == 500
    assert "match condition 'labelled': no such key: labels" in refused["message"]


async def test_what_is_no_object_of_its_own(served: Served, session: aiohttp.ClientSession, hooks: Hooks) -> None:
    hooks.answers["/judge"] = lambda asked: {"allowed": False, "status": {"message": "not from here"}}
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/*"]}
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "x"}]}}
    await served.local.create(POD, pod, "default")
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/judge", rules=[rule]))
    place = "/api/v1/namespaces/default/pods/p"
    query = [("command", "ls"), ("command", "-l"), ("stdin", "true")]
    async with session.post(f"{place}/exec", params=query) as response:
        assert "denied the request: not from here" in (await response.json())["message"]
    asked = hooks.seen[-1]
    assert (asked["operation"], asked["subResource"], asked["name"]) == ("CONNECT", "exec", "p")
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "PodExecOptions"}
    assert (asked["object"]["command"], asked["object"]["stdin"]) == (["ls", "-l"], True)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
    async with session.post(f"{place}/eviction", json=eviction) as response:
        assert response.status == 400
    asked = hooks.seen[-1]
    assert (asked["operation"], asked["subResource"]) == ("CREATE", "eviction")
    assert asked["kind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    assert await served.local.get(POD, "p", "default")


async def test_pod_security_and_quotas_see_what_webhooks_have_made(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hardened = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    hooks.answers = {
        "/pods": patching(
            {"op": "add", "path": "/spec/containers/0/securityContext", "value": hardened},
            {"op": "add", "path": "/spec/containers/0/resources", "value": {"requests": {"cpu": "100m"}}},
        )
    }
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    await configure(served, MUTATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/pods", rules=[rule]))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await served.local.create(NAMESPACE, {"metadata": {"name": "shop", "labels": labels}})
    hard = {"requests.cpu": "150m"}
    await served.local.create(
        RESOURCE_QUOTA, {"metadata": {"name": "small", "namespace": "shop"}, "spec": {"hard": hard}}
    )

    async def make(name: str) -> tuple[int, str]:
        body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}
        async with session.post("/api/v1/namespaces/shop/pods", json=body) as response:
            return response.status, (await response.json()).get("message", "")

    assert await make("a") == (201, "")
    code, message = await make("b")
    assert code == 403
    assert "exceeded quota: small, requested: requests.cpu=100m, used: requests.cpu=100m" in message


async def test_a_webhook_cannot_move_an_object(served: Served, session: aiohttp.ClientSession, hooks: Hooks) -> None:
    hooks.answers = {"/move": patching({"op": "replace", "path": "/metadata/namespace", "value": "kube-system"})}
    await configure(served, MUTATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/move"))
    code, refused, _ = await create(session, "m")
    assert (code, refused["reason"]) == (400, "BadRequest")
    hooks.answers["/move"] = patching({"op": "remove", "path": "/metadata"})
    code, refused, _ = await create(session, "m")
    assert (code, refused["reason"]) == (422, "Invalid")


async def test_the_warnings_of_a_webhook_fit_into_the_answer(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hooks.answers = {"/warn": lambda asked: {"allowed": True, "warnings": ["one\r\ntwo: 3", "x" * 100_000, "more"]}}
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hooks.webhook("/warn"))
    code, _, warnings = await create(session, "m")
    assert (code, warnings[0]) == (201, '299 - "one  two: 3"')
    assert sum(map(len, warnings)) < 5000


async def test_a_caller_does_not_say_what_a_connection_is(
    served: Served, session: aiohttp.ClientSession, hooks: Hooks
) -> None:
    hooks.answers = {"/connect": lambda asked: {"allowed": False, "status": {"message": "no"}}}
    rule = {"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"]}
    hook = hooks.webhook("/connect", rules=[rule | {"resources": ["pods/exec", "pods/proxy"]}])
    await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", hook)
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    await served.local.create(POD, pod, "default")
    spoof = "kind=Status&apiVersion=v9&metadata=x"
    url = f"/api/v1/namespaces/default/pods/p/exec?command=sh&command=-c&tty=1&stdin=false&{spoof}"
    async with session.post(url) as response:
        assert (response.status, "denied the request: no" in (await response.json())["message"]) == (400, True)
    wanted = {"kind": "PodExecOptions", "apiVersion": "v1", "metadata": {}, "command": ["sh", "-c"]}
    assert hooks.seen[-1]["object"] == wanted | {"tty": True, "stdin": False}
    async with session.get(f"/api/v1/namespaces/default/pods/p/proxy/a/b?{spoof}") as response:
        assert response.status == 400
    assert hooks.seen[-1]["object"] == {"kind": "PodProxyOptions", "apiVersion": "v1", "metadata": {}, "path": "a/b"}


async def test_an_address_that_is_none_is_refused(served: Served, hooks: Hooks) -> None:
    webhook = hooks.webhook("/x") | {"clientConfig": {"url": "https://["}}
    with pytest.raises(Invalid, match=r"webhooks\[0\].clientConfig.url: Invalid value"):
        await configure(served, VALIDATING_WEBHOOK_CONFIGURATION, "a", webhook)
