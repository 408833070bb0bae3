"""postStart and preStop: a command in the container, an HTTP request to it, or a sleep."""

from __future__ import annotations

import asyncio
import socket

from controlplane.api.types import Object
from controlplane.node.errors import NodeError
from controlplane.node.parts import NodeParts
from controlplane.node.runtime.execution import output_of
from controlplane.node.state import ContainerState, PodState
from netsim.errors import NetsimError

LONGEST_SECONDS = 3600.0
HOOK_FAILURES = (NodeError, NetsimError, OSError, ValueError, OverflowError)
"""What `Hooks.run` raises: a line of an answer may be too long or a header no text, and a program may not start."""


class HookFailure(NodeError):
    """The hook ended with an error; the message is not for events, it may hold secrets."""


class Hooks:
    """Runs lifecycle hooks on one node."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def run(self, state: PodState, container: ContainerState, hook: Object) -> None:
        """Runs one hook; one of HOOK_FAILURES when it fails, TimeoutError after an hour."""
        async with asyncio.timeout(LONGEST_SECONDS):
            await self._run(state, container, hook)

    async def _run(self, state: PodState, container: ContainerState, hook: Object) -> None:
        if "exec" in hook:
            assert container.current is not None
            command = list(hook["exec"].get("command") or [])
            status, output = await output_of(self._parts.runtime, container.current, command, LONGEST_SECONDS)
            if status:
                raise HookFailure(f"command ended with status {status}: {output.strip()}")
        elif "httpGet" in hook:
            await self._get(state, container, hook["httpGet"])
        elif "sleep" in hook:
            await asyncio.sleep(float(hook["sleep"].get("seconds") or 0))
        else:
            raise HookFailure(f"hooks of this type are not supported: {', '.join(sorted(hook))}")

    async def _get(self, state: PodState, container: ContainerState, action: Object) -> None:
        address = action.get("host") or (state.sandbox.addresses[0] if state.sandbox else "")
        port = _port(container.spec, action["port"])
        made = await self._parts.executor.run(socket.socket, socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(made, (address, port))
            reader, writer = await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise
        try:
            path = action.get("path") or "/"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n".encode())
            words = (await reader.readline()).split()
        finally:
            writer.close()
        if len(words) < 2 or not words[1].startswith((b"2", b"3")):
            raise HookFailure("the HTTP request was not answered with success")


def _port(spec: Object, port: int | str) -> int:
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for declared in spec.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise HookFailure(f"no port is named {port}")
