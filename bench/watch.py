"""Fan-out: 100 watchers of pods, 1,000 changes, and how long after the last write all have been delivered.

Beside it the bare server of `api_server`, which joins what was stored and sends it: the framework, TLS and the
kernel, with no selection and no rendering.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import orjson
import uvloop

from bench import api_load, harness
from bench.api import Figures, pod, server
from bench.api_server import TOKEN

WATCHERS = 100
CHANGES = 1000
OBJECTS = 100
LIMIT_SECONDS = 60.0
BASE = "/api/v1/namespaces/default/pods"
EVENT = b'"type":"MODIFIED"'


def run(session: harness.Session) -> None:
    """Measures our server and the bare one, as often as the session says."""
    ours = [_measure("ours") for _ in range(session.runs)]
    bare = [_measure("bare") for _ in range(session.runs)]
    for figure, unit, target in (
        ("all written and delivered", "s", ""),
        ("delivered after the last write", "s", "<= 2"),
    ):
        session.report(
            f"{WATCHERS} watchers, {CHANGES} changes: {figure}",
            [one[figure] for one in ours],
            [one[figure] for one in bare],
            unit,
            target,
            reference_is="bare server",
        )


def _measure(which: str) -> Figures:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, server(which, Path(name)) as (url, _):
        made = ((BASE, pod(f"web-{i}")) for i in range(OBJECTS))
        api_load.run(url, (api_load.request("POST", path, body, token=TOKEN) for path, body in made))
        return uvloop.run(_deliver(url))


async def _deliver(url: str) -> Figures:
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    watchers = [_Watcher(loop.create_future()) for _ in range(WATCHERS)]
    for watcher in watchers:
        await loop.create_connection(lambda made=watcher: made, host, port, ssl=context)
    await asyncio.gather(*(watcher.began.wait() for watcher in watchers))
    bodies = (orjson.dumps({"metadata": {"annotations": {"step": str(i)}}}) for i in range(CHANGES))
    changes = (
        api_load.request("PATCH", f"{BASE}/web-{i % OBJECTS}", body, "application/merge-patch+json", TOKEN)
        for i, body in enumerate(bodies)
    )
    begun = time.perf_counter()
    await api_load.send(url, changes)
    written = time.perf_counter()
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(watcher.done for watcher in watchers))
    delivered = max(watcher.done.result() for watcher in watchers)
    # Watchers may well have the last change before its writer has its answer.
    after = max(0.001, delivered - written)
    return {"all written and delivered": delivered - begun, "delivered after the last write": after}


class _Watcher(asyncio.Protocol):
    """One watch; `done` is when its last event came."""

    def __init__(self, done: asyncio.Future[float]) -> None:
        self.done = done
        self.began = asyncio.Event()
        self._seen = 0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        made.write(api_load.request("GET", f"{BASE}?watch=true&allowWatchBookmarks=false", token=TOKEN))

    def data_received(self, data: bytes) -> None:
        self.began.set()
        data = self._tail + data
        self._seen += data.count(EVENT)
        self._tail = data[1 - len(EVENT) :]
        if self._seen >= CHANGES and not self.done.done():
            self.done.set_result(time.perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


if __name__ == "__main__":
    harness.main(run)
