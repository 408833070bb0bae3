"""What others say in the node's name while it was not heard of is taken back."""

from __future__ import annotations

from controlplane.api.kinds import POD
from tests.kernel.node.conftest import Node


async def test_a_pod_that_was_marked_not_ready_is_ready_again(node: Node) -> None:
    await node.create("web", {"name": "c", "image": "nginx"})
    conditions = (await node.until_ready("web"))["status"]["conditions"]
    marked = [c | {"status": "False"} if c["type"] == "Ready" else c for c in conditions]
    await node.client.patch(POD, "web", "default", body={"status": {"conditions": marked}}, subresource="status")
    await node.until(lambda: not node.ready("web"), "marked")
    await node.until_ready("web")
    assert node.container("web")["restartCount"] == 0
