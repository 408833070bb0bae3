"""Volumes on a real node: what containers see of them, and what the host does."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from controlplane.api.kinds import POD, SERVICE_ACCOUNT
from controlplane.api.types import Object
from controlplane.directories import export_disks
from controlplane.node.runtime.spawner import shared_spawner
from netsim.exports import Exports
from tests.kernel.node.conftest import Node
from tests.kernel.node.volume_kit import MOUNT, SLEEP, claim, disk, output, shell, volume


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


async def test_a_group_owns_the_volume(node: Node) -> None:
    await claim(node, "data", disk("data"))
    security = {"fsGroup": 2000, "runAsUser": 1000}
    await node.create("grouped", shell(), volumes=volume("data"), securityContext=security)
    await node.until_ready("grouped")
    assert await output(node, "grouped", "echo x > /v/f; stat -c '%g %a' /v; stat -c %g /v/f") == "2000 2775\n2000\n"
    await node.delete("grouped")


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
        remedy = f"netsim storage export add --name {node.config.cluster} "
        return any(remedy in message for _, message in await node.events("unknown"))

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
