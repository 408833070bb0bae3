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
    assert (
        await node.log("app")
        == "entry /bin/sh hello\nuid=1000(alice) gid=1001(alice) groups=1001(alice),1002(wheel)\n/srv/app\n"
    )
    status = node.container("app")
    assert status["image"] == image
    assert status["imageID"].startswith("sha256:")
    message = f'Container image "{image}" already present on machine and can be accessed by the pod'
    await node.until_event("app", "Pulled", message)
    ran = await node.execute("app", "sh", "-c", "cat /data/seed; touch /data/new && echo written; ls /")
    assert ran.out.split() == [b"from", b"the", b"image", b"written", *b"bin data dev etc proc srv sys tmp".split()]
    await node.delete("app")
    assert sandbox_files(node) == []
