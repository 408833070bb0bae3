"""Records `v1.Event` objects about what a component did, without holding the component up.

What is the same, what is alike and what is too many, the correlator says. The queue is bounded; when
it is full the oldest waiting event is dropped and said so in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from datetime import UTC, datetime
from typing import Literal

from controlplane.api.errors import ApiError, NotFound
from controlplane.api.kinds import EVENT
from controlplane.api.types import Object
from controlplane.client.correlator import Correlator, Event, Remembered
from controlplane.client.interface import Client

log = logging.getLogger(__name__)

QUEUE_BOUND = 10_000
STORED_SECONDS = 3600.0
"""How long an event is kept after it was last written."""


class EventRecorder:
    """Records events as `component` (e.g. "kubelet"), on `host` where the component is a node's."""

    def __init__(self, client: Client, component: str, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._waiting: deque[tuple[Object, str, str, str, str, float]] = deque()
        self._wake = asyncio.Event()
        self._correlator = Correlator()
        self._stored: Remembered[tuple[str, int]] = Remembered(STORED_SECONDS)

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
        name, namespace = metadata["name"], metadata.get("namespace") or "default"
        happened = Event(
            metadata.get("uid", ""), obj.get("kind", ""), namespace, name, type_, reason, message, field_path
        )
        correlated = self._correlator.correlate(happened, when)
        if correlated is None:
            return
        stamp = datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        known = self._stored.get(correlated.key)
        if known is not None:
            event_name, count = known
            body = {"count": count + 1, "lastTimestamp": stamp, "message": correlated.message}
            try:
                await self._client.patch(EVENT, event_name, namespace, body=body)
            except NotFound:
                self._stored.forget(correlated.key)
            else:
                self._stored.keep(correlated.key, (event_name, count + 1), when)
                return
        event_name = f"{name}.{time.time_ns():x}"
        event = self._event(obj, happened, stamp)
        event["message"] = correlated.message
        event["metadata"] = {"name": event_name, "namespace": namespace}
        await self._client.create(EVENT, event, namespace)
        self._stored.keep(correlated.key, (event_name, 1), when)

    def _event(self, obj: Object, happened: Event, stamp: str) -> Object:
        metadata = obj["metadata"]
        involved = {
            "kind": happened.kind,
            "namespace": metadata.get("namespace", ""),
            "name": happened.name,
            "uid": happened.uid,
            "apiVersion": obj.get("apiVersion", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
            "fieldPath": happened.field_path,
        }
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "involvedObject": {k: v for k, v in involved.items() if v},
            "reason": happened.reason,
            "source": {"component": self._component, **({"host": self._host} if self._host else {})},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "type": happened.type,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
