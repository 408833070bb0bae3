"""Signing what CertificateSigningRequests ask for with the cluster's CA: what a certificate then says is decided here.

Subject, names and key are the request's; its usages and its life are what the object asked for. What each signer
accepts is upstream's (`kubernetes.io/…` signers of the kube-controller-manager).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from controlplane.server.pki import Pki

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest, KeyUsage, SubjectAlternativeName

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
NODES, NODE_PREFIX = "system:nodes", "system:node:"
BACKDATED = timedelta(minutes=5)
LONGEST_SECONDS = 365 * 24 * 3600

_COMMON = frozenset(("digital signature", "key encipherment"))
_EXTENDED = {"client auth": "CLIENT_AUTH", "server auth": "SERVER_AUTH"}


class NotAcceptable(ValueError):
    """What the signer does not put its name to, in upstream's words."""


class CertificateSigner:
    """Signs with the CA of one cluster."""

    def __init__(self, pki: Pki) -> None:
        self._pki = pki

    def sign(self, signer: str, request: bytes, usages: Collection[str], seconds: int | None) -> bytes:
        """The certificate, as PEM, for a request in PEM; NotAcceptable if the signer's rules are not kept."""
        from cryptography import x509

        try:
            asked = x509.load_pem_x509_csr(request)
        except ValueError as error:
            raise NotAcceptable(f"unable to parse csr: {error}") from error
        _check(signer, asked, frozenset(usages))
        now = datetime.now(UTC)
        life = min(seconds or LONGEST_SECONDS, LONGEST_SECONDS)
        builder = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + timedelta(seconds=life))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(usages), critical=True)
        )
        extended = [getattr(x509.oid.ExtendedKeyUsageOID, _EXTENDED[one]) for one in usages if one in _EXTENDED]
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        names = _names(asked)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return self._pki.sign(builder)


def _check(signer: str, asked: CertificateSigningRequest, usages: frozenset[str]) -> None:
    if signer == CLIENT:
        _require_usages(usages, "client auth")
        return
    _require_usages(usages, "server auth" if signer == KUBELET_SERVING else "client auth")
    _require_node(asked)
    names = _names(asked)
    if signer == KUBELET_CLIENT and names is not None:
        raise NotAcceptable("subject alternative names are not allowed")
    if signer == KUBELET_SERVING:
        _require_addresses(names)


def _require_usages(usages: frozenset[str], needed: str) -> None:
    if needed not in usages or not usages <= _COMMON | {needed}:
        wanted = sorted({*_COMMON, needed})
        raise NotAcceptable(f"invalid usages: {sorted(usages)} must include {needed!r} and be among {wanted}")


def _require_node(asked: CertificateSigningRequest) -> None:
    from cryptography.x509.oid import NameOID

    subject = asked.subject
    organizations = [one.value for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if organizations != [NODES]:
        raise NotAcceptable(f"subject organization is not {NODES}")
    names = [one.value for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names or not str(names[0]).startswith(NODE_PREFIX):
        raise NotAcceptable(f"subject common name does not begin with {NODE_PREFIX}")


def _require_addresses(names: SubjectAlternativeName | None) -> None:
    from cryptography import x509

    given = list(names) if names is not None else []
    if not any(isinstance(one, x509.DNSName | x509.IPAddress) for one in given):
        raise NotAcceptable("DNS or IP subjectAltName is required")
    if any(isinstance(one, x509.RFC822Name) for one in given):
        raise NotAcceptable("email subjectAltNames are not allowed")
    if any(isinstance(one, x509.UniformResourceIdentifier) for one in given):
        raise NotAcceptable("URI subjectAltNames are not allowed")


def _names(asked: CertificateSigningRequest) -> SubjectAlternativeName | None:
    from cryptography import x509

    try:
        return asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise NotAcceptable(f"unable to parse csr: {error}") from error


def _key_usage(usages: Collection[str]) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=bool({"digital signature", "signing"} & set(usages)),
        key_encipherment="key encipherment" in usages,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
