"""Paths on a real node: of the host, of parts of volumes, and links planted in them."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from tests.kernel.node.conftest import Node
from tests.kernel.node.volume_kit import claim, disk, output, shell, volume, waiting_message


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
