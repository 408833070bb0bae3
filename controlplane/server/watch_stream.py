"""A watch over HTTP: one line of JSON for each event, for as long as the caller wants.

A caller who reads slowly only holds up himself: his connection stops taking, his bounded queue in
the store fills, and he is told to list again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import web

from controlplane.api.errors import ApiError
from controlplane.api.tables import include_of
from controlplane.server import paging, parameters
from controlplane.server.exchange import Exchange
from controlplane.server.negotiation import JSON
from controlplane.server.registry import Registry
from controlplane.server.rendering import EventRenderer, error_line
from controlplane.server.requests import ListOptions
from controlplane.server.routes import Target
from controlplane.server.watching import Event, Watch

BOOKMARK_SECONDS = 60.0
DEFAULT_SECONDS = (1800.0, 3600.0)
WRITE_CHUNK = 256 << 10


class WatchStreams:
    """The watches of one server."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._open: set[Watch] = set()

    def close(self) -> None:
        """Ends every watch."""
        for watch in list(self._open):
            watch.close()

    async def answer(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Streams until the caller leaves, the time is over, or the caller has fallen behind."""
        query = exchange.request.query
        seconds = parameters.integer(query, "timeoutSeconds", 0) or random.uniform(*DEFAULT_SECONDS)
        renderer = EventRenderer(target.kind, exchange.wanted, include_of(query.get("includeObject", "")))
        selected = parameters.list_options(query, target.name, watch=True)
        try:
            initial, watch = self._begin(target, selected, _wants_initial(query))
        except ApiError as error:
            if error.code != 410:
                raise
            stream = await self._prepare(exchange)
            await stream.write(error_line(error.status()))
            return stream
        self._open.add(watch)
        try:
            stream = await self._prepare(exchange)
            bookmarks = parameters.flag(query, "allowWatchBookmarks")
            lines = [renderer.line(event.type, event.revision) for event in initial]
            if parameters.flag(query, "sendInitialEvents") and bookmarks:
                lines.append(renderer.bookmark(self._registry.store.revision, initial_end=True))
            # The caller leaves, which is how most watches end.
            with suppress(ConnectionError):
                await _write(stream, lines)
                await self._follow(stream, watch, renderer, seconds=seconds, bookmarks=bookmarks)
        finally:
            self._open.discard(watch)
            watch.close()
        return stream

    def _begin(self, target: Target, selected: ListOptions, initial: bool) -> tuple[list[Event], Watch]:
        """The watch, and what it shows first: the present objects, if `initial`."""
        version = selected.resource_version
        after = self._registry.store.revision
        if not initial and version not in ("", "0"):
            after = paging.parse_version(version)
        watch = self._registry.watch(
            target.kind,
            target.namespace,
            after=after,
            label_selector=selected.label_selector,
            field_selector=selected.field_selector,
        )
        if not initial:
            return [], watch
        present = ListOptions(label_selector=selected.label_selector, field_selector=selected.field_selector)
        page = self._registry.list(target.kind, target.namespace, present)
        return [Event("ADDED", revision) for revision in page.revisions], watch

    @staticmethod
    async def _prepare(exchange: Exchange) -> web.StreamResponse:
        stream = web.StreamResponse(headers=exchange.headers())
        stream.content_type = JSON
        stream.enable_chunked_encoding()
        await stream.prepare(exchange.request)
        return stream

    async def _follow(
        self, stream: web.StreamResponse, watch: Watch, renderer: EventRenderer, *, seconds: float, bookmarks: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not watch.closed or watch.pending:
            left = end - loop.time()
            if left <= 0:
                return
            try:
                events = await watch.take(min(left, BOOKMARK_SECONDS))
            except ApiError as error:
                await stream.write(error_line(error.status()))
                return
            if events:
                await _write(stream, [renderer.line(event.type, event.revision) for event in events])
            elif bookmarks and not watch.pending:
                await stream.write(renderer.bookmark(self._registry.store.revision))


def _wants_initial(query: parameters.Query) -> bool:
    """Whether the present objects come first: if that is asked for, or, if nothing is said, without a version."""
    if "sendInitialEvents" in query:
        return parameters.flag(query, "sendInitialEvents")
    return query.get("resourceVersion", "") in ("", "0")


async def _write(stream: web.StreamResponse, lines: Sequence[bytes]) -> None:
    """Many lines in few writes: each write is a chunk and a TLS record of its own."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= WRITE_CHUNK:
            await stream.write(b"".join(waiting))
            waiting, size = [], 0
    if waiting:
        await stream.write(b"".join(waiting))
