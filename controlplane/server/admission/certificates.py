"""Requests for certificates: who asks is entered, and who approves and signs has to be allowed to.

CertificateApproval, CertificateSigning and CertificateSubjectRestriction of upstream, and what its
strategy for CertificateSigningRequests enters of the caller.
"""

from __future__ import annotations

from base64 import b64decode

from controlplane.api.kinds import CERTIFICATE_SIGNING_REQUEST
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.server.authorization import Action, Authorizer
from controlplane.server.requests import MASTERS
from controlplane.store import Store

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
CALLER = ("username", "uid", "groups", "extra")


class CertificateRequests:
    """The rules about CertificateSigningRequests that need to know who writes."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def admit(self, request: Attributes, _store: Store) -> None:
        if request.kind is not CERTIFICATE_SIGNING_REQUEST or request.operation == "DELETE":
            return
        if request.operation == "CREATE":
            _enter_caller(request)
            _check_subject(request)
        elif request.subresource == "approval":
            self._check(request, "approve", "user not permitted to approve requests with signerName")
        elif request.subresource == "status" and _signs(request):
            self._check(request, "sign", "user not permitted to sign requests with signerName")

    def _check(self, request: Attributes, verb: str, why: str) -> None:
        """Who has the verb on the signer, or on all signers of its domain, may."""
        signer = (request.old or request.obj).get("spec", {}).get("signerName", "")
        user = request.options.user
        if MASTERS in user.groups:
            return
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            action = Action(verb, request.kind.group, "signers", name=name)
            if self._authorizer.decide(user, action).allowed:
                return
        raise wording.forbidden(request.kind, request.name, f'{why} "{signer}"')


def _enter_caller(request: Attributes) -> None:
    user, spec = request.options.user, request.obj.setdefault("spec", {})
    for name in CALLER:
        spec.pop(name, None)
    found: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": dict(user.extra)}
    spec.update({name: value for name, value in found.items() if value})


def _check_subject(request: Attributes) -> None:
    """Nobody becomes a master by asking for a certificate."""
    spec = request.obj["spec"]
    if spec.get("signerName") != CLIENT_SIGNER:
        return
    if MASTERS in _organizations(spec.get("request", "")):
        why = f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
        raise wording.forbidden(request.kind, request.name, why)


def _organizations(encoded: str) -> list[str]:
    """The organizations in the subject; none where the request cannot be read, which validation refuses."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        subject = x509.load_pem_x509_csr(b64decode(encoded)).subject
    except ValueError:
        return []
    return [str(one.value) for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def _signs(request: Attributes) -> bool:
    now, before = (one.get("status", {}).get("certificate") for one in (request.obj, request.old or {}))
    return bool(now != before)
