"""Pods that a node runs because a manifest lies in its directory."""

from __future__ import annotations

import pytest
import yaml

from controlplane.api.kinds import POD
from controlplane.node import static_pods
from tests.kernel.node.conftest import Node

MANIFEST = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"role": "static"}},
    "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "nginx"}]},
}


async def test_a_manifest_in_the_directory_is_a_pod(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_pods, "CHECK_SECONDS", 0.05)
    directory = node.config.state_directory / "nodes/node-1/manifests"
    await node.until(directory.is_dir, "the directory")
    (directory / "broken.yaml").write_text("{")
    manifest = directory / "web.yaml"
    manifest.write_text(yaml.safe_dump(MANIFEST))

    pod = await node.until_ready("web-node-1")
    annotations = pod["metadata"]["annotations"]
    assert annotations["kubernetes.io/config.source"] == "file"
    assert annotations["kubernetes.io/config.mirror"] == annotations["kubernetes.io/config.hash"]
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "Node"
    assert pod["metadata"]["labels"] == {"role": "static"}

    # Deleted through the API there is another mirror, and the containers have not noticed.
    container = node.container("web-node-1")["containerID"]
    for _ in range(2):
        uid = node.pod("web-node-1")["metadata"]["uid"]
        await node.client.delete(POD, "web-node-1", "default")
        await node.until(lambda uid=uid: node.pod("web-node-1").get("metadata", {}).get("uid") not in (None, uid))
        await node.until_ready("web-node-1")
        assert node.container("web-node-1")["containerID"] == container
        assert node.container("web-node-1")["restartCount"] == 0

    # So it is with an agent that starts anew.
    await node.kill()
    node.start()
    await node.until_ready("web-node-1")
    assert node.container("web-node-1")["containerID"] == container

    # Changed, it is replaced; taken away, it goes.
    other = {**MANIFEST, "metadata": {"name": "web", "labels": {"role": "changed"}}}
    manifest.write_text(yaml.safe_dump(other))
    await node.until(
        lambda: node.pod("web-node-1").get("metadata", {}).get("labels") == {"role": "changed"}, "the change"
    )
    await node.until_ready("web-node-1")
    manifest.unlink()
    await node.until(lambda: not node.pod("web-node-1"), "the end")


async def test_a_manifest_that_is_wrong_does_not_keep_others_from_running(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_pods, "CHECK_SECONDS", 0.05)
    directory = node.config.state_directory / "nodes/node-1/manifests"
    await node.until(directory.is_dir, "the directory")
    (directory / "a-list.yaml").write_text("kind: Pod\nmetadata: [1]\n")
    (directory / "a-number.yaml").write_text("kind: Pod\nmetadata: {name: big}\nspec: {x: 99999999999999999999999}\n")
    (directory / "a-refused.yaml").write_text("kind: Pod\nmetadata: {name: bare}\nspec: {containers: []}\n")
    (directory / "b.yaml").write_text(yaml.safe_dump(MANIFEST))
    await node.until_ready("web-node-1")
    assert not node.pod("bare-node-1")
