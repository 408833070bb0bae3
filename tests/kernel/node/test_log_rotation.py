"""Logs are kept to five files of a size."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from controlplane.node import log_rotation
from controlplane.server.streams import LogOptions
from tests.kernel.node.conftest import Node


async def test_full_files_are_put_aside_and_followers_go_on(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rotation, "LOG_BYTES", 2000)
    monkeypatch.setattr(log_rotation, "MONITOR_SECONDS", 0.05)
    stamps = iter(range(100))
    monkeypatch.setattr(log_rotation, "stamp", lambda: f"{next(stamps):04}")
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i of what it says; i=$((i+1)); sleep 0.01; done; exec sleep 600"
    await node.create("chatty", {"name": "c", "image": "busybox", "command": ["sh", "-c", script]})
    await node.until_ready("chatty")
    (log,) = node.config.pods.glob("*/c_0.log")

    followed = b""
    async for chunk in node.agent.logs(node.pod("chatty"), "c", LogOptions(follow=True)):
        followed += chunk
        if b"line 299" in followed:
            break
    lines = followed.decode().partition("line 300")[0].splitlines()
    assert lines[-1].startswith("line 299")
    lines[-1] = "line 299 of what it says"
    assert len(lines) == len(set(lines))
    first = int(lines[0].split()[1])
    assert lines == [f"line {number} of what it says" for number in range(first, 300)]

    async def settled() -> bool:
        kept = log_rotation.rotated(log)
        compressed = [path.suffix == ".gz" for path in kept]
        return 3 <= len(kept) <= 4 and compressed == [True] * (len(kept) - 1) + [False]

    await node.eventually(settled)
    kept = log_rotation.rotated(log)
    assert b"of what it says" in gzip.decompress(kept[0].read_bytes())

    async def small() -> bool:
        return log.exists() and log.stat().st_size < 4000

    await node.eventually(small)
    pods = Path(log).parent
    await node.delete("chatty")
    assert not pods.exists()
