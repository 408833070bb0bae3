"""A real API server in the test's own process, and clients that reach it over TLS."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controlplane.client.https import HttpsClient, tls_context
from controlplane.client.local import LocalClient
from controlplane.server.assembly import open_registry
from controlplane.server.http import ApiServer
from controlplane.server.kubeconfig import kubeconfig
from controlplane.server.pki import Pair, Pki
from controlplane.server.registry import Registry
from controlplane.server.requests import AUTHENTICATED, MASTERS, User
from controlplane.server.streams import StreamDirectory

ADMIN_TOKEN = "admin-token"
KUBECTL = Path(sys.executable).parent / "kubectl"


@dataclass(frozen=True)
class Served:
    """A running server: its URL, what is behind it, and credentials."""

    url: str
    registry: Registry
    pki: Pki
    admin: Pair
    streams: StreamDirectory
    directory: Path

    @property
    def local(self) -> LocalClient:
        return LocalClient(self.registry)

    @asynccontextmanager
    async def https(self) -> AsyncIterator[HttpsClient]:
        context = tls_context(self.pki.ca_certificate, client=self.admin)
        async with HttpsClient.connect(self.url, context) as client:
            yield client


@dataclass(frozen=True)
class Finished:
    status: int
    stdout: str
    stderr: str


Kubectl = Callable[..., Awaitable[Finished]]


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Served]:
    """A server on a free port of the loopback address, on a fresh store in `directory`."""
    pki = Pki(directory / "pki")
    await asyncio.to_thread(pki.ensure, ["localhost", "kubernetes.default"], ["127.0.0.1"])
    admin = await asyncio.to_thread(pki.client, "admin", "admin", [MASTERS])
    streams = StreamDirectory()
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    tokens: Mapping[str, User] = {ADMIN_TOKEN: User("admin", (MASTERS, AUTHENTICATED))}
    async with open_registry(directory / "state.db", service_account_key=pki.service_account_key) as registry:
        server = ApiServer(registry, pki, streams=streams, tokens=tokens, address=address)
        async with server.serve([listening]):
            yield Served(f"https://{address}", registry, pki, admin, streams, directory)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def session(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """Raw HTTP as the administrator."""
    connector = aiohttp.TCPConnector(ssl=tls_context(served.pki.ca_certificate))
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with aiohttp.ClientSession(served.url, connector=connector, headers=headers) as opened:
        yield opened


@pytest.fixture
async def kubectl(served: Served) -> Kubectl:
    """Runs the real kubectl; JSON or text goes in as `stdin`."""
    config = kubeconfig("test", served.url, served.pki.ca_certificate.read_bytes(), client=served.admin)
    file = served.directory / "kubeconfig"
    file.write_text(json.dumps(config))
    environment = os.environ | {"KUBECONFIG": str(file), "HOME": str(served.directory)}

    async def run(*arguments: str, stdin: Any = None) -> Finished:
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        data = stdin.encode() if isinstance(stdin, str) else json.dumps(stdin).encode() if stdin is not None else b""
        try:
            async with asyncio.timeout(30):
                out, err = await process.communicate(data)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Finished(process.returncode or 0, out.decode(), err.decode())

    return run
