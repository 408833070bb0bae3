"""Volumes on a real node: what containers see of them, and what stays and goes with the pod and the daemon."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.claims import DISK_DRIVER, own_volume
from controlplane.api.kinds import (
    CONFIG_MAP,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    VOLUME_ATTACHMENT,
)
from controlplane.api.types import Object
from controlplane.directories import export_disks, volume_disks
from controlplane.node import mounting
from controlplane.node.runtime.spawner import shared_spawner
from netsim import loop
from netsim.errors import Busy
from netsim.exports import Exports
from tests.kernel.node.conftest import NODE, Node

MOUNT = [{"name": "v", "mountPath": "/v"}]
SLEEP = "sleep inf"


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


async def test_a_volume_in_memory_has_its_size(node: Node) -> None:
    script = f"head -c 3000000 /dev/zero > /v/file; echo $? > /v2/status; {SLEEP}"
    other = {"name": "w", "emptyDir": {}}
    mounts = [*MOUNT, {"name": "w", "mountPath": "/v2"}]
    memory = {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    await node.create("tmpfs", shell(script, volumeMounts=mounts), volumes=[memory, other])
    await node.until_ready("tmpfs")
    await node.eventually(lambda: output(node, "tmpfs", "cat /v2/status"))
    assert (await output(node, "tmpfs", "cat /v2/status")).strip() != "0"
    line = (await output(node, "tmpfs", "grep ' /v ' /proc/mounts")).split()
    assert (line[0], line[2]) == ("tmpfs", "tmpfs")
    assert "size=1024k" in line[3]
    await node.kill()
    node.start()
    await node.until_ready("tmpfs")
    assert (await output(node, "tmpfs", "stat -c %s /v/file")).strip() == str(1 << 20)
    await node.delete("tmpfs")


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


def is_empty(directory: Path) -> bool:
    return not list(directory.iterdir())


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


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"local": {"path": "/nowhere"}, "nodeAffinity": on_host(NODE)},
            'MountVolume.SetUp failed for volume "pv-data" : path "/nowhere" does not exist',
        ),
        (
            {"csi": {"driver": "other.io", "volumeHandle": "x"}},
            'MountVolume.SetUp failed for volume "pv-data" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI '
            "client: driver name other.io not found in the list of registered CSI drivers",
        ),
        (
            {"hostPath": {"path": "/tmp"}, "nodeAffinity": on_host("b")},
            'MountVolume.NodeAffinity check failed for volume "pv-data" : no matching NodeSelectorTerms',
        ),
    ],
)
async def test_what_cannot_be_mounted_is_said(node: Node, spec: Object, message: str) -> None:
    await claim(node, "data", spec, attached=False)
    await node.create("fails", shell(), volumes=volume("data"))
    await node.until_event("fails", "FailedMount", message)
    await node.delete("fails")


async def test_a_claim_that_is_not_there_or_not_bound_is_said(node: Node) -> None:
    await node.create("none", shell(), volumes=volume("absent"))
    said = 'error processing PVC default/absent: persistentvolumeclaim "absent" not found'
    await node.until_event("none", "FailedMount", said)
    await node.delete("none")


async def test_each_volume_that_fails_is_said_and_in_the_end_that_it_took_too_long(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounting, "MOUNT_SECONDS", 0.1)
    await claim(node, "data", disk("data"), attached=False)
    volumes = [
        *volume("data"),
        {"name": "a", "configMap": {"name": "absent"}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "absent"}},
        {"name": "c", "hostPath": {"path": "/nowhere", "type": "Directory"}},
        {"name": "d", "emptyDir": {}},
    ]
    await node.create("fails", shell(), volumes=volumes)
    setup = "MountVolume.SetUp failed for volume"
    for said in (
        f'{setup} "a" : configmap "absent" not found',
        'error processing PVC default/absent: persistentvolumeclaim "absent" not found',
        f'{setup} "c" : hostPath type check failed: /nowhere is not a directory',
        "Unable to attach or mount volumes: unmounted volumes=[a b c v], unattached volumes=[v], "
        "failed to process volumes=[b]: context deadline exceeded",
    ):
        await node.until_event("fails", "FailedMount", said)
    await node.delete("fails")


async def test_a_key_that_is_not_there_is_said(node: Node) -> None:
    for kind, body in ((CONFIG_MAP, {"data": {"a": "1"}}), (SECRET, {"stringData": {"a": "1"}})):
        await node.client.create(kind, {"metadata": {"name": "has"}, **body}, "default")
    wrong = [{"key": "b", "path": "b"}]
    volumes = [
        {"name": "v", "configMap": {"name": "has", "items": wrong}},
        {"name": "w", "secret": {"secretName": "has", "items": wrong}},
    ]
    await node.create("fails", shell(), volumes=volumes)
    for name, what in (("v", "config"), ("w", "secret")):
        said = f'MountVolume.SetUp failed for volume "{name}" : references non-existent {what} key: b'
        await node.until_event("fails", "FailedMount", said)
    await node.delete("fails")


async def test_a_token_has_the_mode_of_its_volume_and_is_renewed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.time()]
    tokens = node.agent._parts.tokens
    monkeypatch.setattr(tokens, "_clock", lambda: now[0])
    await node.client.create(SERVICE_ACCOUNT, {"metadata": {"name": "vault"}}, "default")
    source = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}}
    projected = {"name": "v", "projected": {"defaultMode": 0o440, "sources": [source]}}
    await node.create("named", shell(), volumes=[projected], serviceAccountName="vault")
    await node.until_ready("named")
    assert await output(node, "named", "stat -Lc %a /v/token") == "440\n"
    first = await output(node, "named", "cat /v/token")
    now[0] += 479
    assert await tokens.get(node.pod("named"), source["serviceAccountToken"]) == first
    now[0] += 2
    # What changes of a pod has its volumes looked at, as the clock does.
    await node.client.patch(POD, "named", "default", body={"metadata": {"labels": {"a": "b"}}})

    async def is_renewed() -> bool:
        return await output(node, "named", "cat /v/token") != first

    await node.eventually(is_renewed)
    await node.delete("named")


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


async def test_a_group_owns_the_volume(node: Node) -> None:
    await claim(node, "data", disk("data"))
    security = {"fsGroup": 2000, "runAsUser": 1000}
    await node.create("grouped", shell(), volumes=volume("data"), securityContext=security)
    await node.until_ready("grouped")
    assert await output(node, "grouped", "echo x > /v/f; stat -c '%g %a' /v; stat -c %g /v/f") == "2000 2775\n2000\n"
    await node.delete("grouped")


async def test_a_raw_block_device(node: Node) -> None:
    await claim(node, "raw", disk("raw"), volumeMode="Block")
    container = shell(volumeMounts=[], volumeDevices=[{"name": "v", "devicePath": "/dev/xvda"}])
    await node.create("block", container, volumes=volume("raw"))
    await node.until_ready("block")
    script = "echo raw > /dev/xvda; head -c 4 /dev/xvda; blockdev --getsize64 /dev/xvda || wc -c < /dev/xvda"
    assert (await output(node, "block", script)).split() == ["raw", str(8 << 20)]
    await node.delete("block")
    assert devices(node) == {}


async def test_an_export_is_shared_and_its_parts_stay_inside(node: Node) -> None:
    exports = Exports(export_disks(node.config.state_directory))
    exports.add("*", "/data")
    source = {"name": "v", "nfs": {"server": "files.example", "path": "/data"}}
    await node.create("writes", shell(), volumes=[source])
    await node.until_ready("writes")
    await output(node, "writes", "mkdir /v/part; echo kept > /v/part/file; ln -s /etc /v/out")
    below = {"name": "v", "nfs": {"server": "other.example", "path": "/data/part", "readOnly": True}}
    await node.create("reads", shell(), volumes=[below])
    await node.until_ready("reads")
    assert "Read-only" in await output(node, "reads", "cat /v/file; echo x > /v/new")
    outside = {"name": "v", "nfs": {"server": "files.example", "path": "/data/out"}}
    await node.create("escapes", shell(), volumes=[outside])
    await node.until(lambda: (node.container("escapes").get("state") or {}).get("waiting", {}).get("message"))
    assert "leads out of the volume" in node.container("escapes")["state"]["waiting"]["message"]
    unknown = {"name": "v", "nfs": {"server": "files.example", "path": "/other"}}
    await node.create("unknown", shell(), volumes=[unknown])

    async def said() -> bool:
        return any("netsim storage export add" in message for _, message in await node.events("unknown"))

    await node.eventually(said)
    for name in ("writes", "reads", "escapes", "unknown"):
        await node.delete(name)
    assert [str(export) for export in exports.list()] == ["*:/data"]


async def test_mounts_propagate_where_the_manifest_says(node: Node, tmp_path: Path) -> None:
    shared = [{"name": "v", "hostPath": {"path": str(tmp_path)}}]

    def mounting(kind: str) -> Object:
        return shell(
            volumeMounts=[{"name": "v", "mountPath": "/v", "mountPropagation": kind}],
            securityContext={"privileged": True},
        )

    await node.create("both", mounting("Bidirectional"), volumes=shared)
    await node.create("slave", mounting("HostToContainer"), volumes=shared)
    await node.create("none", shell(), volumes=shared)
    for name in ("both", "slave", "none"):
        await node.until_ready(name)
    await output(node, "both", "mkdir /v/m; mount -t tmpfs x /v/m; touch /v/m/inside")
    assert await output(node, "slave", "ls /v/m") == "inside\n"
    assert await output(node, "none", "ls /v/m") == ""
    await output(node, "both", "umount /v/m")
    assert await output(node, "slave", "ls /v/m") == ""
    for name in ("both", "slave", "none"):
        await node.delete(name)
    assert not list((tmp_path / "m").iterdir()), "the host never saw it"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("Directory", "a directory"),
        ("File", "a file"),
        ("Socket", "a socket"),
        ("CharDevice", "a character device"),
        ("BlockDevice", "a block device"),
        ("DirectoryOrCreate", "a directory"),
        ("FileOrCreate", "a file"),
    ],
)
async def test_host_paths_are_of_their_type(node: Node, tmp_path: Path, kind: str, what: str) -> None:
    wrong = tmp_path / "wrong"
    if kind in ("Directory", "DirectoryOrCreate"):
        wrong.touch()
    elif kind == "FileOrCreate":
        wrong.mkdir()
    await node.create("typed", shell(), volumes=[{"name": "v", "hostPath": {"path": str(wrong), "type": kind}}])
    said = f'MountVolume.SetUp failed for volume "v" : hostPath type check failed: {wrong} is not {what}'
    await node.until_event("typed", "FailedMount", said)
    await node.delete("typed")


async def test_host_paths_of_the_right_type_are_mounted(node: Node, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    kinds = {
        "dir": ("Directory", tmp_path),
        "file": ("File", tmp_path / "file"),
        "socket": ("Socket", tmp_path / "socket"),
        "char": ("CharDevice", Path("/dev/null")),
        "newdir": ("DirectoryOrCreate", tmp_path / "a" / "b"),
        "newfile": ("FileOrCreate", tmp_path / "new"),
        "any": ("", tmp_path / "c" / "d"),
    }
    volumes = [{"name": n, "hostPath": {"path": str(path), "type": kind}} for n, (kind, path) in kinds.items()]
    mounts = [{"name": name, "mountPath": f"/v/{name}"} for name in kinds]
    await node.create("typed", shell(volumeMounts=mounts), volumes=volumes)
    await node.until_ready("typed")
    listening.close()
    seen = (await output(node, "typed", "cd /v; stat -c '%n %F' *; cat file")).splitlines()
    assert seen == [
        "any directory",
        "char character special file",
        "dir directory",
        "file regular file",
        "newdir directory",
        "newfile regular empty file",
        "socket socket",
        "text",
    ]
    assert ((tmp_path / "a" / "b").stat().st_mode & 0o777, (tmp_path / "new").stat().st_mode & 0o777) == (0o755, 0o644)
    await node.delete("typed")


async def test_a_part_with_a_name_from_the_environment(node: Node) -> None:
    mounts = [{"name": "v", "mountPath": "/v", "subPathExpr": "logs/$(WHO)"}]
    own = [{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    await claim(node, "data", disk("data"))
    await node.create("named", shell(volumeMounts=mounts, env=own), volumes=volume("data"))
    await node.until_ready("named")
    await output(node, "named", "echo x > /v/file")
    await node.create("all", shell(), volumes=volume("data"))
    await node.until_ready("all")
    assert await output(node, "all", "ls /v/logs/named") == "file\n"
    await node.create("none", shell(volumeMounts=mounts), volumes=volume("data"))
    await node.until(lambda: (node.container("none").get("state") or {}).get("waiting", {}).get("message"))
    assert node.container("none")["state"]["waiting"]["message"] == 'missing value for "WHO"'
    for name in ("named", "all", "none"):
        await node.delete(name)


async def test_a_link_planted_in_a_volume_leads_no_mount_out(node: Node, tmp_path: Path) -> None:
    """CVE-2017-1002101 and CVE-2021-25741: a subPath that is a link, or becomes one."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    await claim(node, "data", disk("data"))
    await node.create("plants", shell(), volumes=volume("data"))
    await node.until_ready("plants")
    await output(node, "plants", f"ln -s {tmp_path} /v/out; ln -s ../../../../../..{tmp_path} /v/up; mkdir /v/in")
    for number, sub in enumerate(("out", "up", "out/secret")):
        mounts = [{"name": "v", "mountPath": "/v", "subPath": sub}]
        name = f"taken-{number}"
        await node.create(name, shell("cat /v/secret; sleep inf", volumeMounts=mounts), volumes=volume("data"))
        said = await node.until(partial(waiting_message, node, name))
        assert "leads out of the volume" in said
        await node.delete(name)
    await node.delete("plants")
    assert secret.read_text() == "secret"


async def test_a_link_planted_in_a_volume_leads_no_clean_up_out(node: Node, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    empty = [{"name": "v", "emptyDir": {}}]
    await node.create("plants", shell(), volumes=empty, securityContext={"fsGroup": 2000})
    await node.until_ready("plants")
    await output(node, "plants", f"ln -s {tmp_path} /v/out; ln -s {tmp_path}/kept /v/file")
    await node.delete("plants")
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "kept").stat().st_gid == 0
    assert not list(node.config.pods.iterdir())


async def test_a_disk_in_use_cannot_be_deleted(node: Node) -> None:
    await claim(node, "data", disk("data"))
    await node.create("uses", shell(), volumes=volume("data"))
    await node.until_ready("uses")
    disks = volume_disks(node.config.state_directory)
    with pytest.raises(Busy):
        disks.delete("data")
    await node.delete("uses")
    disks.delete("data")


async def test_nothing_of_volumes_shows_on_the_host(node: Node) -> None:
    await claim(node, "data", disk("data"))
    memory = {"name": "m", "emptyDir": {"medium": "Memory"}}
    mounts = [*MOUNT, {"name": "m", "mountPath": "/m"}]
    await node.create("both", shell(volumeMounts=mounts), volumes=[*volume("data"), memory])
    await node.until_ready("both")
    run = str(node.config.run)

    def staged() -> int:
        return Path("/proc/thread-self/mounts").read_text().count(f" {run}/staged")

    assert await asyncio.to_thread(staged) == 0
    assert await shared_spawner(node.config.run_directory).mounts(staged) == 1
    assert os.listdir(f"{run}/staged/disk-data/mount") == []
    await node.delete("both")


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
