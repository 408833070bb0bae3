"""Binding, provisioning and attaching on a real API, with disks in a directory of the test's own."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.claims import DISK_DRIVER
from controlplane.api.kinds import (
    CSI_NODE,
    EVENT,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
)
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.attach_detach import AttachDetach
from controlplane.controllers.volume_binder import VolumeBinder
from controlplane.controllers.volume_protection import VolumeProtection
from controlplane.controllers.volume_provisioner import Provisioner
from controlplane.scheduler import Scheduler
from netsim.disks import Disks
from netsim.exports import Exports
from tests.api.controllers.conftest import World, pod_spec

ZONE = {"topology.kubernetes.io/zone": "z", "topology.gke.io/zone": "z"}


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path / "volumes")


@pytest.fixture
async def running(world: World, disks: Disks) -> World:
    provisioner = Provisioner(world.client, world.informers, disks, Exports(Disks(disks.root.parent / "exports")))
    components = [
        VolumeBinder(world.client, world.informers, provisioner),
        VolumeProtection(world.client, world.informers),
        AttachDetach(world.client, world.informers),
        Scheduler(world.client, world.informers),
    ]
    world.run(world.kubelet, *components)
    await storage_class(world, "now", "Immediate")
    await storage_class(world, "later", "WaitForFirstConsumer")
    return world


async def storage_class(world: World, name: str, mode: str, provisioner: str = DISK_DRIVER, **fields: Any) -> None:
    body = {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, **fields}
    await world.client.create(STORAGE_CLASS, {"reclaimPolicy": "Delete", **body})


async def claim(world: World, name: str, storage_class: str = "now", **spec: Any) -> None:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, **spec}
    obj = {"metadata": {"name": name}, "spec": {"storageClassName": storage_class, **body}}
    await world.client.create(PERSISTENT_VOLUME_CLAIM, obj, "default")


async def pod(world: World, name: str, *claims: str, **spec: Any) -> None:
    volumes = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims]
    await world.client.create(POD, {"metadata": {"name": name}, "spec": pod_spec(volumes=volumes, **spec)}, "default")


async def bound(world: World, name: str) -> Object:
    async def look() -> Object | None:
        found = await world.client.get(PERSISTENT_VOLUME_CLAIM, name, "default")
        return found if found["status"]["phase"] == "Bound" else None

    found = await world.until(look)
    assert found is not None
    return found


async def attached_to(world: World) -> list[str]:
    return sorted(
        one["spec"]["nodeName"] for one in await world.items(VOLUME_ATTACHMENT) if one.get("status", {}).get("attached")
    )


async def in_use(world: World, node: str, volume: str | None) -> None:
    names = [f"kubernetes.io/csi/{DISK_DRIVER}^projects/netsim/zones/z/disks/{volume}"] if volume else None
    await world.client.patch(NODE, node, body={"status": {"volumesInUse": names}}, subresource="status")


async def on_two_nodes(world: World) -> str:
    """A pod on node-1 has a volume mounted and is forced away; another wants it on node-2."""
    await world.add_nodes(2, **ZONE)
    await claim(world, "data")
    volume: str = (await bound(world, "data"))["spec"]["volumeName"]
    await pod(world, "first", "data", nodeName="node-1")
    await world.until(lambda: attached_to(world))
    await in_use(world, "node-1", volume)
    await world.client.delete(POD, "first", "default", grace_period_seconds=0)
    await pod(world, "second", "data", nodeName="node-2")

    async def refused() -> bool:
        return any("Multi-Attach error" in one for one in await world.messages("FailedAttachVolume"))

    world.kubelet.broken = lambda pod: True
    await world.until(refused)
    assert await attached_to(world) == ["node-1"]
    return volume


async def test_a_volume_waits_until_its_node_has_let_go(running: World) -> None:
    volume = await on_two_nodes(running)
    await in_use(running, "node-1", None)
    await running.until(lambda: is_attached_to(running, "node-2"))
    assert (await running.client.get(PERSISTENT_VOLUME, volume))["status"]["phase"] == "Bound"


async def is_attached_to(world: World, node: str) -> bool:
    return await attached_to(world) == [node]


async def test_a_node_out_of_service_keeps_nothing(running: World) -> None:
    await on_two_nodes(running)
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    await running.client.patch(NODE, "node-1", body={"spec": {"taints": [taint]}})
    await running.until(lambda: is_attached_to(running, "node-2"))


async def test_a_node_that_does_not_answer_keeps_a_volume_for_six_minutes(world: World, disks: Disks) -> None:
    now = [1000.0]
    attacher = AttachDetach(world.client, world.informers, clock=lambda: now[0])
    provisioner = Provisioner(world.client, world.informers, disks, Exports(Disks(disks.root.parent / "exports")))
    world.run(world.kubelet, VolumeBinder(world.client, world.informers, provisioner), attacher)
    await storage_class(world, "now", "Immediate")
    await on_two_nodes(world)
    now[0] += 350
    await heard_of(world, "node-1", "Unknown")
    assert await attached_to(world) == ["node-1"], "not six minutes yet"
    now[0] += 50
    await heard_of(world, "node-1", "True")
    assert await attached_to(world) == ["node-1"], "a node that is well is waited for"
    await ready(world, "node-1", "Unknown")
    await world.until(lambda: is_attached_to(world, "node-2"))


async def ready(world: World, node: str, status: str) -> None:
    body = {"status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": timestamp()}]}}
    await world.client.patch(NODE, node, body=body, subresource="status")


async def heard_of(world: World, node: str, status: str) -> None:
    """Has the volumes of a node looked at, and returns after that."""

    async def refusals() -> int:
        return sum(one.get("count", 1) for one in await world.items(EVENT) if one["reason"] == "FailedAttachVolume")

    before = await refusals()
    await ready(world, node, status)

    async def again() -> bool:
        return await refusals() > before

    await world.until(again)


async def test_a_node_that_is_gone_keeps_nothing(running: World) -> None:
    await on_two_nodes(running)
    await running.client.delete(NODE, "node-1")
    await running.until(lambda: is_attached_to(running, "node-2"))


async def test_a_node_has_no_more_disks_than_its_driver_can(running: World) -> None:
    await running.add_nodes(1, **ZONE)
    driver = {"name": DISK_DRIVER, "nodeID": "node-1", "topologyKeys": [], "allocatable": {"count": 2}}
    await running.client.create(CSI_NODE, {"metadata": {"name": "node-1"}, "spec": {"drivers": [driver]}})
    for name, storage_class in (("a", "now"), ("b", "later"), ("c", "later"), ("d", "now")):
        await claim(running, name, storage_class)
    await pod(running, "one", "a", "b")
    await running.until(lambda: placed(running, "one"))
    # The same disks are no more of them.
    await pod(running, "shares", "a", "b")
    await running.until(lambda: placed(running, "shares"))
    for name in ("c", "d"):
        await pod(running, f"waits-{name}", name)

    async def refused() -> bool:
        said = [one for one in await running.messages("FailedScheduling") if "1 node(s) exceed max volume count" in one]
        return len(said) == 2

    await running.until(refused)
    await running.client.patch(
        CSI_NODE, "node-1", body={"spec": {"drivers": [{**driver, "allocatable": {"count": 4}}]}}, patch_type="merge"
    )
    for name in ("c", "d"):
        await running.until(partial(placed, running, f"waits-{name}"))


async def placed(world: World, name: str) -> bool:
    return bool((await world.client.get(POD, name, "default"))["spec"].get("nodeName"))


def naming(disk: str, **source: Any) -> list[Object]:
    return [{"name": "v", "gcePersistentDisk": {"pdName": disk, **source}}]


async def named_by(world: World, name: str, node: str, **source: Any) -> None:
    obj = {"metadata": {"name": name}, "spec": pod_spec(volumes=naming("mine", **source), nodeName=node)}
    await world.client.create(POD, obj, "default")


async def test_a_disk_that_pods_name_themselves_is_attached_to_one_node(running: World) -> None:
    await running.add_nodes(2, **ZONE)
    running.kubelet.broken = lambda pod: True
    await named_by(running, "first", "node-1")
    await running.until(lambda: is_attached_to(running, "node-1"))
    [attachment] = await running.items(VOLUME_ATTACHMENT)
    handle = attachment["spec"]["source"]["inlineVolumeSpec"]["csi"]["volumeHandle"]
    assert handle == "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/mine"
    await named_by(running, "second", "node-2")

    async def refused() -> list[str]:
        return await running.messages("FailedAttachVolume")

    said = f'Multi-Attach error for volume "{DISK_DRIVER}-mine" Volume is already used by pod(s) first'
    assert await running.until(refused) == [said]
    mounted = {"status": {"volumesInUse": [f"kubernetes.io/csi/{DISK_DRIVER}^{handle}"]}}
    await running.client.patch(NODE, "node-1", body=mounted, subresource="status")
    await running.client.delete(POD, "first", "default", grace_period_seconds=0)

    async def told() -> bool:
        return len(await refused()) == 2

    await running.until(told)
    assert await is_attached_to(running, "node-1"), "the node has it mounted still"
    await in_use(running, "node-1", None)
    await running.until(lambda: is_attached_to(running, "node-2"))


async def test_a_disk_that_pods_only_read_is_attached_to_all(running: World) -> None:
    await running.add_nodes(2, **ZONE)
    for number in (1, 2):
        await named_by(running, f"reads-{number}", f"node-{number}", readOnly=True)

    async def both() -> bool:
        return await attached_to(running) == ["node-1", "node-2"]

    await running.until(both)


async def test_two_claims_do_not_take_one_volume(running: World) -> None:
    await storage_class(running, "static", "Immediate", "kubernetes.io/no-provisioner")
    for name in ("a", "b", "c"):
        await claim(running, name, "static")
    for number in range(3):
        await running.client.create(PERSISTENT_VOLUME, host_path(f"pv-{number}", "static"))
    volumes = {(await bound(running, name))["spec"]["volumeName"] for name in ("a", "b", "c")}
    assert volumes == {"pv-0", "pv-1", "pv-2"}


def host_path(name: str, storage_class: str, **spec: Any) -> Object:
    body = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class}
    return {"metadata": {"name": name}, "spec": {**body, "hostPath": {"path": "/tmp"}, **spec}}


async def test_a_claim_gets_the_class_that_became_the_default_since(running: World) -> None:
    for name, spec in (("waits", {}), ("none", {"storageClassName": ""})):
        body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, **spec}
        await running.client.create(PERSISTENT_VOLUME_CLAIM, {"metadata": {"name": name}, "spec": body}, "default")
    await running.add_nodes(1, **ZONE)

    async def said() -> bool:
        return len(await running.messages("FailedBinding")) == 2

    await running.until(said)
    marks = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
    await running.client.patch(STORAGE_CLASS, "now", body=marks)
    assert (await bound(running, "waits"))["spec"]["storageClassName"] == "now"
    kept = await running.client.get(PERSISTENT_VOLUME_CLAIM, "none", "default")
    assert (kept["spec"]["storageClassName"], kept["status"]["phase"]) == ("", "Pending")


async def test_two_pods_do_not_take_one_volume(running: World) -> None:
    await running.add_nodes(2, **ZONE)
    await storage_class(running, "local", "WaitForFirstConsumer", "kubernetes.io/no-provisioner")
    for number in (1, 2):
        host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [f"node-{number}"]}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}}
        await running.client.create(PERSISTENT_VOLUME, host_path(f"pv-{number}", "local", nodeAffinity=affinity))
    for name in ("a", "b"):
        await claim(running, name, "local")
        await pod(running, name, name)

    async def placed() -> list[Object] | None:
        pods = await running.items(POD)
        return pods if all(one["spec"].get("nodeName") for one in pods) else None

    pods = await running.until(placed)
    assert pods is not None
    for one in pods:
        volume = (await bound(running, one["metadata"]["name"]))["spec"]["volumeName"]
        assert volume.replace("pv", "node") == one["spec"]["nodeName"]
    assert len({one["spec"]["nodeName"] for one in pods}) == 2


async def test_a_volume_that_cannot_be_made_for_a_node_gives_the_choice_back(running: World) -> None:
    await running.add_nodes(1, **ZONE)
    await storage_class(running, "odd", "WaitForFirstConsumer", parameters={"colour": "red"})
    await claim(running, "data", "odd")
    await pod(running, "web", "data")

    async def said() -> bool:
        return any('invalid option "colour"' in one for one in await running.messages("ProvisioningFailed"))

    await running.until(said)

    async def given_back() -> bool:
        found = await running.client.get(PERSISTENT_VOLUME_CLAIM, "data", "default")
        return "volume.kubernetes.io/selected-node" not in (found["metadata"].get("annotations") or {})

    await running.until(given_back)
    assert "nodeName" not in (await running.client.get(POD, "web", "default"))["spec"]


async def test_a_disk_that_cannot_be_deleted_is_tried_again(running: World, disks: Disks) -> None:
    await running.add_nodes(1, **ZONE)
    await claim(running, "data")
    name = (await bound(running, "data"))["spec"]["volumeName"]
    attachment = {"attacher": DISK_DRIVER, "nodeName": "gone", "source": {"persistentVolumeName": name}}
    await in_use(running, "node-1", name)
    attachment["nodeName"] = "node-1"
    await running.client.create(VOLUME_ATTACHMENT, {"metadata": {"name": "held"}, "spec": attachment})
    await running.client.delete(PERSISTENT_VOLUME_CLAIM, "data", "default")

    async def said() -> list[str]:
        return await running.messages("VolumeFailedDelete")

    assert await running.until(said) == [f"persistentvolume {name} is still attached to node node-1"]
    assert disks.exists(name)
    await in_use(running, "node-1", None)
    await running.until(lambda: asyncio.sleep(0, not disks.exists(name)))
    await running.until(lambda: no_volumes(running))


async def no_volumes(world: World) -> bool:
    return not await world.items(PERSISTENT_VOLUME)


async def test_a_disk_that_a_kill_left_without_its_volume_goes_unless_it_holds_something(
    world: World, disks: Disks
) -> None:
    for name in ("pvc-blank", "pvc-written", "mine"):
        disks.ensure(name, 1 << 20)
    (disks.root / "pvc-written" / "image").write_bytes(b"data")
    (disks.root / ".new-half").mkdir()
    provisioner = Provisioner(world.client, world.informers, disks, Exports(Disks(disks.root.parent / "exports")))
    world.run(VolumeBinder(world.client, world.informers, provisioner))
    await world.until(lambda: asyncio.sleep(0, disks.names() == ["mine", "pvc-written"]))
    assert not (disks.root / ".new-half").exists()
