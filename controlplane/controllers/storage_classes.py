"""What the cloud's add-ons would install: the storage classes of a new cluster, its driver, and where that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from controlplane.api import claims
from controlplane.api.errors import AlreadyExists
from controlplane.api.kinds import CSI_DRIVER, CSI_NODE, NODE, STORAGE_CLASS
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler

DISKS_PER_NODE = 512
"""More than the pods of a node need: GKE's 127 would leave three nodes too small for what their host carries."""
_COMMON = {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "allowVolumeExpansion": True}
CLASSES: Mapping[str, dict[str, Any]] = {
    "standard": {"provisioner": claims.DISK_DRIVER, "parameters": {"type": "pd-standard"}, **_COMMON},
    "ssd": {"provisioner": claims.DISK_DRIVER, "parameters": {"type": "pd-ssd"}, **_COMMON},
    "nfs": {"provisioner": claims.NFS_PROVISIONER, **_COMMON},
}
DEFAULT = "standard"
_DRIVER = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "volumeLifecycleModes": ["Persistent"],
}


class StorageClasses:
    """Makes what is missing of them once, and a CSINode for each node."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._nodes = informers.of(NODE)
        self._reconciler: Reconciler[str] = Reconciler("csi-nodes", self._ensure_node, workers=1)
        self._nodes.add_handler(self._node_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for name, fields in CLASSES.items():
            marks = {"annotations": {claims.DEFAULT_CLASS: "true"}} if name == DEFAULT else {}
            await self._ensure(STORAGE_CLASS, {"metadata": {"name": name, **marks}, **fields})
        await self._ensure(CSI_DRIVER, {"metadata": {"name": claims.DISK_DRIVER}, "spec": _DRIVER})
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="csi-nodes")

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            self._reconciler.queue.add(new["metadata"]["name"])

    async def _ensure_node(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None:
            return
        owner = {"apiVersion": NODE.api_version, "kind": NODE.name, "name": name, "uid": node["metadata"]["uid"]}
        driver = {
            "name": claims.DISK_DRIVER,
            "nodeID": name,
            "topologyKeys": [claims.DRIVER_ZONE_LABEL],
            "allocatable": {"count": DISKS_PER_NODE},
        }
        metadata = {"name": name, "ownerReferences": [owner]}
        await self._ensure(CSI_NODE, {"metadata": metadata, "spec": {"drivers": [driver]}})

    async def _ensure(self, kind: Kind, obj: Object) -> None:
        try:
            await self._client.create(kind, {"apiVersion": kind.api_version, "kind": kind.name, **obj})
        except AlreadyExists:
            return
