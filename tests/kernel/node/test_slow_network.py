"""A network that takes its time with one pod, as a plugin that hangs: the others are probed meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from controlplane.api.types import Object
from controlplane.node import NodeAgent
from controlplane.node.network import CniNetwork
from tests.kernel.node.conftest import Node

LONGEST = 300.0


class SlowNetwork(CniNetwork):
    """Attaches a pod called `slow` once it is let go on."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.config)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def attach(self, sandbox_id: str, netns: Path, pod: Object) -> list[str]:
        if pod["metadata"]["name"] == "slow":
            self.begun.set()
            self.go_on.wait(LONGEST)
        return super().attach(sandbox_id, netns, pod)


@pytest.fixture
async def network(node: Node) -> SlowNetwork:
    made = SlowNetwork(node)
    await node.stop_agent()
    node.start_agent(NodeAgent(node.client, node.informers, node.config, network=made))
    return made


async def test_others_are_probed_while_a_pod_is_attached(node: Node, network: SlowNetwork) -> None:
    script = "while [ ! -e /tmp/go ]; do sleep 0.1; done; while true; do busybox nc -l -p 81 </dev/null; done"
    probe = {"tcpSocket": {"port": 81}, "periodSeconds": 1}
    await node.create(
        "web", {"name": "c", "image": "busybox", "command": ["sh", "-c", script], "readinessProbe": probe}
    )
    await node.until(lambda: "running" in (node.container("web").get("state") or {}), "running")
    await node.create("slow", {"name": "c", "image": "nginx"})
    await node.until(network.begun.is_set, "begun")
    try:
        await node.execute("web", "touch", "/tmp/go")
        await node.until_ready("web")
        assert not node.ready("slow")
    finally:
        network.go_on.set()
    await node.until_ready("slow")
