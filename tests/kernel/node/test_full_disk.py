"""A cache that cannot be written to: the node goes on, and pods that need it say what is wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.node import NodeAgent
from tests.kernel.node.conftest import Node


@pytest.fixture
async def blocked(node: Node, tmp_path: Path) -> Path:
    """Is in the place of the directory in which the node caches what it has built."""
    file = tmp_path / "blocked"
    file.write_text("no directory")
    await node.stop_agent()
    node.start_agent(NodeAgent(node.client, node.informers, replace(node.config, cache_directory=file / "cache")))
    await node.until(node.agent.registered.is_set, "registered")
    return file


async def test_a_pod_whose_root_cannot_be_made_says_so(node: Node, blocked: Path) -> None:
    await node.create("web", {"name": "c", "image": "nginx"})
    await node.until(lambda: "waiting" in (node.container("web").get("state") or {}), "waiting")

    def reason() -> str:
        return str(node.container("web")["state"].get("waiting", {}).get("reason"))

    await node.until(lambda: reason() == "CreateContainerError", "refused")
    assert "blocked" in node.container("web")["state"]["waiting"]["message"]
    await node.delete("web")


async def test_a_pod_that_shares_its_processes_says_so_too(node: Node, blocked: Path) -> None:
    await node.create("web", {"name": "c", "image": "nginx"}, shareProcessNamespace=True)

    async def told() -> bool:
        events = await node.events("web")
        return any(reason == "FailedCreatePodSandBox" and "blocked" in message for reason, message in events)

    await node.eventually(told)
    assert await asyncio.wait_for(node.agent.registered.wait(), 1)
    await node.delete("web")
