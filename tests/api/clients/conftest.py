"""What clients from PyPI need: a kubeconfig, and a pod whose containers are this host's own processes."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.api.kinds import POD
from controlplane.server.kubeconfig import kubeconfig
from tests.api.conftest import Served
from tests.api.test_streams import HostStreams


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Most clients leave their connections to the garbage collector, which warns: here and not in other tests."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def config_file(served: Served) -> Path:
    """The administrator's kubeconfig."""
    config = kubeconfig("test", served.url, served.pki.ca_certificate.read_bytes(), client=served.admin)
    file = served.directory / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


@pytest.fixture
async def running(served: Served) -> None:
    """Pod `one` of namespace default, on a node that runs commands on the host."""
    served.streams.register("node-1", HostStreams())
    spec = {"containers": [{"name": "c", "image": "x"}]}
    await served.local.create(POD, {"metadata": {"name": "one"}, "spec": spec}, "default")
    await served.local.create(POD, {"target": {"name": "node-1"}}, "default", subresource="binding", name="one")
    conditions = [{"type": name, "status": "True"} for name in ("Ready", "ContainersReady")]
    body = {"status": {"phase": "Running", "conditions": conditions}}
    await served.local.patch(POD, "one", "default", body=body, patch_type="strategic", subresource="status")


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that answers each line with "got LINE", and ends when its caller has ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(b"got " + line)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
