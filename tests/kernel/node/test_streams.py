"""exec, attach and port-forward against real containers."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.api.errors import BadRequest, InternalError
from controlplane.server.streams import ProcessStreams, TerminalSize
from netsim.namespace import entered
from tests.kernel.node.conftest import Node

SERVER = {"name": "c", "image": "nginx:1.25"}


async def test_exec_keeps_streams_and_status_apart(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    ran = await node.execute("web", "sh", "-c", "cat; echo error >&2; exit 7", stdin=b"given")
    assert (ran.status, ran.out, ran.err) == (7, b"given", b"error\n")
    assert (await node.execute("web", "sh", "-c", "kill -9 $$")).status == 137
    big = await node.execute("web", "head", "-c", "1000000", "/dev/zero")
    assert len(big.out) == 1_000_000


async def test_exec_with_a_terminal(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    ran = await node.execute("web", "sh", stdin=b"stty size; tty; exit 5\n", size=TerminalSize(100, 40))
    assert ran.status == 5
    assert b"40 100" in ran.out
    assert b"/dev/pts/0" in ran.out


async def test_a_command_that_is_not_there_is_an_error_with_its_name(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    with pytest.raises(InternalError, match="no-such-program"):
        await node.execute("web", "no-such-program")
    with pytest.raises(InternalError, match="no-such-program"):
        await node.execute("web", "no-such-program", size=TerminalSize(80, 25), stdin=b"")


async def test_the_command_dies_with_its_caller(node: Node) -> None:
    await node.create("web", {"name": "c", "image": "busybox", "command": ["sleep", "3600"]})
    await node.until_ready("web")
    begun = asyncio.Event()

    async def out(data: bytes) -> None:
        begun.set()

    streams = ProcessStreams(False, None, out, None, None)
    call = asyncio.create_task(node.agent.exec(node.pod("web"), "c", ["sh", "-c", "echo x; exec sleep 777"], streams))
    await asyncio.wait_for(begun.wait(), 30)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    listing = await node.execute("web", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert b"sleep 777" not in listing.out
    # Nor is it left dead to the container's first process, which may wait for nobody.
    states = await node.execute("web", "sh", "-c", "cat /proc/[0-9]*/stat")
    assert [line for line in states.out.decode().splitlines() if line.rpartition(") ")[2].startswith("Z")] == []


async def test_attach_sees_what_comes_and_ends_with_the_container(node: Node) -> None:
    await node.create("web", SERVER)
    address = (await node.until_ready("web"))["status"]["podIP"]
    seen = asyncio.Event()

    async def out(data: bytes) -> None:
        if b"GET /attached" in data:
            seen.set()

    call = asyncio.create_task(node.agent.attach(node.pod("web"), "c", ProcessStreams(False, None, out, out, None)))
    async with asyncio.timeout(30):
        while not seen.is_set():
            await node.fetch(address, 80, "/attached")
    await node.delete("web")
    await asyncio.wait_for(call, 30)


async def attached(node: Node, name: str, caller: str = "") -> bytes:
    """What a caller gets until the container has ended."""
    seen = bytearray()

    async def out(data: bytes) -> None:
        seen.extend(data)

    streams = ProcessStreams(False, None, out, out, None, caller)
    await asyncio.wait_for(node.agent.attach(node.pod(name), "c", streams), 30)
    return bytes(seen)


async def test_the_first_at_a_container_gets_all_that_he_has_not_read(node: Node) -> None:
    program = "echo early; sleep 1; echo late"
    for name in ("run", "read"):
        await node.create(
            name, {"name": "c", "image": "busybox", "command": ["sh", "-c", program]}, restartPolicy="Never"
        )
    await node.until(lambda: node.status("read").get("phase") in ("Running", "Succeeded"), "the start of read")
    read = await node.eventually(lambda: node.log("read", caller="kubectl"))
    assert read.encode() + await attached(node, "read", "kubectl") == b"early\nlate\n"
    await node.until(lambda: node.status("run").get("phase") == "Succeeded", "the end of run")
    assert await attached(node, "run") == b"early\nlate\n"
    with pytest.raises(InternalError, match="unable to upgrade connection: container c not found in pod run_default"):
        await attached(node, "run")


async def test_port_forward_reaches_the_pods_localhost(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    got: list[bytes] = []

    async def data() -> AsyncIterator[bytes]:
        yield b"GET /forwarded HTTP/1.0\r\n\r\n"

    async def send(chunk: bytes) -> None:
        got.append(chunk)

    await asyncio.wait_for(node.agent.port_forward(node.pod("web"), 80, data(), send), 30)
    assert b"client: 127.0.0.1:" in b"".join(got)
    with pytest.raises(InternalError, match="failed to connect to localhost:81"):
        await node.agent.port_forward(node.pod("web"), 81, data(), send)


async def test_a_program_that_closes_with_input_unread_only_ends_the_connection(node: Node) -> None:
    await node.create("web", SERVER)
    pod = await node.until_ready("web")

    def listen() -> socket.socket:
        (namespace,) = Path("/run/netns").glob(f"*-default-web-{pod['metadata']['uid'][:5]}")
        with entered(namespace):
            return socket.create_server(("127.0.0.1", 8081))

    def serve() -> None:
        listener.settimeout(30)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"answer")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    got = bytearray()

    async def data() -> AsyncIterator[bytes]:
        yield b"more than is read"
        await asyncio.Event().wait()

    async def send(chunk: bytes) -> None:
        got.extend(chunk)

    with await asyncio.to_thread(listen) as listener:
        forwarded = node.agent.port_forward(node.pod("web"), 8081, data(), send)
        await asyncio.wait_for(asyncio.gather(asyncio.to_thread(serve), forwarded), 30)
    assert bytes(got) == b"answer"


async def test_there_is_no_previous_log_before_a_restart(node: Node) -> None:
    await node.create("web", SERVER)
    await node.until_ready("web")
    with pytest.raises(BadRequest, match='previous terminated container "c" in pod "web" not found'):
        await node.log("web", previous=True)
