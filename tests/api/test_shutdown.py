"""The server stops at once, whoever still watches, and what they wrote is there afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp

from controlplane.api.kinds import CONFIG_MAP
from controlplane.client.https import tls_context
from controlplane.client.local import LocalClient
from controlplane.server.assembly import open_registry
from tests.api.conftest import ADMIN_TOKEN, serving


async def test_open_watches_do_not_hold_it_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        connector = aiohttp.TCPConnector(ssl=tls_context(served.pki.ca_certificate))
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        session = aiohttp.ClientSession(served.url, connector=connector, headers=headers)
        watches = [await session.get("/api/v1/pods", params={"watch": "true"}) for _ in range(5)]
        await served.local.create(CONFIG_MAP, {"metadata": {"name": "kept"}}, "default")
        begun = time.monotonic()
    assert time.monotonic() - begun < 30, "less than watches may stay open"
    async with asyncio.timeout(30):
        for watch in watches:
            assert await watch.content.read() == b""
    await session.close()
    async with open_registry(tmp_path / "state.db") as registry:
        assert (await LocalClient(registry).get(CONFIG_MAP, "kept", "default"))["metadata"]["name"] == "kept"
