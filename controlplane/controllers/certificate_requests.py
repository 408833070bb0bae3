"""CertificateSigningRequests: signs those that somebody has approved, and removes those that nobody needs any more.

What becomes of an approved request that its signer does not accept is written into it, as upstream writes it.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from typing import Any

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import CERTIFICATE_SIGNING_REQUEST
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.config import Signer
from controlplane.controllers.meta import Clock, created_at, parse_time
from controlplane.controllers.pods import condition

KIND = CERTIFICATE_SIGNING_REQUEST
SIGNED_HERE = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/kubelet-serving",
)
DECIDED_SECONDS = 3600.0
PENDING_SECONDS = 24 * 3600.0


class CertificateRequests:
    """`signer` has the cluster's CA."""

    def __init__(self, client: Client, informers: Informers, signer: Signer, *, clock: Clock = time.time) -> None:
        self._client = client
        self._signer = signer
        self._clock = clock
        self._requests = informers.of(KIND)
        self._reconciler: Reconciler[str] = Reconciler("certificate-requests", self._reconcile, workers=1)
        self._requests.add_handler(self._changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._requests.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="certificate-requests")

    def _changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None:
            self._reconciler.queue.add(new["metadata"]["name"])

    async def _reconcile(self, name: str) -> float | None:
        request = self._requests.get(name)
        if request is None:
            return None
        if to_be_signed(request):
            await self._sign(request)
            return None
        left = kept_until(request) - self._clock()
        if left > 0:
            return left
        try:
            await self._client.delete(KIND, name, uid=request["metadata"]["uid"])
        except (NotFound, Conflict):
            return None
        return None

    async def _sign(self, request: Object) -> None:
        spec, metadata = request["spec"], request["metadata"]
        status: dict[str, Any]
        try:
            signed = await asyncio.to_thread(
                self._signer.sign,
                spec["signerName"],
                b64decode(spec["request"]),
                spec["usages"],
                spec.get("expirationSeconds"),
            )
        except ValueError as error:
            now = timestamp(self._clock())
            failed = {
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": str(error),
                "lastUpdateTime": now,
                "lastTransitionTime": now,
            }
            status = {"conditions": [*request["status"]["conditions"], failed]}
        else:
            status = {"certificate": b64encode(signed).decode()}
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        try:
            await self._client.patch(KIND, metadata["name"], body=body, subresource="status")
        except (NotFound, Conflict):
            # Gone, or another of its name.
            return


def to_be_signed(request: Object) -> bool:
    """Whether it is approved, not yet signed, and for a signer of ours."""
    status = request.get("status") or {}
    if request["spec"]["signerName"] not in SIGNED_HERE or status.get("certificate"):
        return False
    return _is(request, "Approved") and not _is(request, "Denied") and not _is(request, "Failed")


def kept_until(request: Object) -> float:
    """When a request is of no use any more, in epoch seconds: an hour after it was decided, a day if nobody did."""
    decided = [one for one in ("Approved", "Denied", "Failed") if _is(request, one)]
    if not decided:
        return created_at(request) + PENDING_SECONDS
    if decided == ["Approved"] and not (request.get("status") or {}).get("certificate"):
        return created_at(request) + PENDING_SECONDS
    times = [(condition(request, one) or {}).get("lastUpdateTime") for one in decided]
    return max((parse_time(each) for each in times if each), default=created_at(request)) + DECIDED_SECONDS


def _is(request: Object, type_: str) -> bool:
    found = condition(request, type_)
    return found is not None and found["status"] == "True"
