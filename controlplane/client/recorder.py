"""Records `v1.Event` objects about what a component did, without holding the component up.

Repeated events (same object, reason, message and source) raise `count` and `lastTimestamp` of
the one already stored, as client-go's event correlator does. The queue is bounded; when it is
full the oldest waiting event is dropped and said so in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import Literal

from controlplane.api.errors import ApiError, NotFound
from controlplane.api.kinds import EVENT
from controlplane.api.types import Object
from controlplane.client.interface import Client

log = logging.getLogger(__name__)

QUEUE_BOUND = 10_000
REMEMBERED_EVENTS = 4096

_Key = tuple[str, str, str, str, str]


class EventRecorder:
    """Records events as `component` (e.g. "kubelet"), on `host` where the component is a node's."""

    def __init__(self, client: Client, component: str, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._waiting: deque[tuple[Object, str, str, str, str, float]] = deque()
        self._wake = asyncio.Event()
        self._seen: OrderedDict[_Key, tuple[str, str, int]] = OrderedDict()

    def event(
        self, obj: Object, type_: Literal["Normal", "Warning"], reason: str, message: str, *, field_path: str = ""
    ) -> None:
        """Queues one event about `obj`; `field_path` narrows it, e.g. "spec.containers{web}"."""
        if len(self._waiting) >= QUEUE_BOUND:
            self._waiting.popleft()
            log.warning("event dropped", extra={"component": self._component, "bound": QUEUE_BOUND})
        self._waiting.append((obj, type_, reason, message, field_path, time.time()))
        self._wake.set()

    async def run(self) -> None:
        """Writes queued events until cancelled."""
        while True:
            while self._waiting:
                obj, type_, reason, message, field_path, when = self._waiting.popleft()
                try:
                    await self._write(obj, type_, reason, message, field_path, when)
                except ApiError as error:
                    # An event is a courtesy: its namespace may be going away, and nobody waits for it.
                    log.debug("event not stored", extra={"reason": reason, "error": error.message})
            self._wake.clear()
            await self._wake.wait()

    async def _write(self, obj: Object, type_: str, reason: str, message: str, field_path: str, when: float) -> None:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        key = (metadata.get("uid", ""), type_, reason, message, field_path)
        stamp = datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        known = self._seen.get(key)
        if known is not None:
            name, known_namespace, count = known
            body = {"count": count + 1, "lastTimestamp": stamp}
            try:
                await self._client.patch(EVENT, name, known_namespace, body=body)
            except NotFound:
                del self._seen[key]
            else:
                self._seen[key] = (name, known_namespace, count + 1)
                return
        name = f"{metadata['name']}.{time.time_ns():x}"
        involved = {
            "kind": obj.get("kind", ""),
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "apiVersion": obj.get("apiVersion", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
            "fieldPath": field_path,
        }
        event: Object = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {k: v for k, v in involved.items() if v},
            "reason": reason,
            "message": message,
            "source": {"component": self._component, **({"host": self._host} if self._host else {})},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "type": type_,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
        await self._client.create(EVENT, event, namespace)
        self._seen[key] = (name, namespace, 1)
        while len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
