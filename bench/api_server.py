"""The servers that `api.py` loads, each in a process of its own: netsim's, or a bare one on the same framework.

The bare server has aiohttp, uvloop, TLS and SQLite with group commit, and no Kubernetes in it: what it can
do is the headroom. Prints the URL when it is ready, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import ssl
import sys
import threading
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from controlplane.api.kinds import SERVICE_ACCOUNT
from controlplane.client.local import LocalClient
from controlplane.server.assembly import open_registry
from controlplane.server.http import ApiServer
from controlplane.server.pki import Pki
from controlplane.server.requests import AUTHENTICATED, MASTERS, User

TOKEN = "bench"


async def ours(directory: Path, pki: Pki, listening: socket.socket) -> None:
    """netsim's API server, alone."""
    tokens = {TOKEN: User("bench", (MASTERS, AUTHENTICATED))}
    async with open_registry(directory / "state.db", service_account_key=pki.service_account_key) as registry:
        if not registry.list(SERVICE_ACCOUNT, "default").revisions:
            await LocalClient(registry).create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, "default")
        async with ApiServer(registry, pki, tokens=tokens).serve([listening]):
            await _until_told(listening)


async def bare(directory: Path, pki: Pki, listening: socket.socket) -> None:
    """Stores what is posted, returns what was stored, and knows nothing of it."""
    store = BareStore(directory / "bare.db")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server_certificate, pki.server_key)
    runner = web.ServerRunner(web.Server(store.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening, ssl_context=context).start()
    await _until_told(listening)
    await runner.cleanup()
    store.close()


class BareStore:
    """Bodies by path, in memory and in a table, committed in groups."""

    def __init__(self, path: Path) -> None:
        self._bodies: dict[str, bytes] = {}
        self._queue: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._wake = threading.Condition()
        self._watchers: list[asyncio.Queue[bytes]] = []
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE bodies (revision INTEGER PRIMARY KEY, key TEXT, value BLOB)")
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if "watch" in request.query:
            return await self._watch(request)
        if request.method == "GET":
            body = self._bodies.get(path)
            if body is None:
                body = b'{"items":[%b]}' % b",".join(
                    value for key, value in self._bodies.items() if key.startswith(path)
                )
            return web.Response(body=body, content_type="application/json")
        obj = orjson.loads(await request.read())
        key = path
        if request.method == "POST":
            key = f"{path}/{obj['metadata']['name']}"
        else:
            obj = orjson.loads(self._bodies[path]) | obj
        body = orjson.dumps(obj)
        done: asyncio.Future[None] = self._loop.create_future()
        with self._wake:
            self._queue.append((key, body, done))
            self._wake.notify()
        await done
        return web.Response(body=body, status=201 if request.method == "POST" else 200, content_type="application/json")

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"{}\n")
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._watchers.append(lines)
        while True:
            waiting = [await lines.get()]
            while not lines.empty():
                waiting.append(lines.get_nowait())
            await response.write(b"".join(waiting))

    def close(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        self._connection.close()

    def _write(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
                batch, self._queue = self._queue, []
            if not batch:
                return
            self._connection.execute("BEGIN")
            rows = [(key, body) for key, body, _ in batch]
            self._connection.executemany("INSERT INTO bodies (key, value) VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._done, batch)

    def _done(self, batch: list[tuple[str, bytes, asyncio.Future[None]]]) -> None:
        for key, body, done in batch:
            self._bodies[key] = body
            line = b'{"type":"MODIFIED","object":%b}\n' % body
            for lines in self._watchers:
                lines.put_nowait(line)
            done.set_result(None)


async def _until_told(listening: socket.socket) -> None:
    host, port = listening.getsockname()
    sys.stdout.write(f"https://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    which, directory = sys.argv[1], Path(sys.argv[2])
    pki = Pki(directory / "pki")
    pki.ensure(["localhost"], ["127.0.0.1"])
    listening = socket.create_server(("127.0.0.1", 0))
    uvloop.run({"ours": ours, "bare": bare}[which](directory, pki, listening))


if __name__ == "__main__":
    main()
