"""Disks on a real node: sizes, raw devices, names, and what stays and goes with the pod and the daemon."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from controlplane.api.claims import own_volume
from controlplane.api.kinds import POD
from controlplane.directories import volume_disks
from controlplane.node.config import DISKS
from controlplane.node.power import power_off
from netsim.errors import Busy
from tests.kernel.node.conftest import Node
from tests.kernel.node.volume_kit import attach, claim, devices, disk, is_empty, output, shell, volume


async def test_a_claim_is_a_limit_and_outlives_the_pod(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("one", shell(), volumes=volume("data"))
    await node.until_ready("one")
    assert "No space left" in await output(node, "one", "echo kept > /v/kept; head -c 9000000 /dev/zero > /v/big")
    assert int((await output(node, "one", "df -k /v | tail -1")).split()[1]) < 8192
    assert len(devices(node)) == 1
    await node.delete("one")
    assert devices(node) == {}
    await node.create("two", shell(), volumes=volume("data", readOnly=True))
    await node.until_ready("two")
    assert (
        await output(node, "two", "cat /v/kept; echo x > /v/new")
        == "kept\nsh: 1: cannot create /v/new: Read-only file system\n"
    )
    await node.delete("two")


async def test_a_volume_stays_mounted_while_the_daemon_is_away(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("first", shell(), volumes=volume("data"))
    await node.until_ready("first")
    await output(node, "first", "echo kept > /v/kept")
    before = devices(node)
    await node.kill()
    assert devices(node) == before
    node.start()
    await node.until_ready("first")
    await node.create("second", shell(), volumes=volume("data"))
    await node.until_ready("second")
    assert await output(node, "second", "cat /v/kept") == "kept\n"
    assert devices(node) == before, "one device for both"
    await node.delete("first")
    assert devices(node) == before
    await node.delete("second")
    assert devices(node) == {}


async def test_what_was_for_a_pod_that_went_meanwhile_is_unmounted(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("gone", shell(), volumes=volume("data"))
    await node.until_ready("gone")
    await node.kill()
    await node.client.delete(POD, "gone", "default", grace_period_seconds=0)
    # As a kill in the midst of a removal leaves it.
    (node.config.run / "staged" / "disk-half").mkdir()
    (node.config.run / "volumes" / "of-nobody" / "token").mkdir(parents=True)
    node.start()

    async def detached() -> bool:
        return devices(node) == {}

    await node.eventually(detached)
    for place in ("staged", "volumes"):
        await node.until(partial(is_empty, node.config.run / place), place)


async def test_a_pod_that_ended_lets_go_of_its_volume(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("job", shell("echo done > /v/file"), volumes=volume("data"), restartPolicy="Never")
    await node.until(lambda: node.status("job").get("phase") == "Succeeded")

    async def detached() -> bool:
        return devices(node) == {}

    await node.eventually(detached)
    await node.delete("job")


async def test_a_pod_waits_for_the_attachment(node: Node) -> None:
    await claim(node, "data", disk("data"), attached=False)
    await node.create("waits", shell(), volumes=volume("data"))
    await node.until(lambda: node.status("waits").get("phase") == "Pending")
    await asyncio.sleep(0.3)
    assert devices(node) == {}
    await attach(node, "data")
    await node.until_ready("waits")
    assert not [reason for reason, _ in await node.events("waits") if reason == "FailedMount"]
    await node.delete("waits")


async def test_a_disk_removed_behind_the_back_is_said_and_never_made_anew(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("one", shell(), volumes=volume("data"))
    await node.until_ready("one")
    await node.delete("one")
    (node.config.state_directory / "volumes" / "data" / "image").unlink()
    await node.create("two", shell(), volumes=volume("data"))

    async def said() -> bool:
        return any("are gone" in message for _, message in await node.events("two"))

    await node.eventually(said)
    await node.delete("two")


async def test_a_raw_block_device(node: Node) -> None:
    await claim(node, "raw", disk("raw"), volumeMode="Block")
    container = shell(volumeMounts=[], volumeDevices=[{"name": "v", "devicePath": "/dev/xvda"}])
    await node.create("block", container, volumes=volume("raw"))
    await node.until_ready("block")
    script = "echo raw > /dev/xvda; head -c 4 /dev/xvda; blockdev --getsize64 /dev/xvda || wc -c < /dev/xvda"
    assert (await output(node, "block", script)).split() == ["raw", str(8 << 20)]
    await node.delete("block")
    assert devices(node) == {}


async def test_a_node_that_is_off_lets_go_of_raw_block_devices(node: Node) -> None:
    await claim(node, "raw", disk("raw"), volumeMode="Block")
    container = shell(volumeMounts=[], volumeDevices=[{"name": "v", "devicePath": "/dev/xvda"}])
    await node.create("block", container, volumes=volume("raw"))
    await node.until_ready("block")
    await node.kill()
    elsewhere = node.config.run.parent / "node-2" / "staged" / f"{DISKS}-raw" / "pods"
    elsewhere.mkdir(parents=True)
    (elsewhere / "another").touch()
    await asyncio.to_thread(power_off, node.config)
    # Nodes of one host share the device.
    assert len(devices(node)) == 1
    (elsewhere / "another").rename(node.config.run_directory / "another")
    place = node.config.run / "staged" / f"{DISKS}-raw"
    place.mkdir(parents=True)
    await asyncio.to_thread(power_off, node.config)
    assert devices(node) == {}


async def test_a_disk_in_use_cannot_be_deleted(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("uses", shell(), volumes=volume("data"))
    await node.until_ready("uses")
    disks = volume_disks(node.config.state_directory)
    with pytest.raises(Busy):
        disks.delete("data")
    await node.delete("uses")
    disks.delete("data")


async def test_a_pod_names_a_disk_itself(node: Node) -> None:
    named = {"name": "v", "gcePersistentDisk": {"pdName": "my-data-disk", "fsType": "ext4"}}
    await node.create("one", shell(), volumes=[named])
    await node.until(lambda: node.status("one").get("phase") == "Pending")
    assert not devices(node), "not attached yet"
    taken_for = own_volume(named)
    assert taken_for is not None
    await attach(node, "own", {"inlineVolumeSpec": taken_for["spec"]})
    await node.until_ready("one")
    await output(node, "one", "echo kept > /v/kept")
    await node.delete("one")
    reading = {"name": "v", "gcePersistentDisk": {"pdName": "my-data-disk", "readOnly": True}}
    await node.create("two", shell(), volumes=[reading])
    await node.until_ready("two")
    assert (await output(node, "two", "cat /v/kept; echo x > /v/new")).startswith("kept\n")
    assert "Read-only" in await output(node, "two", "echo x > /v/new")
    await node.delete("two")
    parted = {"name": "v", "gcePersistentDisk": {"pdName": "my-data-disk", "partition": 1}}
    await node.create("three", shell(), volumes=[parted])
    said = 'MountVolume.SetUp failed for volume "v" : partitions of disks are not supported by this version of netsim'
    await node.until_event("three", "FailedMount", said)
    await node.delete("three")


async def test_an_old_name_of_a_disk(node: Node) -> None:
    await claim(node, "data", {"gcePersistentDisk": {"pdName": "old", "fsType": "ext4"}})
    await node.create("one", shell(), volumes=volume("data"))
    await node.until_ready("one")
    assert volume_disks(node.config.state_directory).names() == ["old"]
    await node.delete("one")


async def test_mount_options(node: Node) -> None:
    await claim(node, "data", disk("data"), mountOptions=["noatime", "nodev", "errors=remount-ro"])
    await node.create("one", shell(), volumes=volume("data"))
    await node.until_ready("one")
    options = (await output(node, "one", "grep ' /v ' /proc/mounts")).split()[3].split(",")
    assert {"noatime", "nodev", "errors=remount-ro"} <= set(options)
    await node.delete("one")
    await claim(node, "path", {"hostPath": {"path": "/tmp"}}, attached=False, mountOptions=["ro"])
    await node.create("two", shell(), volumes=volume("path"))
    said = 'MountVolume.SetUp failed for volume "pv-path" : Mount options are not supported for this volume type'
    await node.until_event("two", "FailedMount", said)
    await node.delete("two")
