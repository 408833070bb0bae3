"""What a node says of itself, on a real API."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from controlplane.api.kinds import NODE
from controlplane.api.version import KUBERNETES
from controlplane.client.recorder import EventRecorder
from controlplane.node.config import NodeConfig
from controlplane.node.connection import Connection
from controlplane.node.registration import Registration


async def test_a_node_has_the_servers_version(served: Any, tmp_path: Path) -> None:
    config = NodeConfig("node-1", "unit", "10.128.0.11", "10.44.1.0/24", Path("/none"), tmp_path, tmp_path)
    runtime: Any = SimpleNamespace(runtime_name="crun", runtime_version="1")
    recorder = EventRecorder(served.local, "kubelet", "node-1")
    connection = Connection(lambda: runtime, None)
    await Registration(served.local, recorder, config, runtime, connection, back=lambda: None).register()
    node = await served.local.get(NODE, "node-1")
    assert node["status"]["nodeInfo"]["kubeletVersion"] == KUBERNETES
