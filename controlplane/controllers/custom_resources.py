"""Lets a CustomResourceDefinition that is being deleted go once its objects have gone.

    CRD with a deletionTimestamp → its objects are deleted → the cleanup finalizer comes off

Objects with finalizers are waited for. Upstream's finalizing controller; its condition is Terminating.
"""

from __future__ import annotations

import asyncio
import time

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import CUSTOM_RESOURCE_DEFINITION
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, is_deleting

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
RETRY_SECONDS = 0.2


class CustomResourceFinalizer:
    """Reconciles CustomResourceDefinitions; `clock` stamps their conditions."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._definitions = informers.of(CUSTOM_RESOURCE_DEFINITION)
        self._reconciler: Reconciler[ObjectKey] = Reconciler("custom-resources", self._reconcile)
        self._definitions.add_handler(self._changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._definitions.wait_synced()
        await self._reconciler.run()

    def _changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None and is_deleting(new) and FINALIZER in new["metadata"].get("finalizers", ()):
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        crd = self._definitions.get(key[1])
        if crd is None or not is_deleting(crd) or FINALIZER not in crd["metadata"].get("finalizers", ()):
            return None
        kind = await self._kind(crd)
        if kind is not None:
            left = await self._clear(kind)
            if left:
                message = f"CustomResource instances remain: {left}"
                await self._report(crd, "True", "InstanceDeletionInProgress", message)
                return RETRY_SECONDS
        await self._report(crd, "False", "InstanceDeletionCompleted", "removed all instances")
        live = await self._client.get(CUSTOM_RESOURCE_DEFINITION, key[1])
        finalizers = [one for one in live["metadata"].get("finalizers", ()) if one != FINALIZER]
        version = live["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version, "finalizers": finalizers or None}}
        await self._patch(crd, body)
        return None

    async def _kind(self, crd: Object) -> Kind | None:
        """The kind as it is served, None where the definition has never been established."""
        spec = crd["spec"]
        served = await self._client.kinds()
        return next(
            (one for one in served if (one.group, one.plural) == (spec["group"], spec["names"]["plural"])), None
        )

    async def _clear(self, kind: Kind) -> int:
        """Deletes every object; returns how many are there still."""
        items = (await self._client.list(kind)).items
        if not items:
            return 0
        await asyncio.gather(*(self._delete(kind, obj) for obj in items if not is_deleting(obj)))
        return len((await self._client.list(kind)).items)

    async def _delete(self, kind: Kind, obj: Object) -> None:
        metadata = obj["metadata"]
        try:
            await self._client.delete(kind, metadata["name"], metadata.get("namespace", ""), uid=metadata["uid"])
        except (NotFound, Conflict):
            # Gone, or another by now: the next listing tells.
            return

    async def _report(self, crd: Object, status: str, reason: str, message: str) -> None:
        conditions = crd.get("status", {}).get("conditions", [])
        wanted = {"type": "Terminating", "status": status, "reason": reason, "message": message}
        present = next((one for one in conditions if one["type"] == "Terminating"), None)
        if present is not None and all(present.get(name) == value for name, value in wanted.items()):
            return
        others = [one for one in conditions if one["type"] != "Terminating"]
        body = {"status": {"conditions": [*others, wanted | {"lastTransitionTime": timestamp(self._clock())}]}}
        await self._patch(crd, body, subresource="status")

    async def _patch(self, crd: Object, body: Object, subresource: str = "") -> None:
        try:
            await self._client.patch(
                CUSTOM_RESOURCE_DEFINITION, crd["metadata"]["name"], body=body, subresource=subresource
            )
        except NotFound:
            return
