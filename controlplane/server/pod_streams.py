"""`pods/NAME/log`, `exec`, `attach` and `portforward`: finds pod, container and node, and joins them to the caller."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from aiohttp import web

from controlplane.api.errors import ApiError, BadRequest, FieldError, InternalError, Invalid
from controlplane.api.kinds import POD
from controlplane.api.types import Object
from controlplane.server import parameters
from controlplane.server.channels import STDERR, STDOUT, Channels, exit_status, failure_status
from controlplane.server.exchange import Exchange
from controlplane.server.port_forward import forward
from controlplane.server.registry import Registry
from controlplane.server.routes import Target
from controlplane.server.spdy_channels import SpdyChannels, accepted
from controlplane.server.streams import ALL_STREAMS, LogOptions, NodeStreams, ProcessStreams, StreamDirectory
from controlplane.server.upgrades import Upgraded, wants

FIRST_CHUNK_SECONDS = 0.5
"""How long an answer waits for the first bytes of a log, which may still turn out to be an error."""

LOG_STREAMS = (ALL_STREAMS, "Stdout", "Stderr")


class PodStreams:
    """The streaming subresources of pods."""

    def __init__(self, registry: Registry, directory: StreamDirectory) -> None:
        self._registry = registry
        self._directory = directory

    async def answer(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Streams until one side has ended."""
        pod = self._registry.get(POD, target.name, target.namespace).document
        if target.subresource == "portforward":
            return await self._port_forward(exchange, pod)
        container = _container(pod, exchange.request.query.get("container", ""))
        if target.subresource == "log":
            return await self.log(exchange, pod, container)
        return await self._process(exchange, pod, container, target.subresource)

    async def log(self, exchange: Exchange, pod: Object, container: str) -> web.StreamResponse:
        """The log of one container."""
        options = replace(log_options(exchange.request.query), caller=_caller(exchange))
        if not pod["spec"].get("nodeName"):
            return exchange.plain(b"", content_type="text/plain")
        node = self._directory.for_node(pod["spec"]["nodeName"])
        stream = web.StreamResponse(headers=exchange.headers())
        stream.content_type = "text/plain"
        stream.enable_chunked_encoding()
        # The Protocol promises an iterator; what agents give is a generator, which must be closed.
        chunks = cast("Any", node.logs(pod, container, options))
        async with aclosing(chunks):
            first = asyncio.ensure_future(anext(chunks, b""))
            try:
                await asyncio.wait([first], timeout=FIRST_CHUNK_SECONDS)
                if first.done():
                    first.result()
                await stream.prepare(exchange.request)
                await _write(stream, await first)
            finally:
                if not first.done():
                    first.cancel()
                    await asyncio.wait([first])
            async for chunk in chunks:
                await _write(stream, chunk)
        return stream

    async def _port_forward(self, exchange: Exchange, pod: Object) -> web.StreamResponse:
        if not pod["spec"].get("nodeName"):
            raise BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")
        return await forward(exchange.request, pod, self._directory.for_node(pod["spec"]["nodeName"]))

    async def _process(self, exchange: Exchange, pod: Object, container: str, subresource: str) -> web.StreamResponse:
        query = exchange.request.query
        name = pod["metadata"]["name"]
        if not pod["spec"].get("nodeName"):
            raise BadRequest(f"pod {name} does not have a host assigned")
        command = query.getall("command", [])
        if subresource == "exec" and not command:
            raise BadRequest("you must specify at least 1 command for the container")
        if not any(parameters.flag(query, one) for one in ("stdin", "stdout", "stderr")):
            raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        node = self._directory.for_node(pod["spec"]["nodeName"])
        wanted = _wanted(query)

        async def run(channels: Channels | SpdyChannels) -> None:
            streams = _streams(channels, wanted, _caller(exchange))
            process = (
                node.exec(pod, container, command, streams)
                if subresource == "exec"
                else _attach(node, pod, container, streams)
            )
            await _join(channels, asyncio.ensure_future(process))

        if wants(exchange.request) == "spdy/3.1":
            async with accepted(exchange.request, wanted | {"error"}) as spoken:
                await run(spoken)
            return Upgraded()
        channels = await Channels.accept(exchange.request)
        await run(channels)
        return channels.socket


def _wanted(query: parameters.Query) -> set[str]:
    """The streams that the caller asks for; a terminal has sizes, and no standard error of its own."""
    wanted = {name for name in ("stdin", "stdout", "stderr") if parameters.flag(query, name)}
    return (wanted - {"stderr"}) | {"resize"} if parameters.flag(query, "tty") else wanted


def _caller(exchange: Exchange) -> str:
    request = exchange.request
    return f"{exchange.user.name} {request.remote} {request.headers.get('User-Agent', '')}"


def _streams(channels: Channels | SpdyChannels, wanted: set[str], caller: str) -> ProcessStreams:
    return ProcessStreams(
        tty="resize" in wanted,
        stdin=channels.stdin() if "stdin" in wanted else None,
        stdout=channels.output(STDOUT) if "stdout" in wanted else None,
        stderr=channels.output(STDERR) if "stderr" in wanted else None,
        resize=channels.sizes() if "resize" in wanted else None,
        caller=caller,
    )


async def _attach(node: NodeStreams, pod: Object, container: str, streams: ProcessStreams) -> int:
    await node.attach(pod, container, streams)
    return 0  # upstream too says only that it went well; kubectl takes the exit code from the pod


async def _join(channels: Channels | SpdyChannels, process: asyncio.Future[int]) -> None:
    """Runs both until the process has ended or the caller has gone, which cancels the process."""
    receiving = asyncio.ensure_future(channels.run())
    both: list[asyncio.Future[Any]] = [process, receiving]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if process.done():
            await _finish(channels, process)
    finally:
        for task in both:
            task.cancel()
        await asyncio.wait(both)


async def _finish(channels: Channels | SpdyChannels, process: asyncio.Future[int]) -> None:
    try:
        status = exit_status(process.result())
    except ApiError as error:
        status = failure_status(error)
    except OSError as error:
        status = failure_status(InternalError(f"Internal error occurred: {error.strerror or error}"))
    try:
        await channels.finish(status)
    except ConnectionError:
        return  # the caller left first; there is nobody to tell


async def _write(stream: web.StreamResponse, chunk: bytes) -> None:
    if chunk:
        await stream.write(chunk)


def _container(pod: Object, name: str) -> str:
    """The container that is meant; BadRequest when there is none of that name, or a choice."""
    spec, pod_name = pod["spec"], pod["metadata"]["name"]
    containers = [one["name"] for one in spec.get("containers", ())]
    init = [one["name"] for one in spec.get("initContainers", ())]
    ephemeral = [one["name"] for one in spec.get("ephemeralContainers", ())]
    if name:
        if name not in (*containers, *init, *ephemeral):
            raise BadRequest(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(containers) == 1:
        return str(containers[0])
    choices = f"choose one of: [{' '.join(containers)}]"
    if init:
        choices += f" or one of the init containers: [{' '.join(init)}]"
    raise BadRequest(f"a container name must be specified for pod {pod_name}, {choices}")


def log_options(query: parameters.Query) -> LogOptions:
    """The options of a log request; Invalid as upstream's ValidatePodLogOptions."""
    tail, limit = parameters.optional_integer(query, "tailLines"), parameters.optional_integer(query, "limitBytes")
    seconds = parameters.optional_integer(query, "sinceSeconds")
    moment = query.get("sinceTime", "")
    errors = []
    if tail is not None and tail < 0:
        errors.append(_field("tailLines", f"Invalid value: {tail}: must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        errors.append(_field("limitBytes", f"Invalid value: {limit}: must be greater than 0"))
    if seconds is not None and moment:
        error = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        errors.append(FieldError("FieldValueForbidden", "", f"Forbidden: {error}"))
    elif seconds is not None and seconds < 1:
        errors.append(_field("sinceSeconds", f"Invalid value: {seconds}: must be greater than 0"))
    stream = query.get("stream", ALL_STREAMS)
    if stream not in LOG_STREAMS:
        supported = ", ".join(f'"{one}"' for one in LOG_STREAMS)
        body = f'Unsupported value: "{stream}": supported values: {supported}'
        errors.append(FieldError("FieldValueNotSupported", "stream", body))
    elif stream != ALL_STREAMS and tail is not None:
        error = "`tailLines` and specific `stream` are mutually exclusive for now"
        errors.append(FieldError("FieldValueForbidden", "", f"Forbidden: {error}"))
    if errors:
        raise Invalid.of("", "PodLogOptions", "", errors)
    return LogOptions(
        follow=parameters.flag(query, "follow"),
        previous=parameters.flag(query, "previous"),
        timestamps=parameters.flag(query, "timestamps"),
        tail_lines=tail,
        since=time.time() - seconds if seconds is not None else _moment(moment),
        limit_bytes=limit,
        stream=stream,
    )


def _field(name: str, body: str) -> FieldError:
    return FieldError("FieldValueInvalid", name, body)


def _moment(text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise BadRequest(f'sinceTime: parsing time "{text}": it is no RFC 3339 time') from error
