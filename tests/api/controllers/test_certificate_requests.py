"""Certificates on request: signed by the cluster's CA once they are approved, by each signer's rules."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controlplane.api.errors import NotFound
from controlplane.api.kinds import CERTIFICATE_SIGNING_REQUEST
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.certificate_requests import CertificateRequests, kept_until
from controlplane.server.pki import Pki
from controlplane.server.signing import CertificateSigner
from tests.api.controllers.conftest import World

CSR = CERTIFICATE_SIGNING_REQUEST
CLIENT = ["digital signature", "client auth"]


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    made = Pki(tmp_path / "pki")
    made.ensure(["localhost"], ["127.0.0.1"])
    return made


def asking(common: str, organizations: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> str:
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([*subject, x509.NameAttribute(NameOID.COMMON_NAME, common)])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


async def request(world: World, name: str, csr: str, signer: str, usages: list[str], **spec: Any) -> None:
    body = {"request": csr, "signerName": f"kubernetes.io/{signer}", "usages": usages, **spec}
    await world.client.create(CSR, {"metadata": {"name": name}, "spec": body})


async def approve(world: World, name: str) -> None:
    now = timestamp()
    condition = {"type": "Approved", "status": "True", "reason": "KubectlApprove", "lastUpdateTime": now}
    await world.client.patch(CSR, name, body={"status": {"conditions": [condition]}}, subresource="approval")


async def certificate(world: World, name: str) -> x509.Certificate:
    async def observe() -> str:
        return str((await world.client.get(CSR, name))["status"].get("certificate", ""))

    return x509.load_pem_x509_certificate(b64decode(await world.until(observe)))


async def failure(world: World, name: str) -> str:
    async def observe() -> str:
        entries = (await world.client.get(CSR, name))["status"]["conditions"]
        found = {one["type"]: one for one in entries}["Failed"]
        assert found["reason"] == "SignerValidationFailure"
        return str(found["message"])

    return await world.until(observe)


async def test_what_is_approved_is_signed_by_the_ca(world: World, pki: Pki) -> None:
    world.run(CertificateRequests(world.client, world.informers, CertificateSigner(pki)))
    csr = asking("jane", ("dev", "ops"))
    await request(world, "jane", csr, "kube-apiserver-client", CLIENT, expirationSeconds=3600)
    await request(world, "nobody", csr, "kube-apiserver-client", CLIENT)
    await approve(world, "jane")
    made = await certificate(world, "jane")
    authority = x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())
    made.verify_directly_issued_by(authority)
    assert made.subject.rfc4514_string() == "CN=jane,O=ops,O=dev"
    assert 3600 <= (made.not_valid_after_utc - made.not_valid_before_utc).total_seconds() <= 4000
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert "certificate" not in (await world.client.get(CSR, "nobody")).get("status", {})


async def test_each_signer_has_its_rules(world: World, pki: Pki) -> None:
    world.run(CertificateRequests(world.client, world.informers, CertificateSigner(pki)))
    serving = ["digital signature", "key encipherment", "server auth"]
    node, nodes = "system:node:node-1", ("system:nodes",)
    cases = [
        ("usages", asking("a"), "kube-apiserver-client", serving, "invalid usages"),
        ("organization", asking(node), "kubelet-serving", serving, "subject organization is not system:nodes"),
        ("name", asking("node-1", nodes), "kubelet-serving", serving, "common name does not begin with system:node:"),
        ("address", asking(node, nodes), "kubelet-serving", serving, "DNS or IP subjectAltName is required"),
        ("san", asking(node, nodes, ("x",)), "kube-apiserver-client-kubelet", CLIENT, "names are not allowed"),
    ]
    for name, csr, signer, usages, _ in cases:
        await request(world, name, csr, signer, usages)
        await approve(world, name)
    for name, _, _, _, said in cases:
        assert said in await failure(world, name), name
    await request(world, "good", asking(node, nodes, ("node-1",)), "kubelet-serving", serving)
    await approve(world, "good")
    names = (await certificate(world, "good")).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node-1"]


async def test_requests_do_not_stay_for_ever(world: World, pki: Pki) -> None:
    now = 1_700_000_000.0
    fresh = {"metadata": {"creationTimestamp": timestamp(now)}, "spec": {"signerName": "kubernetes.io/x"}}
    denied: Object = {**fresh, "status": {"conditions": [decided("Denied", now + 50)]}}
    issued = {**fresh, "status": {"certificate": "x", "conditions": [decided("Approved", now + 70)]}}
    assert kept_until(fresh) == now + 24 * 3600
    assert kept_until(denied) == now + 50 + 3600
    assert kept_until(issued) == now + 70 + 3600
    later = CertificateRequests(world.client, world.informers, CertificateSigner(pki), clock=lambda: 4e9)
    await request(world, "old", asking("old"), "kube-apiserver-client", CLIENT)
    world.run(later)

    async def gone() -> bool:
        try:
            await world.client.get(CSR, "old")
        except NotFound:
            return True
        return False

    await world.until(gone)


def decided(type_: str, at: float) -> dict[str, str]:
    return {"type": type_, "status": "True", "lastUpdateTime": timestamp(at)}
