"""The machines of a cluster: one that cannot be brought to an end keeps no other from running."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controlplane import machines
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.config import ClusterConfig, ResolvedNode
from controlplane.config.resolve import resolve
from controlplane.directories import Directories
from controlplane.machines import Machines
from controlplane.node.errors import NodeError
from controlplane.server.assembly import open_registry
from controlplane.server.streams import StreamDirectory
from controlplane.software import NodeSoftware, Software
from controlplane.supervision import until_or_failed


class Agent:
    """Runs until cancelled and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.looked_after = asyncio.Event()

    @property
    def connected(self) -> bool:
        self.looked_after.set()
        return True

    async def run(self) -> None:
        self.begun += 1
        await asyncio.Event().wait()


class Programs:
    """The software of the nodes, by name."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}

    def of(self, node: ResolvedNode) -> NodeSoftware:
        self.agents[node.name] = Agent()
        return NodeSoftware(cast(Any, self.agents[node.name]), [])

    def agent_config(self, node: ResolvedNode) -> Any:
        return SimpleNamespace(name=node.name)


async def looked_after(programs: Programs) -> None:
    while not programs.agents:  # noqa: ASYNC110 - made when the machines run
        await asyncio.sleep(0)
    for agent in programs.agents.values():
        await agent.looked_after.wait()


@pytest.mark.parametrize("state", ["crashed", "leaving"])
async def test_a_node_whose_processes_do_not_end_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any
) -> None:
    def power_off(config: Any, *, grace: float = 0.0) -> None:
        raise NodeError(f"processes of node {config.name} do not end")

    monkeypatch.setattr(machines, "power_off", power_off)
    monkeypatch.setattr(machines, "LINK_SECONDS", 0.01)
    monkeypatch.setattr("controlplane.directories.STATE_ROOT", tmp_path)
    monkeypatch.setattr("controlplane.directories.RUN_ROOT", tmp_path)
    (tmp_path / "c").mkdir()
    config = resolve(ClusterConfig(), taken=[], port_owner=lambda address, port: None, name="c")
    config = replace(config, nodes=(replace(config.nodes[0], state=state), *config.nodes[1:]))
    programs = Programs()
    async with open_registry(tmp_path / "state.db") as registry:
        client = LocalClient(registry)
        made = Machines(
            config,
            Directories("c"),
            fabric=cast(Any, None),
            client=client,
            informers=Informers(client),
            streams=StreamDirectory(),
            software=cast(Software, programs),
        )
        work = asyncio.create_task(made.run())
        try:
            # Links are looked after once all that was cut off has been seen to.
            async with asyncio.timeout(30):
                await until_or_failed(looked_after(programs), work)
            assert {name: agent.begun for name, agent in programs.agents.items()} == {"node-2": 1, "node-3": 1}
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
