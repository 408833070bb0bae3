"""Deletes events an hour after they were last written, as upstream's storage does by a lease.

It keeps a name and a time for each event, oldest first, and no event itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from controlplane.api.errors import NotFound
from controlplane.api.kinds import EVENT
from controlplane.api.types import Kind, Object
from controlplane.client.interface import Client
from controlplane.controllers.meta import Clock, parse_time
from controlplane.controllers.metadata_feed import MetadataFeed

PERIOD_SECONDS = 30.0


class EventExpiry:
    """`ttl_seconds` is how long an event lives after its last write."""

    def __init__(self, client: Client, *, ttl_seconds: float = 3600.0, clock: Clock = time.time) -> None:
        self._client = client
        self._ttl = ttl_seconds
        self._clock = clock
        self._feed = MetadataFeed(client, EVENT, self)
        self._written: OrderedDict[str, tuple[float, str, str]] = OrderedDict()

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed.run(), name="event-expiry-feed")
            await self._feed.synced.wait()
            while True:
                await self.expire()
                await asyncio.sleep(PERIOD_SECONDS)

    def observe(self, kind: Kind, obj: Object) -> None:
        """Takes in an event; one that comes by the first list counts from its own last time."""
        metadata = obj["metadata"]
        written = self._clock() if self._feed.synced.is_set() else _last_time(obj)
        self._written[metadata["uid"]] = (written, metadata["namespace"], metadata["name"])
        self._written.move_to_end(metadata["uid"])

    def gone(self, kind: Kind, uid: str) -> None:
        self._written.pop(uid, None)

    async def expire(self) -> None:
        """Deletes what is too old now."""
        bound = self._clock() - self._ttl
        old = [(uid, *place) for uid, (written, *place) in self._written.items() if written < bound]
        for uid, namespace, name in old:
            self._written.pop(uid, None)
            try:
                await self._client.delete(EVENT, name, namespace, uid=uid)
            except NotFound:
                continue


def _last_time(event: Object) -> float:
    text = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return parse_time(text)
