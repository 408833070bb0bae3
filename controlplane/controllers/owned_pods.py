"""The pods of the owners of one kind: who is to be woken when a pod changes, and which pods are whose."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.kinds import POD
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.controllers.indexes import CONTROLLER, ORPHANS, index_owned
from controlplane.controllers.meta import controller_of, controller_uid, selector_of
from controlplane.controllers.ownership import claim
from controlplane.controllers.pod_control import PodControl


class OwnedPods:
    """Follows all pods for the owners of `kind`, and calls `wake` with the keys of those that a change is about."""

    def __init__(
        self, client: Client, informers: Informers, kind: Kind, control: PodControl, wake: Callable[[ObjectKey], None]
    ) -> None:
        self._client = client
        self._kind = kind
        self._control = control
        self._wake = wake
        self._owners = informers.of(kind)
        self._pods = informers.of(POD)
        index_owned(self._pods)
        self._pods.add_handler(self._changed)

    async def wait_synced(self) -> None:
        """Returns when all pods and all owners are known."""
        await self._owners.wait_synced()
        await self._pods.wait_synced()

    async def claimed(
        self, owner: Object, is_member: Callable[[Object, Object], bool] = lambda owner, pod: True
    ) -> list[Object]:
        """The pods of `owner`, after adopting orphans that it selects and releasing those that it does not.

        `is_member` (owner, pod) tells which orphans it could have made.
        """
        namespace = owner["metadata"]["namespace"]
        orphans = [pod for pod in self._pods.by_index(ORPHANS, namespace) if is_member(owner, pod)]
        candidates = self.of(owner) + orphans
        return await claim(self._client, POD, owner, candidates, compile_selector(selector_of(owner)))

    def of(self, owner: Object) -> list[Object]:
        """The pods that name `owner` as their controller."""
        return self._pods.by_index(CONTROLLER, owner["metadata"]["uid"])

    def _changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        self._control.observe(old, new)
        owner = controller_of(pod)
        if owner is None:
            self._orphan_changed(old, pod)
            return
        if owner["kind"] == self._kind.name:
            self._wake((pod["metadata"]["namespace"], owner["name"]))
        if old is not None and controller_uid(old) != owner["uid"]:
            self._orphan_changed(None, old)

    def _orphan_changed(self, old: Object | None, pod: Object) -> None:
        """Wakes the owner that lost the pod, and every one that might adopt it."""
        metadata = pod["metadata"]
        former = controller_of(old) if old is not None else None
        if former is not None and former["kind"] == self._kind.name:
            self._wake((metadata["namespace"], former["name"]))
        labels = metadata.get("labels") or {}
        for owner in self._owners.list(metadata["namespace"]):
            if compile_selector(selector_of(owner))(labels):
                self._wake(key_of(owner))
