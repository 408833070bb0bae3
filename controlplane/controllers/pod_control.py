"""Creates and deletes pods for the controllers that keep them, and tells it in events.

Every write is noted in the owner's expectations before it is sent, so that a reconcile that comes
before the cache shows it does not repeat it. Errors are returned and not raised: of a batch, the
others still count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from controlplane.api.errors import AlreadyExists, ApiError, NotFound, namespace_terminates
from controlplane.api.kinds import POD
from controlplane.api.meta import generate_name
from controlplane.api.types import Object
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.controllers.meta import controller_reference, controller_uid, is_deleting, with_metadata
from controlplane.controllers.pacing import Expectations

NAME_ATTEMPTS = 8


class PodControl:
    """Writes pods of one controller; what it creates has a `generateName` and the owner's reference."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder
        self.expectations = Expectations()

    def observe(self, old: Object | None, new: Object | None) -> None:
        """Takes in one change of the cache, so that what was expected counts as seen."""
        pod = new or old
        assert pod is not None
        owner = controller_uid(pod)
        if not owner:
            return
        if old is None:
            self.expectations.seen(owner, pod["metadata"]["name"])
        if new is None or is_deleting(new):
            self.expectations.seen(owner, pod["metadata"]["uid"])

    async def create_many(self, owner: Object, pods: Sequence[Object]) -> ApiError | None:
        """Creates `pods` in slow-start batches, and returns the error that ended it."""
        remaining = iter(pods)
        return await slow_start(len(pods), lambda: self.create(owner, next(remaining)))

    async def create(self, owner: Object, template: Object) -> ApiError | None:
        """Creates one pod under a name made from its `generateName`."""
        uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
        for _ in range(NAME_ATTEMPTS):
            name = generate_name(template["metadata"]["generateName"])
            self.expectations.expect(uid, name)
            try:
                await self._client.create(POD, with_metadata(template, name=name), namespace)
            except AlreadyExists:
                self.expectations.seen(uid, name)
                continue
            except ApiError as error:
                self.expectations.seen(uid, name)
                if namespace_terminates(error):
                    return None
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
                return error
            self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}")
            return None
        return AlreadyExists(f"no free pod name found in {NAME_ATTEMPTS} attempts")

    async def delete_many(self, owner: Object, pods: Sequence[Object]) -> ApiError | None:
        """Deletes `pods` at once, and returns the first error."""
        for pod in pods:
            self.expectations.expect(owner["metadata"]["uid"], pod["metadata"]["uid"])
        errors = await asyncio.gather(*(self._delete(owner, pod) for pod in pods))
        return next((error for error in errors if error is not None), None)

    async def _delete(self, owner: Object, pod: Object) -> ApiError | None:
        metadata = pod["metadata"]
        try:
            await self._client.delete(POD, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            self.expectations.seen(owner["metadata"]["uid"], metadata["uid"])
            return None
        except ApiError as error:
            self.expectations.seen(owner["metadata"]["uid"], metadata["uid"])
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            return error
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")
        return None


async def slow_start(count: int, action: Callable[[], Awaitable[ApiError | None]]) -> ApiError | None:
    """Runs `action` `count` times in batches of 1, 2, 4…; a batch with an error is the last one."""
    batch = 1
    while count > 0:
        size = min(batch, count)
        errors = await asyncio.gather(*(action() for _ in range(size)))
        failed = next((error for error in errors if error is not None), None)
        if failed is not None:
            return failed
        count -= size
        batch *= 2
    return None


def pod_of_template(owner: Object) -> Object:
    """The pod that `owner` makes of its template, without a name yet."""
    template = owner["spec"]["template"]
    wanted = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "generateName": f"{owner['metadata']['name']}-",
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [controller_reference(owner)],
    }
    for field in ("labels", "annotations", "finalizers"):
        if wanted.get(field):
            metadata[field] = wanted[field]
    return {"apiVersion": POD.api_version, "kind": POD.name, "metadata": metadata, "spec": template["spec"]}
