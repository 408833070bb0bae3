"""logs, exec, attach and port-forward of one node, for the API server (`controlplane.server.streams`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from controlplane.api.errors import BadRequest, InternalError
from controlplane.api.types import Object
from controlplane.node import attaching, logs
from controlplane.node.errors import NodeError, RuntimeFailure
from controlplane.node.parts import NodeParts
from controlplane.node.runtime.container import Container
from controlplane.node.runtime.execution import Execution, chunks, execute, write_all
from controlplane.node.state import PodState
from controlplane.server.streams import LogOptions, Output, ProcessStreams
from netsim.namespace import entered, namespace_path

CHUNK = 32768
READERS = 16
"""Of how many callers it is kept how much of a container's log they have read."""

NOT_UPGRADED = "Internal error occurred: unable to upgrade connection"


class Streams:
    """The `NodeStreams` part of a node agent."""

    def __init__(self, parts: NodeParts, state_of: Callable[[Object], PodState | None]) -> None:
        self._stream_parts = parts
        self._state_of = state_of
        self._watcher = logs.LogWatcher()

    def close_streams(self) -> None:
        """Lets go of the descriptors."""
        self._watcher.close()

    async def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See `NodeStreams.logs`."""
        attempt = self._attempt(pod, container, previous=options.previous)
        ended = attempt.ended

        def is_over() -> bool:
            return attempt.exit is not None

        path = Path(attempt.record.log_path)
        # A container that could not even be created has no log.
        read = 0
        with contextlib.suppress(FileNotFoundError):
            async for chunk in logs.read(path, options, self._watcher, is_over, ended):
                yield chunk
                read += len(chunk)
        if options.caller and options.whole:
            attempt.read_by[options.caller] = read
            while len(attempt.read_by) > READERS:
                del attempt.read_by[next(iter(attempt.read_by))]

    async def exec(self, pod: Object, container: str, command: list[str], streams: ProcessStreams) -> int:
        """See `NodeStreams.exec`."""
        attempt = self._running(pod, container)
        try:
            async with execute(
                self._stream_parts.runtime, attempt, command, stdin=streams.stdin is not None, tty=streams.tty
            ) as execution:
                return await _converse(execution, streams)
        except NodeError as error:
            raise InternalError(f"Internal error occurred: error executing command in container: {error}") from error

    async def attach(self, pod: Object, container: str, streams: ProcessStreams) -> None:
        """See `NodeStreams.attach`."""
        state = self._state_of(pod)
        place = state.containers.get(container) if state else None
        attempts = [place.current] if place else []
        if place and place.previous and streams.caller in place.previous.read_by:
            # Who has read that one's log means that one, though another has begun since.
            attempts.insert(0, place.previous)
        for attempt in attempts:
            if attempt is not None and attaching.is_open(attempt, streams.caller):
                return await attaching.attach(attempt, streams)
        full_name = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}"
        raise InternalError(f"{NOT_UPGRADED}: container {container} not found in pod {full_name}")

    async def port_forward(self, pod: Object, port: int, data: AsyncIterator[bytes], send: Output) -> None:
        """See `NodeStreams.port_forward`."""
        made = await self._pod_socket(pod)
        loop = asyncio.get_running_loop()
        with contextlib.closing(made):
            try:
                await loop.sock_connect(made, ("127.0.0.1", port))
            except OSError as error:
                raise InternalError(
                    f"failed to connect to localhost:{port} inside namespace of pod "
                    f'"{pod["metadata"]["name"]}": {os.strerror(error.errno or 0).lower()}'
                ) from error

            async def forward() -> None:
                async for chunk in data:
                    await loop.sock_sendall(made, chunk)
                with contextlib.suppress(OSError):
                    made.shutdown(socket.SHUT_WR)

            forwarding = asyncio.ensure_future(forward())
            try:
                while chunk := await _received(made):
                    await send(chunk)
            finally:
                forwarding.cancel()
                await asyncio.gather(forwarding, return_exceptions=True)

    async def _pod_socket(self, pod: Object) -> socket.socket:
        state = self._state_of(pod)
        if state is None or state.sandbox is None:
            raise InternalError(f'pod "{pod["metadata"]["name"]}" has no network')
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        if not state.sandbox.netns:
            return await self._stream_parts.executor.run(socket.socket, socket.AF_INET, kind)
        path = namespace_path(state.sandbox.netns)

        def make() -> socket.socket:
            with entered(path):
                return socket.socket(socket.AF_INET, kind)

        return await self._stream_parts.spawner.files(make)

    def _attempt(self, pod: Object, container: str, *, previous: bool) -> Container:
        name = pod["metadata"]["name"]
        state = self._state_of(pod)
        place = state.containers.get(container) if state else None
        if place is None or state is None:
            raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')
        if previous:
            found = place.previous
            if place.current is not None and place.current.exit is not None and place.waiting is not None:
                found = place.current
            if found is None:
                raise BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
            return found
        found = place.current or place.previous
        if found is None:
            reason = place.waiting[0] if place.waiting else "ContainerCreating"
            if not place.waiting and state.of_role("init", "sidecar"):
                reason = "PodInitializing"
            raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
        return found

    def _running(self, pod: Object, container: str) -> Container:
        state = self._state_of(pod)
        place = state.containers.get(container) if state else None
        if place is None or place.current is None or not place.current.running:
            raise InternalError(f'{NOT_UPGRADED}: container not found ("{container}")')
        return place.current


async def _received(made: socket.socket) -> bytes:
    """What has come; nothing at the end, also where the program has closed with input unread."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.get_running_loop().sock_recv(made, CHUNK)
    return b""


async def _converse(execution: Execution, streams: ProcessStreams) -> int:
    async def carry(descriptor: int | None, output: Output | None) -> None:
        if descriptor is None:
            return
        async for chunk in chunks(descriptor):
            if output is not None:
                await output(chunk)

    async def feed() -> None:
        if streams.stdin is None or execution.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            async for chunk in streams.stdin:
                await write_all(execution.stdin, chunk)
        if execution.terminal is None:
            os.close(execution.stdin)
            execution.stdin = None

    async def resize() -> None:
        if streams.resize is not None:
            async for size in streams.resize:
                execution.resize(size.width, size.height)

    helpers = [asyncio.ensure_future(feed()), asyncio.ensure_future(resize())]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(execution.stdout, streams.stdout))
            if execution.terminal is None:
                group.create_task(carry(execution.stderr, streams.stderr))
        status = await execution.wait()
        complaint = execution.complaint() if status else ""
        if complaint:
            raise RuntimeFailure(complaint)
    except* ConnectionError as gone:
        raise ConnectionError("the caller has gone") from gone
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
    return status
