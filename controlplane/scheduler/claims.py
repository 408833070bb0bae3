"""The claims of pods: which nodes they leave, and for those that wait for a pod, the volume or the node to give them.

Two decisions in a row must not take one volume, so what is decided counts at once, until the volume itself says whose
it is. A claim without a volume is given the node's name, and its class makes the volume there; the pod is bound when
all of its claims are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.api import claims
from controlplane.api.errors import ApiError
from controlplane.api.kinds import CSI_NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from controlplane.api.types import Object
from controlplane.api.volume_matching import best, is_free, names_claim, reaches, suits
from controlplane.client.informer import Informers, key_of
from controlplane.client.interface import Client
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

DELAYED = "WaitForFirstConsumer"
BIND_SECONDS = 600.0
"""As upstream's bindTimeoutSeconds."""
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


class BindingFailed(Exception):
    """A claim of a pod that has a node did not get its volume there."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a claim gets: a volume, or, with None, one that is made where the node is."""

    claim: Object
    volume: Object | None
    node: str


class Claims:
    """The claims and volumes that the scheduler looks at."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._pods = informers.of(POD)
        self._pods.add_index(claims.BY_CLAIM, claims.by_claim)
        self.claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self.volumes = informers.of(PERSISTENT_VOLUME)
        self.classes = informers.of(STORAGE_CLASS)
        self._drivers = informers.of(CSI_NODE)
        self._taken: dict[str, str] = {}
        self._decided: dict[str, list[Decided]] = {}
        self._waiting: dict[tuple[str, str], asyncio.Event] = {}
        self._changed: Callable[[str | None], None] = _ignore

    def listen(self, changed: Callable[[str | None], None]) -> None:
        """Has `changed` called with the uid of a pod whose claims may do now, or with None for any pod's."""
        self._changed = changed
        self.claims.add_handler(self._claim_changed)
        for informer in (self.volumes, self.classes, self._drivers):
            informer.add_handler(self._other_changed)

    async def wait_synced(self) -> None:
        """Returns when all is known."""
        for informer in (self.claims, self.volumes, self.classes, self._drivers):
            await informer.wait_synced()

    # What a pod needs.

    def refusal(self, pod: PodInfo) -> str | None:
        """Why no node does whatever node it is, in upstream's words."""
        for volume in pod.spec.get("volumes") or ():
            name = claims.claim_name(pod.pod, volume)
            if name is None:
                continue
            claim = self.claims.get(name, pod.namespace)
            if claim is None:
                if "ephemeral" in volume:
                    return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
                return f'persistentvolumeclaim "{name}" not found'
            if "ephemeral" in volume and not claims.is_made_for(pod.pod, claim):
                where = f"{pod.namespace}/{pod.name}"
                return f"PVC {pod.namespace}/{name} was not created for pod {where} (pod is not owner)"
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted'
            if (claim.get("status") or {}).get("phase") == "Lost":
                bound = claim["spec"].get("volumeName", "")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{bound}"'
            if not claims.is_bound(claim) and not self._is_delayed(claim):
                return UNBOUND
        return None

    def of(self, pod: PodInfo) -> list[Object]:
        """The claims of a pod, those that are there."""
        found = (self.claims.get(name, pod.namespace) for name in claims.claims_of(pod.pod))
        return [claim for claim in found if claim is not None]

    def volume_for(self, claim: Object, node: NodeInfo) -> Object | None:
        """The volume of the node that a claim which waits for a pod could have."""
        free = (
            one for one in self.volumes.list() if self._may_have(one, claim) and reaches(one, node.name, node.labels)
        )
        return best(claim, free, delayed=False)

    def can_be_made(self, claim: Object, node: NodeInfo) -> bool:
        """Whether the class of a claim makes volumes where the node is."""
        storage_class = self.classes.get(claims.class_of(claim) or "")
        if storage_class is None or storage_class["provisioner"] == claims.NO_PROVISIONER:
            return False
        terms = storage_class.get("allowedTopologies") or ()
        return not terms or any(_in_topology(term, node.labels) for term in terms)

    def most_disks(self, node: str) -> int | None:
        """How many disks may be attached to a node; None where nothing says."""
        for driver in (self._drivers.get(node) or {}).get("spec", {}).get("drivers") or ():
            if driver["name"] == claims.DISK_DRIVER:
                count = (driver.get("allocatable") or {}).get("count")
                return None if count is None else int(count)
        return None

    def disk_name(self, claim: Object) -> str | None:
        """A name for the disk of a claim, be it there or yet to be made; None where it is no disk."""
        if claims.is_bound(claim):
            volume = self.volumes.get(claim["spec"]["volumeName"])
            return volume["metadata"]["name"] if volume is not None and claims.is_attachable(volume["spec"]) else None
        storage_class = self.classes.get(claims.class_of(claim) or "")
        is_disk = storage_class is not None and storage_class["provisioner"] in claims.DISK_PROVISIONERS
        return claim["metadata"]["uid"] if is_disk else None

    # What is decided.

    def assume(self, pod: PodInfo, node: NodeInfo) -> None:
        """Counts what the claims of a pod get on its node, before it is written."""
        decided = []
        for claim in self.of(pod):
            if claims.is_bound(claim):
                continue
            volume = self.volume_for(claim, node)
            if volume is not None:
                self._taken[volume["metadata"]["name"]] = claim["metadata"]["uid"]
            decided.append(Decided(claim, volume, node.name))
        if decided:
            self._decided[pod.uid] = decided

    def forget(self, uid: str) -> None:
        """Takes it back."""
        for one in self._decided.pop(uid, ()):
            if one.volume is not None:
                self._taken.pop(one.volume["metadata"]["name"], None)

    async def bind(self, pod: PodInfo) -> None:
        """Writes what was decided, and returns when the claims are bound; BindingFailed if they cannot be."""
        decided = self._decided.get(pod.uid)
        if not decided:
            return
        try:
            async with asyncio.timeout(BIND_SECONDS):
                for one in decided:
                    await self._write(one)
                for one in decided:
                    await self._until_bound(one)
        except TimeoutError as error:
            raise BindingFailed("binding volumes: context deadline exceeded") from error
        except ApiError as error:
            raise BindingFailed(f"binding volumes: {error.message}") from error
        finally:
            self.forget(pod.uid)

    async def _write(self, one: Decided) -> None:
        if one.volume is not None:
            if not names_claim(one.volume, one.claim):
                reference = claims.claim_reference(one.claim)
                metadata = one.volume["metadata"]
                marks = {**(metadata.get("annotations") or {}), claims.BOUND_BY_CONTROLLER: "yes"}
                spec = {**one.volume["spec"], "claimRef": reference}
                changed = {**one.volume, "metadata": {**metadata, "annotations": marks}, "spec": spec}
                await self._client.update(PERSISTENT_VOLUME, changed)
            return
        metadata = one.claim["metadata"]
        body = {"metadata": {"uid": metadata["uid"], "annotations": {claims.SELECTED_NODE: one.node}}}
        await self._client.patch(PERSISTENT_VOLUME_CLAIM, metadata["name"], metadata["namespace"], body=body)

    async def _until_bound(self, one: Decided) -> None:
        key = key_of(one.claim)
        chosen = False
        while True:
            changed = self._waiting.setdefault(key, asyncio.Event())
            claim = self.claims.get(key[1], key[0])
            if claim is None or claim["metadata"]["uid"] != one.claim["metadata"]["uid"]:
                raise BindingFailed(f'binding volumes: persistentvolumeclaim "{key[1]}" not found')
            if claims.is_bound(claim):
                self._waiting.pop(key, None)
                return
            has_node = claims.SELECTED_NODE in (claim["metadata"].get("annotations") or {})
            if one.volume is None and chosen and not has_node:
                raise BindingFailed(f'binding volumes: provisioning failed for PVC "{key[1]}"')
            chosen = chosen or has_node
            await changed.wait()

    # What is told.

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        claim = new or old
        assert claim is not None
        waiting = self._waiting.pop(key_of(claim), None)
        if waiting is not None:
            waiting.set()
        for pod in self._pods.by_index(claims.BY_CLAIM, claims.index_key(claim)):
            if not pod["spec"].get("nodeName"):
                info = PodInfo.of(pod)
                if self.refusal(info) is None:
                    self._changed(info.uid)

    def _other_changed(self, _old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        if new["kind"] == PERSISTENT_VOLUME.name:
            if new["spec"].get("claimRef"):
                self._taken.pop(new["metadata"]["name"], None)
                return
            if not is_free(new):
                return
        self._changed(None)

    def _may_have(self, volume: Object, claim: Object) -> bool:
        if names_claim(volume, claim):
            return True
        taken = self._taken.get(volume["metadata"]["name"])
        return taken in (None, claim["metadata"]["uid"]) and is_free(volume) and suits(volume, claim)

    def _is_delayed(self, claim: Object) -> bool:
        storage_class = self.classes.get(claims.class_of(claim) or "")
        return storage_class is not None and storage_class.get("volumeBindingMode") == DELAYED


def _in_topology(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(one["key"]) in (one.get("values") or ()) for one in term.get("matchLabelExpressions") or ())


def _ignore(_uid: str | None) -> None:
    pass


def single_pod_claims(pod: PodInfo, found: Claims) -> Iterator[str]:
    """The claims of a pod, as "namespace/name", that only one pod at a time may use."""
    for claim in found.of(pod):
        if "ReadWriteOncePod" in (claim["spec"].get("accessModes") or ()):
            yield claims.index_key(claim)
