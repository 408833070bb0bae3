"""What a manifest or a container says of paths stays in the container and in its volumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.kinds import CONFIG_MAP
from controlplane.node.images import standin
from controlplane.node.runtime.spawner import shared_spawner
from tests.kernel.node.conftest import Node

EMPTY = {"name": "v", "emptyDir": {}}


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "busybox", "command": ["sh", "-c", script], **more}


@pytest.mark.parametrize("overlay", [True, False])
async def test_a_working_directory_is_made_in_the_container(
    node: Node, overlay: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not overlay:
        monkeypatch.setattr(standin, "overlay_works", lambda directory: False)
    name = f"netsim-cwd-{os.getpid()}"
    await node.create("deep", shell("pwd; sleep inf", workingDir=f"/var/run/{name}/deep"))
    await node.until_ready("deep")
    assert (await node.execute("deep", "pwd")).out == f"/run/{name}/deep\n".encode()
    assert name not in os.listdir("/run")


async def test_a_link_out_of_the_volume_is_no_sub_path(node: Node) -> None:
    outside = Path("/tmp", f"netsim-outside-{os.getpid()}")
    mounts = [{"name": "v", "mountPath": "/v"}]
    await node.create("planter", shell(f"ln -s {outside} /v/x; sleep inf", volumeMounts=mounts), volumes=[EMPTY])
    await node.until_ready("planter")
    volume = next(node.config.pods.glob("*/volumes/v"))
    await node.eventually(lambda: _true((volume / "x").is_symlink()))
    mounts = [{"name": "v", "mountPath": "/v", "subPath": "x/new"}]
    shared = {"name": "v", "hostPath": {"path": str(volume)}}
    await node.create("victim", shell("sleep inf", volumeMounts=mounts), volumes=[shared])
    waiting = await node.until(lambda: node.container("victim").get("state", {}).get("waiting", {}).get("message"))
    assert waiting == "subPath x/new leads out of the volume"
    assert outside.name not in os.listdir("/tmp")
    assert len(list((node.config.run / "containers").iterdir())) == 1, "what was begun is removed"


async def test_a_part_of_a_volume_is_made_mounted_and_let_go(node: Node) -> None:
    mounts = [
        {"name": "v", "mountPath": "/v"},
        {"name": "v", "mountPath": "/part", "subPath": "a/b"},
        {"name": "m", "mountPath": "/etc/one", "subPath": "key"},
    ]
    await node.client.create(CONFIG_MAP, {"metadata": {"name": "m"}, "data": {"key": "value"}}, "default")
    config = {"name": "m", "configMap": {"name": "m"}}
    await node.create("parts", shell("echo hi > /part/file; sleep inf", volumeMounts=mounts), volumes=[EMPTY, config])
    await node.until_ready("parts")
    ran = await node.execute("parts", "sh", "-c", "cat /v/a/b/file /etc/one; stat -c %a /part; echo x > /etc/one")
    assert ran.out == b"hi\nvalue777\n"
    assert b"Read-only file system" in ran.err
    seen = await shared_spawner(node.config.run_directory).inside(lambda: Path("/proc/thread-self/mounts").read_text())
    assert "/parts/" not in seen
    await node.delete("parts")


async def test_a_container_cannot_change_what_the_node_writes(node: Node) -> None:
    await node.client.create(CONFIG_MAP, {"metadata": {"name": "m"}, "data": {"key": "value"}}, "default")
    mounts = [{"name": "m", "mountPath": "/m"}]
    volumes = [{"name": "m", "configMap": {"name": "m"}}]
    await node.create("reader", shell("sleep inf", volumeMounts=mounts), volumes=volumes)
    await node.until_ready("reader")
    ran = await node.execute("reader", "sh", "-c", "rm /m/..data; cat /m/key")
    assert ran.out == b"value"
    assert b"Read-only file system" in ran.err


async def _true(value: bool) -> bool:
    return value
