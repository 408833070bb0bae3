"""Pull policies, pulls and back-off of a node in a cluster that pulls, against a real registry."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.api.kinds import NODE, SECRET
from controlplane.node import NodeAgent, pulls
from controlplane.node.images.library import ImageLibrary
from tests.archives import busybox_layer, save
from tests.kernel.node.conftest import Node
from tests.registry import PROGRAM, Registry, running_registry

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"needs {PROGRAM}; make setup unpacks it")
COMMAND = {"Cmd": ["/bin/sleep", "600"]}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("image") / "a.tar", ["x:1"], [busybox_layer()], COMMAND)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry whose images the store forgets afterwards: their names have its port."""
    with running_registry(tmp_path_factory.mktemp("registry"), private=True) as running:
        yield running
        forget(running.host)


def forget(host: str) -> None:
    library = ImageLibrary()
    for name in library.index().names:
        if name.startswith(host):
            library.remove(name, force=True)


@pytest.fixture
def authfile(registry: Registry, tmp_path: Path) -> Path:
    path = tmp_path / "auth.json"
    path.write_text(registry.credentials())
    return path


@pytest.fixture
async def pulling(node: Node) -> Node:
    """A node whose cluster pulls what is not there."""
    await node.stop_agent()
    node.config = replace(node.config, missing_image="pull")
    node.start_agent(NodeAgent(node.client, node.informers, node.config))
    return node


async def test_an_image_is_pulled_with_the_pod_s_secret(
    pulling: Node, registry: Registry, archive: Path, authfile: Path
) -> None:
    name = registry.push(archive, "team/app:1", f"--dest-authfile={authfile}")
    secret = {
        "metadata": {"name": "regcred"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(registry.credentials().encode()).decode()},
    }
    await pulling.client.create(SECRET, secret, "default")
    await pulling.create("app", {"name": "c", "image": name}, imagePullSecrets=[{"name": "regcred"}])
    await pulling.until_ready("app")
    image_id = pulling.container("app")["imageID"]
    assert re.fullmatch(rf"{registry.host}/team/app@sha256:[0-9a-f]{{64}}", image_id)
    await pulling.until_event("app", "Started", "Container started")
    events = await pulling.events("app")
    assert ("Pulling", f'Pulling image "{name}"') in events
    wording = (
        rf'Successfully pulled image "{name}" in [\d.]+m?s \([\d.]+m?s including waiting\)\. Image size: \d+ bytes\.'
    )
    assert [message for reason, message in events if reason == "Pulled" and re.fullmatch(wording, message)]

    await pulling.create("again", {"name": "c", "image": name, "imagePullPolicy": "IfNotPresent"})
    await pulling.until_ready("again")
    present = f'Container image "{name}" already present on machine and can be accessed by the pod'
    await pulling.until_event("again", "Pulled", present)
    assert not list(pulling.config.run.glob(".auth-*"))

    def listed() -> bool:
        images = (pulling.informers.of(NODE).get("node-1") or {}).get("status", {}).get("images") or []
        return any({image_id, name} <= {*image["names"]} and image["sizeBytes"] > 0 for image in images)

    await pulling.until(listed, "the node's list of images")


async def test_a_pull_that_fails_backs_off_and_is_tried_again(
    pulling: Node, registry: Registry, archive: Path, authfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "FIRST_DELAY", 1.5)
    monkeypatch.setattr(pulls, "SHOWN_SECONDS", 0.3)
    name = f"{registry.host}/late:1"
    await pulling.create("late", {"name": "c", "image": name}, imagePullSecrets=[{"name": "none"}])

    def waiting() -> str:
        return str(pulling.container("late").get("state", {}).get("waiting", {}).get("reason"))

    await pulling.until(lambda: waiting() == "ErrImagePull")
    message = pulling.container("late")["state"]["waiting"]["message"]
    assert "authentication required" in message
    await pulling.until(lambda: waiting() == "ImagePullBackOff")
    assert pulling.container("late")["state"]["waiting"]["message"] == (
        f'Back-off pulling image "{name}": ErrImagePull: {message}'
    )
    await pulling.until_event("late", "Failed", f'Failed to pull image "{name}": {message}')
    await pulling.until_event("late", "Failed", "Error: ErrImagePull")
    await pulling.until_event("late", "BackOff", f'Back-off pulling image "{name}"')
    await pulling.until_event("late", "Failed", "Error: ImagePullBackOff")
    await pulling.until_event(
        "late",
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (none); attempting to pull the image may not succeed.",
    )
    registry.push(archive, "late:1", f"--dest-authfile={authfile}")
    secret = {
        "metadata": {"name": "none"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(registry.credentials().encode()).decode()},
    }
    await pulling.client.create(SECRET, secret, "default")
    await pulling.until_ready("late")


async def test_never_and_a_bad_name_wait_with_their_reasons(pulling: Node) -> None:
    await pulling.create("never", {"name": "c", "image": "localhost/no:1", "imagePullPolicy": "Never"})
    await pulling.create("bad", {"name": "c", "image": "Upper/Case"})

    def waiting(name: str) -> str:
        return str(pulling.container(name).get("state", {}).get("waiting", {}).get("reason"))

    await pulling.until(lambda: waiting("never") == "ErrImageNeverPull")
    text = 'Container image "localhost/no:1" is not present with pull policy of Never'
    await pulling.until_event("never", "ErrImageNeverPull", text)
    await pulling.until_event("never", "Failed", "Error: ErrImageNeverPull")
    await pulling.until(lambda: waiting("bad") == "InvalidImageName")
    await pulling.until_event("bad", "Failed", "Error: InvalidImageName")
