"""Probes go on whatever they are answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controlplane.node.probes import ProbeKind, ProbeSet
from netsim.errors import NetsimError
from netsim.namespace import NamespaceExecutor


async def test_an_answer_without_end_and_a_program_that_cannot_start_are_failed_probes() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 200_000)
        await reader.read(1)
        writer.close()

    async def execute(command: list[str], seconds: float) -> tuple[int, str]:
        raise NetsimError("start: too many open files")

    failures = asyncio.Queue[tuple[ProbeKind, str]]()
    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    often = {"periodSeconds": 0.01}
    container = {
        "name": "c",
        "livenessProbe": {"exec": {"command": ["x"]}, **often},
        "readinessProbe": {"httpGet": {"port": port}, **often},
    }
    executor = NamespaceExecutor(Path("/proc/self/ns/net"), "probes")
    probes = ProbeSet(
        container, "127.0.0.1", executor, execute, lambda *verdict: None, lambda *seen: failures.put_nowait(seen)
    )
    probes.start()
    try:
        async with asyncio.timeout(30):
            seen = {await failures.get() for _ in range(2)}
            while len(seen) < 2:
                seen.add(await failures.get())
    finally:
        probes.stop()
        server.close()
        executor.close()
    assert ("Liveness", "start: too many open files") in seen
    assert {kind for kind, _ in seen} == {"Liveness", "Readiness"}
