"""Pods, claims and disks for the tests of volumes, as the controllers would have made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlplane.api.claims import DISK_DRIVER
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, VOLUME_ATTACHMENT
from controlplane.api.types import Object
from netsim import loop
from tests.kernel.node.conftest import NODE, Node

MOUNT = [{"name": "v", "mountPath": "/v"}]
SLEEP = "trap 'exit 0' TERM; sleep inf & wait"


def shell(script: str = SLEEP, **more: Any) -> Object:
    return {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script], "volumeMounts": MOUNT, **more}


async def output(node: Node, name: str, script: str) -> str:
    ran = await node.execute(name, "sh", "-c", f"exec 2>&1; {script}")
    return ran.out.decode()


async def claim(node: Node, name: str, source: Object, *, attached: bool = True, **spec: Any) -> Object:
    """A volume, a claim bound to it, and its attachment, as the controllers would have made them."""
    claimed = await node.client.create(
        PERSISTENT_VOLUME_CLAIM,
        {
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "8Mi"}},
                "volumeName": f"pv-{name}",
            },
        },
        "default",
    )
    reference = {
        "kind": "PersistentVolumeClaim",
        "namespace": "default",
        "name": name,
        "uid": claimed["metadata"]["uid"],
    }
    volume = {
        "metadata": {"name": f"pv-{name}"},
        "spec": {
            "capacity": {"storage": "8Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": reference,
            **source,
            **spec,
        },
    }
    await node.client.create(PERSISTENT_VOLUME, volume)
    await node.client.patch(
        PERSISTENT_VOLUME_CLAIM,
        name,
        "default",
        body={"status": {"phase": "Bound", "capacity": {"storage": "8Mi"}}},
        subresource="status",
    )
    if attached:
        await attach(node, name)
    return claimed


async def attach(node: Node, name: str, source: Object | None = None) -> None:
    attachment = {
        "metadata": {"name": f"csi-{name}"},
        "spec": {"attacher": DISK_DRIVER, "nodeName": NODE, "source": source or {"persistentVolumeName": f"pv-{name}"}},
    }
    await node.client.create(VOLUME_ATTACHMENT, attachment)
    await node.client.patch(VOLUME_ATTACHMENT, f"csi-{name}", body={"status": {"attached": True}}, subresource="status")


def disk(name: str) -> Object:
    return {"csi": {"driver": DISK_DRIVER, "volumeHandle": f"projects/p/zones/z/disks/{name}", "fsType": "ext4"}}


def on_host(name: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def volume(name: str, **more: Any) -> list[Object]:
    return [{"name": "v", "persistentVolumeClaim": {"claimName": name, **more}}]


def waiting_message(node: Node, name: str) -> str:
    return str((node.container(name).get("state") or {}).get("waiting", {}).get("message") or "")


def devices(node: Node) -> dict[str, str]:
    return loop.below((node.config.state_directory,))


def is_empty(directory: Path) -> bool:
    return not list(directory.iterdir())
