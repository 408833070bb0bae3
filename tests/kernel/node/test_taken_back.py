"""What others say in the node's name while it was not heard of is taken back."""

from __future__ import annotations

import pytest

from controlplane.api.kinds import LEASE, NODE, POD
from controlplane.node import NodeAgent, registration
from tests.kernel.node.conftest import NODE as NODE_NAME
from tests.kernel.node.conftest import Node


async def test_a_pod_that_was_marked_not_ready_is_ready_again(node: Node) -> None:
    await node.create("web", {"name": "c", "image": "nginx"})
    conditions = (await node.until_ready("web"))["status"]["conditions"]
    marked = [c | {"status": "False"} if c["type"] == "Ready" else c for c in conditions]
    await node.client.patch(POD, "web", "default", body={"status": {"conditions": marked}}, subresource="status")
    await node.until(lambda: not node.ready("web"), "marked")
    await node.until_ready("web")
    assert node.container("web")["restartCount"] == 0


async def test_a_node_that_was_marked_unknown_is_ready_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "RENEW_SECONDS", 0.1)
    await node.stop_agent()
    node.start_agent(NodeAgent(node.client, node.informers, node.config))
    await node.until(lambda: _ready(node) == "True", "registered")
    conditions = (node.informers.of(NODE).get(NODE_NAME) or {})["status"]["conditions"]
    marked = [c | {"status": "Unknown"} for c in conditions]
    # Only once it renews its Lease: what it writes at its start is another matter.
    await node.until(lambda: node.informers.of(LEASE).get(NODE_NAME, registration.LEASE_NAMESPACE), "lease")
    await node.client.patch(NODE, NODE_NAME, body={"status": {"conditions": marked}}, subresource="status")
    await node.until(lambda: _ready(node) == "Unknown", "marked")
    await node.until(lambda: _ready(node) == "True", "ready again")


def _ready(node: Node) -> str:
    status = (node.informers.of(NODE).get(NODE_NAME) or {}).get("status") or {}
    return next((c["status"] for c in status.get("conditions") or [] if c["type"] == "Ready"), "")
