"""pods/resize: limits of a container that goes on running, as it sees them in its cgroup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlplane.api.kinds import POD
from controlplane.node.runtime import cgroups
from tests.kernel.node.conftest import Node

SLEEPER = {"name": "c", "image": "busybox", "command": ["sleep", "600"]}


def sized(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": "16Mi"}, "limits": {"memory": memory}}


async def resized(node: Node, cpu: str, memory: str) -> None:
    body = {"spec": {"containers": [{"name": "c", "resources": sized(cpu, memory)}]}}
    await node.client.patch(POD, "one", "default", body=body, patch_type="strategic", subresource="resize")
    await node.until(lambda: (node.container("one").get("resources") or {}) == sized(cpu, memory), "resized")


def memory_limit(node: Node) -> int:
    """What the kernel allows the container."""
    uid = node.pod("one")["metadata"]["uid"]
    name = node.container("one")["containerID"].rpartition("/")[2]
    cgroup = cgroups.container_cgroup(node.config.cluster, node.config.name, uid, name)
    file = "memory.max" if cgroups.unified() else "memory.limit_in_bytes"
    return int(Path(cgroups.directory("memory", cgroup), file).read_text())


async def test_limits_grow_and_shrink_without_a_restart(node: Node) -> None:
    await node.create("one", {**SLEEPER, "resources": sized("100m", "64Mi")}, terminationGracePeriodSeconds=0)
    await node.until_ready("one")
    assert node.container("one")["allocatedResources"] == {"cpu": "100m", "memory": "16Mi"}
    for cpu, memory, size in (("200m", "128Mi", 128), ("50m", "32Mi", 32)):
        await resized(node, cpu, memory)
        assert memory_limit(node) == size << 20
    assert node.container("one")["restartCount"] == 0
    await node.until_event("one", "ResizeCompleted", "Container c resized")


async def test_a_policy_may_ask_for_a_restart(node: Node) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    container = {**SLEEPER, "resources": sized("100m", "64Mi"), "resizePolicy": policy}
    await node.create("one", container, terminationGracePeriodSeconds=0)
    await node.until_ready("one")
    await resized(node, "200m", "64Mi")
    assert node.container("one")["restartCount"] == 0
    await resized(node, "200m", "128Mi")
    await node.until(lambda: node.container("one")["restartCount"] == 1 and node.ready("one"), "restarted")
    assert memory_limit(node) == 128 << 20
