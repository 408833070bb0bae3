"""The fields of probes that say when and how often."""

from __future__ import annotations

import time

from tests.kernel.node.conftest import Node


async def test_delays_and_thresholds(node: Node) -> None:
    container = {
        "name": "c",
        "image": "server",
        "ports": [{"containerPort": 9000}],
        "startupProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
        "readinessProbe": {
            "exec": {"command": ["sh", "-c", "echo once >> /tmp/asked"]},
            "initialDelaySeconds": 1,
            "periodSeconds": 1,
            "successThreshold": 2,
        },
    }
    began = time.monotonic()
    await node.create("probed", container)
    await node.until_ready("probed")
    assert time.monotonic() - began >= 2
    assert (await node.execute("probed", "cat", "/tmp/asked")).out.split().count(b"once") >= 2
