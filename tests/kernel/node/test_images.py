"""Pods on images that were loaded: root file system, configuration, users, volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.node.images.library import ImageLibrary
from tests.archives import busybox_layer, directory, file, layer, save
from tests.kernel.node.conftest import Node, sandbox_files

pytestmark = pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="needs busybox-static")

CONFIG = {
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo entry $0 $GREETING; id; pwd; exec sleep 600"],
    "Env": ["GREETING=hello", "PATH=/bin"],
    "User": "alice",
    "WorkingDir": "/srv/app",
    "StopSignal": "SIGINT",
    "Volumes": {"/data": {}},
}

DATA = layer(directory("data", 0o777), file("data/seed", b"from the image\n", 0o666), directory("srv/app", uid=1000))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of its own for this run, with a configuration."""
    name = f"localhost/pytest-{tmp_path_factory.getbasetemp().name}:1"
    layers = [busybox_layer(), DATA]
    library = ImageLibrary()
    library.load(save(tmp_path_factory.mktemp("image") / "a.tar", [name], layers, CONFIG))
    yield name
    if library.find(name) is not None:
        library.remove(name, force=True)


async def test_what_the_image_says_is_honoured(node: Node, image: str) -> None:
    await node.create("app", {"name": "c", "image": image})
    await node.until_ready("app")
    said = "entry /bin/sh hello\nuid=1000(alice) gid=1001(alice) groups=1001(alice),1002(wheel)\n/srv/app\n"

    async def has_said() -> bool:
        return await node.log("app") == said

    await node.eventually(has_said)
    status = node.container("app")
    assert status["image"] == image
    assert status["imageID"].startswith("sha256:")
    assert status["user"] == {"linux": {"uid": 1000, "gid": 1001, "supplementalGroups": [1001, 1002]}}
    message = f'Container image "{image}" already present on machine and can be accessed by the pod'
    await node.until_event("app", "Pulled", message)
    ran = await node.execute("app", "sh", "-c", "cat /data/seed; touch /data/new && echo written; ls /")
    assert ran.out.split() == [b"from", b"the", b"image", b"written", *b"bin data dev etc proc srv sys tmp".split()]
    await node.delete("app")
    assert sandbox_files(node) == []


async def test_command_and_args_override_as_in_the_documentation(node: Node, image: str) -> None:
    cases = {
        "both": ({"command": ["/bin/sh", "-c"], "args": ["echo both"]}, "both\n"),
        "args": ({"args": ["echo args $0"]}, "args /bin/sh\n"),
        "command": ({"command": ["/bin/sh", "-c", "echo command"]}, "command\n"),
    }
    for name, (words, _) in cases.items():
        await node.create(name, {"name": "c", "image": image, **words}, restartPolicy="Never")
    for name, (_, said) in cases.items():
        await node.until(lambda name=name: node.status(name).get("phase") == "Succeeded", name)
        assert await node.log(name) == said


async def test_a_read_only_root_has_writable_volumes(node: Node, image: str) -> None:
    script = "touch /bin/no; touch /data/yes && cat /data/seed"
    context = {"readOnlyRootFilesystem": True}
    container = {"name": "c", "image": image, "args": [script], "securityContext": context}
    await node.create("ro", container, restartPolicy="Never")
    await node.until(lambda: node.status("ro").get("phase") == "Succeeded")
    # Two streams: which of them the monitor reads first is not settled.
    lines = sorted((await node.log("ro")).splitlines())
    assert lines == ["from the image", "touch: /bin/no: Read-only file system"]


async def test_one_container_s_writes_are_not_another_s(node: Node, image: str) -> None:
    await node.create(
        "writes", {"name": "c", "image": image, "args": ["cd /tmp; echo mine > f; cat f"]}, restartPolicy="Never"
    )
    await node.until(lambda: node.status("writes").get("phase") == "Succeeded")
    await node.create("reads", {"name": "c", "image": image, "args": ["ls /tmp"]}, restartPolicy="Never")
    await node.until(lambda: node.status("reads").get("phase") == "Succeeded")
    assert (await node.log("writes"), await node.log("reads")) == ("mine\n", "")


async def test_a_user_by_name_does_not_pass_as_no_root(node: Node, image: str) -> None:
    container = {"name": "c", "image": image, "securityContext": {"runAsNonRoot": True}}
    await node.create("strict", container)

    def waiting() -> dict[str, str]:
        return dict(node.container("strict").get("state", {}).get("waiting", {}))

    await node.until(lambda: waiting().get("reason") == "CreateContainerConfigError")
    assert waiting()["message"].startswith(
        "container has runAsNonRoot and image has non-numeric user (alice), cannot verify user is non-root"
    )
