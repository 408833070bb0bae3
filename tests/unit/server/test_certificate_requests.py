"""Who asks for a certificate is entered by the server, and who approves or signs has to be allowed to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import Forbidden, Invalid
from controlplane.api.kinds import CERTIFICATE_SIGNING_REQUEST, CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from controlplane.api.types import Object
from controlplane.server.assembly import open_registry
from controlplane.server.registry import Registry
from controlplane.server.requests import User, WriteOptions
from tests.api.kinds.samples import certificate_request

MASTER = WriteOptions()
JANE = WriteOptions(user=User("jane", ("developers",)))
SIGNER = "example.com/clients"


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path / "state.db") as opened:
        yield opened


async def ask(registry: Registry, *organizations: str, signer: str = SIGNER) -> Object:
    spec = {"request": certificate_request("jane", *organizations), "signerName": signer, "usages": ["client auth"]}
    body = {"metadata": {"name": "jane"}, "spec": spec | {"username": "somebody-else", "groups": ["system:masters"]}}
    return (await registry.create(CERTIFICATE_SIGNING_REQUEST, "", body, JANE)).document


async def decide(registry: Registry, options: WriteOptions, *types: str) -> Object:
    conditions = [{"type": one, "status": "True", "reason": "Test"} for one in types]
    body: Any = {"status": {"conditions": conditions}}
    kind = CERTIFICATE_SIGNING_REQUEST
    return (await registry.patch(kind, "jane", "", body, "merge", options, subresource="approval")).document


async def allow(registry: Registry, verb: str) -> None:
    rule = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"]}
    await registry.create(CLUSTER_ROLE, "", {"metadata": {"name": verb}, "rules": [rule | {"verbs": [verb]}]}, MASTER)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": verb}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
    body = {"metadata": {"name": verb}, "roleRef": role, "subjects": [subject]}
    await registry.create(CLUSTER_ROLE_BINDING, "", body, MASTER)


async def test_who_asks_is_who_is_asking(registry: Registry) -> None:
    spec = (await ask(registry))["spec"]
    assert (spec["username"], spec["groups"]) == ("jane", ["developers"])


async def test_nobody_becomes_a_master(registry: Registry) -> None:
    why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    with pytest.raises(Forbidden, match=why):
        await ask(registry, "system:masters", signer="kubernetes.io/kube-apiserver-client")


async def test_approval_needs_the_verb_on_the_signer(registry: Registry) -> None:
    await ask(registry)
    with pytest.raises(Forbidden, match=f'user not permitted to approve requests with signerName "{SIGNER}"'):
        await decide(registry, JANE, "Approved")
    await allow(registry, "approve")
    decided = await decide(registry, JANE, "Approved")
    (condition,) = decided["status"]["conditions"]
    assert condition.keys() == {"type", "status", "reason", "lastUpdateTime", "lastTransitionTime"}
    with pytest.raises(Invalid, match="Approved and Denied conditions are mutually exclusive"):
        await decide(registry, JANE, "Approved", "Denied")
    with pytest.raises(Invalid, match='updates may not remove a condition of type "Approved"'):
        await decide(registry, JANE)


async def test_signing_needs_its_own_verb_and_decides_nothing(registry: Registry) -> None:
    await ask(registry)
    body = {"status": {"certificate": "Y2VydA==", "conditions": [{"type": "Approved", "status": "True"}]}}
    kind = CERTIFICATE_SIGNING_REQUEST
    with pytest.raises(Forbidden, match="user not permitted to sign requests with signerName"):
        await registry.patch(kind, "jane", "", body, "merge", JANE, subresource="status")
    await allow(registry, "sign")
    signed = (await registry.patch(kind, "jane", "", body, "merge", JANE, subresource="status")).document
    assert signed["status"] == {"certificate": "Y2VydA=="}
    changed = {"status": {"certificate": "b3RoZXI="}}
    with pytest.raises(Invalid, match=r"status\.certificate: Invalid value: .*: field is immutable"):
        await registry.patch(kind, "jane", "", changed, "merge", JANE, subresource="status")
