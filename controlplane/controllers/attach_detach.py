"""Attaches volumes to the nodes whose pods use them, and detaches them when none does; the driver's attacher too.

    pods of a claim -> nodes that want its volume -> VolumeAttachment for each, attached
                                                  -> for a volume of one node only: after the other has let go

A node says in status.volumesInUse what it has mounted; a volume leaves it when it no longer says so, six minutes after
the last pod has gone if the node is not ready, or at once when it is out of service or no longer exists, as upstream.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Set

from controlplane.api import claims
from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.kinds import NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, VOLUME_ATTACHMENT
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, is_deleting
from controlplane.controllers.pods import is_ready, is_terminal

FORCE_DETACH_SECONDS = 360.0
RETRY_SECONDS = 2.0
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
BY_VOLUME = "volume"
_SHARED_MODES = frozenset({"ReadOnlyMany", "ReadWriteMany"})


class AttachDetach:
    """Reconciles one volume at a time, by the PersistentVolume's name."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._pods = informers.of(POD)
        self._pods.add_index(claims.BY_CLAIM, claims.by_claim)
        self._pods.add_index(claims.BY_OWN_DISK, claims.by_own_disk)
        self._nodes = informers.of(NODE)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)
        self._attachments = informers.of(VOLUME_ATTACHMENT)
        self._attachments.add_index(BY_VOLUME, _volume_of)
        self._recorder = EventRecorder(client, "attachdetach-controller")
        self._unused_since: dict[str, dict[str, float]] = {}
        self._reconciler: Reconciler[str] = Reconciler("attach-detach", self._reconcile)
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)
        self._attachments.add_handler(self._attachment_changed)
        self._nodes.add_handler(self._node_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._pods, self._nodes, self._claims, self._volumes, self._attachments):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="attach-detach-events")
            group.create_task(self._reconciler.run(), name="attach-detach")

    # What is told.

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        if not pod["spec"].get("nodeName"):
            return
        if old is not None and new is not None and _counts(old) == _counts(new):
            return
        for name in claims.claims_of(pod):
            claim = self._claims.get(name, pod["metadata"]["namespace"])
            if claim is not None and claim["spec"].get("volumeName"):
                self._reconciler.queue.add(claim["spec"]["volumeName"])
        for name in claims.by_own_disk(pod):
            self._reconciler.queue.add(name)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        claim = new or old
        if claim is not None and claim["spec"].get("volumeName") and (old is None or not claims.is_bound(old)):
            self._reconciler.queue.add(claim["spec"]["volumeName"])

    def _attachment_changed(self, old: Object | None, new: Object | None) -> None:
        for name in _volume_of(new or old or {}):
            if old is None or new is None or is_deleting(new):
                self._reconciler.queue.add(name)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        node = new or old
        assert node is not None
        if old is not None and new is not None and _holds_on(old) == _holds_on(new):
            released = set(_in_use(old)) - set(_in_use(new))
            if not released:
                return
        else:
            released = None
        for attachment in self._attachments.list():
            if attachment["spec"]["nodeName"] == node["metadata"]["name"]:
                for name in _volume_of(attachment):
                    volume = self._volume(name)
                    if released is None or volume is None or claims.unique_name(volume["spec"]) in released:
                        self._reconciler.queue.add(name)

    # What is done.

    async def _reconcile(self, name: str) -> float | None:
        volume = self._volume(name)
        attachments = self._attachments.by_index(BY_VOLUME, name)
        wanted = self._wanted(volume) if volume is not None else {}
        there = {_node_of(attachment): attachment for attachment in attachments}
        unused = there.keys() - wanted.keys()
        self._keep_unused(name, unused)
        waits = [await self._detach(there[node], name) for node in unused]
        for node, pods in wanted.items():
            assert volume is not None
            others = [other for other in there if other != node]
            if node in there:
                await self._ensure_attached(there[node], name, pods)
            elif others and not _is_shared(volume):
                self._refuse(volume, others[0], pods)
                waits.append(RETRY_SECONDS)
            else:
                there[node] = await self._attach(volume, node)
                await self._ensure_attached(there[node], name, pods)
        return min((wait for wait in waits if wait is not None), default=None)

    def _wanted(self, volume: Object) -> dict[str, list[Object]]:
        """The nodes that want a volume, with the pods for which; the node that has had it longest first."""
        found: dict[str, list[Object]] = {}
        for pod in self._users(volume):
            node = pod["spec"].get("nodeName")
            if node and not is_terminal(pod) and self._nodes.get(node) is not None:
                found.setdefault(node, []).append(pod)
        return found

    def _users(self, volume: Object) -> list[Object]:
        """The pods that use a volume, wherever they are."""
        own = self._pods.by_index(claims.BY_OWN_DISK, volume["metadata"]["name"])
        reference = volume["spec"].get("claimRef")
        if not reference or not claims.is_attachable(volume["spec"]):
            return own
        claim = self._claims.get(reference["name"], reference["namespace"])
        if claim is None or not claims.is_bound(claim) or claim["metadata"]["uid"] != reference.get("uid"):
            return own
        return self._pods.by_index(claims.BY_CLAIM, claims.index_key(claim))

    def _volume(self, name: str) -> Object | None:
        """A PersistentVolume, or what a disk that pods name themselves is taken for: for one node if any writes."""
        found = self._volumes.get(name)
        if found is not None:
            return found
        pods = self._pods.by_index(claims.BY_OWN_DISK, name)
        volumes = (claims.own_volume(volume) for pod in pods for volume in pod["spec"].get("volumes") or ())
        own = [volume for volume in volumes if volume is not None and volume["metadata"]["name"] == name]
        attached = (
            one["spec"]["source"].get("inlineVolumeSpec") for one in self._attachments.by_index(BY_VOLUME, name)
        )
        own += [{"metadata": {"name": name}, "spec": spec} for spec in attached if spec]
        return min(own, key=_is_shared, default=None)

    async def _attach(self, volume: Object, node: str) -> Object:
        name = volume["metadata"]["name"]
        is_own = self._volumes.get(name) is None
        source = {"inlineVolumeSpec": volume["spec"]} if is_own else {"persistentVolumeName": name}
        attachment: Object = {
            "apiVersion": VOLUME_ATTACHMENT.api_version,
            "kind": VOLUME_ATTACHMENT.name,
            "metadata": {"name": attachment_name(volume, node)},
            "spec": {"attacher": claims.DISK_DRIVER, "nodeName": node, "source": source},
        }
        try:
            return await self._client.create(VOLUME_ATTACHMENT, attachment)
        except AlreadyExists:
            return await self._client.get(VOLUME_ATTACHMENT, attachment["metadata"]["name"])

    async def _ensure_attached(self, attachment: Object, volume: str, pods: list[Object]) -> None:
        if is_deleting(attachment) or (attachment.get("status") or {}).get("attached"):
            return
        name = attachment["metadata"]["name"]
        await self._client.patch(VOLUME_ATTACHMENT, name, body={"status": {"attached": True}}, subresource="status")
        for pod in pods:
            said = f'AttachVolume.Attach succeeded for volume "{volume}" '
            self._recorder.event(pod, "Normal", "SuccessfulAttachVolume", said)

    def _keep_unused(self, volume: str, nodes: Set[str]) -> None:
        """Forgets since when a volume is not used on other nodes than these."""
        kept = {node: since for node, since in self._unused_since.pop(volume, {}).items() if node in nodes}
        if kept:
            self._unused_since[volume] = kept

    async def _detach(self, attachment: Object, volume: str) -> float | None:
        """Detaches, if the node has let go; else seconds until that is looked at again."""
        node = self._nodes.get(_node_of(attachment))
        if node is not None and self._is_mounted(volume, node) and not _is_out(node):
            since = self._unused_since.setdefault(volume, {}).setdefault(node["metadata"]["name"], self._clock())
            left = since + FORCE_DETACH_SECONDS - self._clock()
            # A node that is well lets go in its time, and is asked again when it says something.
            if left > 0 or is_ready(node):
                return max(left, RETRY_SECONDS)
        try:
            await self._client.delete(
                VOLUME_ATTACHMENT, attachment["metadata"]["name"], uid=attachment["metadata"]["uid"]
            )
        except NotFound:
            return None
        return None

    def _is_mounted(self, volume: str, node: Object) -> bool:
        found = self._volume(volume)
        return found is not None and claims.unique_name(found["spec"]) in _in_use(node)

    def _refuse(self, volume: Object, other: str, pods: list[Object]) -> None:
        name = volume["metadata"]["name"]
        there = sorted(pod["metadata"]["name"] for pod in self._users(volume) if pod["spec"].get("nodeName") == other)
        used = f"Volume is already used by pod(s) {', '.join(there)}"
        taken = "Volume is already exclusively attached to one node and can't be attached to another"
        said = f'Multi-Attach error for volume "{name}" {used if there else taken}'
        for pod in pods:
            if not is_deleting(pod) and not is_ready(pod):
                self._recorder.event(pod, "Warning", "FailedAttachVolume", said)


def attachment_name(volume: Object, node: str) -> str:
    """The name of the attachment of a volume to a node, as upstream's CSI attacher gives it."""
    handle = claims.disk_of(volume["spec"]) or ""
    source = volume["spec"].get("csi") or {}
    text = f"{source.get('volumeHandle', handle)}{source.get('driver', claims.DISK_DRIVER)}{node}"
    return f"csi-{hashlib.sha256(text.encode()).hexdigest()}"


def _volume_of(attachment: Object) -> tuple[str, ...]:
    name = claims.attached_volume(attachment)
    return (name,) if name else ()


def _node_of(attachment: Object) -> str:
    return str(attachment["spec"]["nodeName"])


def _is_shared(volume: Object) -> bool:
    return not _SHARED_MODES.isdisjoint(volume["spec"].get("accessModes") or ())


def _in_use(node: Object) -> list[str]:
    found: list[str] = (node.get("status") or {}).get("volumesInUse") or []
    return found


def _is_out(node: Object) -> bool:
    return any(taint["key"] == OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or ())


def _holds_on(node: Object) -> tuple[bool, bool]:
    return _is_out(node), is_ready(node)


def _counts(pod: Object) -> tuple[str, bool]:
    return pod["spec"].get("nodeName", ""), is_terminal(pod)
