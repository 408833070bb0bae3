"""Rows of requests for certificates and of bundles of them."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, age, human_duration
from controlplane.api.types import Column, Object

REQUEST_COLUMNS = (
    NAME,
    AGE,
    Column("SignerName", description="Who is asked to sign."),
    Column("Requestor", description="Who asks."),
    Column("RequestedDuration", description="For how long the certificate is wanted."),
    Column("Condition", description="What has become of the request."),
)

BUNDLE_COLUMNS = (NAME, Column("SignerName", description="The signer whose certificates it vouches for."))

POD_REQUEST_COLUMNS = (
    NAME,
    Column("PodName", description="The pod that the certificate is for."),
    Column("ServiceAccountName", description="The account of the pod."),
    Column("NodeName", description="The node of the pod."),
    Column("SignerName", description="Who is asked to sign."),
    Column("State", description="What has become of the request."),
)


def request_row(obj: Object, now: float) -> list[Any]:
    """The cells of one CertificateSigningRequest."""
    spec = obj.get("spec", {})
    seconds = spec.get("expirationSeconds")
    return [
        obj["metadata"]["name"],
        age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        NONE if seconds is None else human_duration(seconds),
        _condition(obj),
    ]


def _condition(obj: Object) -> str:
    status = obj.get("status", {})
    types = [one.get("type") for one in status.get("conditions", ())]
    if "Approved" not in types and "Denied" not in types:
        shown = "Pending"
    else:
        shown = "Denied" if "Denied" in types else "Approved"
    if "Failed" in types:
        shown += ",Failed"
    return f"{shown},Issued" if status.get("certificate") else shown


def bundle_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ClusterTrustBundle."""
    return [obj["metadata"]["name"], obj.get("spec", {}).get("signerName") or NONE]


def pod_request_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PodCertificateRequest."""
    spec = obj.get("spec", {})
    types = [one.get("type") for one in obj.get("status", {}).get("conditions", ())]
    state = next((type_ for type_ in ("Issued", "Denied", "Failed") if type_ in types), "Pending")
    found = [spec.get(name, "") for name in ("podName", "serviceAccountName", "nodeName", "signerName")]
    return [obj["metadata"]["name"], *found, state]
