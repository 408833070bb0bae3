"""persistentVolumeClaim and ephemeral: the volume that a claim is bound to, once it is there and attached.

    claim -> is it bound, and whose -> its PersistentVolume -> attached to this node -> mounted by its source

Waiting for a controller is no failure: the agent hears of the change, so nothing is said about it.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import claims
from controlplane.api.errors import ApiError
from controlplane.api.kinds import PERSISTENT_VOLUME_CLAIM
from controlplane.api.node_selectors import matches_terms
from controlplane.api.types import Object
from controlplane.node.errors import VolumeFailure, VolumeWait
from controlplane.node.volumes import disk, hostpath, local, nfs
from controlplane.node.volumes.context import VolumeContext
from controlplane.node.volumes.mounted import Mounted
from netsim.errors import NetsimError
from netsim.mountoptions import flag_words

RESIZE_CONDITIONS = frozenset({"Resizing", "FileSystemResizePending"})


async def setup(volume: Object, context: VolumeContext) -> Mounted:
    """Mounts the volume of a claim, or of the one made for an ephemeral volume."""
    claim = _claim(volume, context)
    persistent = _persistent_volume(claim, context)
    name, spec = persistent["metadata"]["name"], persistent["spec"]
    _check_node(name, spec, context)
    if claims.is_attachable(spec):
        disk.require_attached(name, context)
    try:
        found = await _mount(name, spec, context)
    except VolumeFailure as failure:
        raise VolumeFailure(str(failure), volume=name) from failure
    if not found.is_device:
        await _note_growth(claim, persistent, context)
    asked = (volume.get("persistentVolumeClaim") or {}).get("readOnly")
    modes = claim["spec"].get("accessModes") or []
    read_only = bool(asked) or found.read_only or list(modes) == ["ReadOnlyMany"]
    options = flag_words(spec.get("mountOptions") or ())
    return Mounted(found.path, found.sub, read_only=read_only, is_device=found.is_device, options=options, name=name)


async def _mount(name: str, spec: dict[str, Any], context: VolumeContext) -> Mounted:
    if claims.disk_of(spec) is not None:
        return await disk.mount(spec, context)
    if spec.get("mountOptions") and "nfs" not in spec:
        raise VolumeFailure("Mount options are not supported for this volume type")
    if "hostPath" in spec:
        return Mounted(await hostpath.setup({"name": name, "hostPath": spec["hostPath"]}, context))
    if "local" in spec:
        return await local.mount(spec, context)
    if "nfs" in spec:
        return await nfs.mount(spec["nfs"], context, options=spec.get("mountOptions") or ())
    if "csi" in spec:
        driver = spec["csi"].get("driver", "")
        raise VolumeFailure(
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: "
            f"driver name {driver} not found in the list of registered CSI drivers"
        )
    raise VolumeFailure(f"no volume plugin matched the PersistentVolume {name}")


def _claim(volume: Object, context: VolumeContext) -> Object:
    namespace = context.pod["metadata"]["namespace"]
    wanted = claims.claim_name(context.pod, volume) or ""
    claim = context.storage.claims.get(wanted, namespace)
    if claim is None:
        if "ephemeral" in volume:
            raise VolumeWait(f"the claim {wanted} is not made yet")
        raise VolumeFailure(_processing(namespace, wanted, f'persistentvolumeclaim "{wanted}" not found'), whole=True)
    if "ephemeral" in volume and not claims.is_made_for(context.pod, claim):
        said = f"PVC {namespace}/{wanted} was not created for pod {namespace}/{context.pod['metadata']['name']}"
        raise VolumeFailure(_processing(namespace, wanted, f"{said} (pod is not owner)"), whole=True)
    if not claims.is_bound(claim):
        # The scheduler places no such pod; one that names its node itself waits here.
        raise VolumeFailure(_processing(namespace, wanted, "PVC is not bound"), whole=True)
    return claim


def _processing(namespace: str, name: str, said: str) -> str:
    return f"error processing PVC {namespace}/{name}: {said}"


def _persistent_volume(claim: Object, context: VolumeContext) -> Object:
    name = claim["spec"]["volumeName"]
    volume = context.storage.volumes.get(name)
    where = claim["metadata"]
    if volume is None:
        said = f'failed to fetch PV {name} from API server: persistentvolumes "{name}" not found'
        raise VolumeFailure(_processing(where["namespace"], where["name"], said), whole=True)
    if (volume["spec"].get("claimRef") or {}).get("uid") != where["uid"]:
        said = f"PersistentVolume {name} is bound to another claim"
        raise VolumeFailure(_processing(where["namespace"], where["name"], said), whole=True)
    return volume


def _check_node(name: str, spec: dict[str, Any], context: VolumeContext) -> None:
    required = (spec.get("nodeAffinity") or {}).get("required")
    if required is None:
        return
    if not matches_terms(required.get("nodeSelectorTerms") or (), context.storage.node, context.labels):
        said = "no matching NodeSelectorTerms"
        raise VolumeFailure(f'MountVolume.NodeAffinity check failed for volume "{name}" : {said}', whole=True)


async def _note_growth(claim: Object, volume: Object, context: VolumeContext) -> None:
    """Has the file system follow a volume that has grown, and says so on the claim."""
    size = claims.capacity(volume)
    if claims.capacity({"spec": {}, "status": claim.get("status")}) >= size:
        return
    try:
        if "nfs" in volume["spec"]:
            await nfs.grow(volume["spec"]["nfs"], context)
        else:
            await disk.grow(volume["spec"], context)
    except NetsimError:
        # Not while it is mounted, on this host: FileSystemResizePending stays until the next pod.
        return
    status = claim.get("status") or {}
    kept = [one for one in status.get("conditions") or [] if one["type"] not in RESIZE_CONDITIONS]
    capacity = {**(status.get("capacity") or {}), "storage": volume["spec"]["capacity"]["storage"]}
    metadata = claim["metadata"]
    body = {"metadata": {"uid": metadata["uid"]}, "status": {"capacity": capacity, "conditions": kept or None}}
    try:
        await context.storage.client.patch(
            PERSISTENT_VOLUME_CLAIM,
            metadata["name"],
            metadata["namespace"],
            body=body,
            patch_type="merge",
            subresource="status",
        )
    except ApiError as error:
        raise VolumeWait(f"the claim's status cannot be written: {error.message}") from error
    message = f'MountVolume.NodeExpandVolume succeeded for volume "{volume["metadata"]["name"]}" {context.storage.node}'
    for obj in (context.pod, claim):
        context.recorder.event(obj, "Normal", "FileSystemResizeSuccessful", message)
