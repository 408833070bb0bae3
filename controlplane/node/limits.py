"""What a node ends a pod for, or does not start it: admission, activeDeadlineSeconds, sizeLimit of emptyDir volumes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from controlplane.api.quantity import whole
from controlplane.api.types import Object
from controlplane.node import admission
from controlplane.node import status as pod_status
from controlplane.node.parts import NodeParts
from controlplane.node.state import PodState

MEASURE_SECONDS = 10.0
"""How often volumes are measured; the kubelet's local storage eviction has the same period."""
BLOCK = 512
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class Limits:
    """Finds the pods of one node that are past a limit."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def check(self, state: PodState) -> float | None:
        """Sets `state.failure` of a pod that is past a limit, and says so in an event; else seconds until it is to be
        looked at again, None if never."""
        if state.failure is not None:
            return None
        if not state.admitted and (refused := self._refusal(state)) is not None:
            reason, message = refused
            state.failure = (reason, f"Pod was rejected: {message}")
            self._parts.recorder.event(state.pod, "Warning", reason, message)
            return None
        state.admitted = True
        left = _time_left(state)
        if left is not None and left <= 0 and pod_status.phase_of(state) not in pod_status.ENDED_PHASES:
            self._fail(state, "Normal", "DeadlineExceeded", DEADLINE_MESSAGE)
            return None
        sized = list(_sized(state.pod))
        for name, limit in sized:
            volume = state.volumes.get(name)
            if volume is not None and await self._parts.spawner.files(_used, str(volume.path)) > whole(limit):
                message = f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
                self._fail(state, "Warning", "Evicted", message)
                return None
        if not sized:
            return left
        return MEASURE_SECONDS if left is None else min(left, MEASURE_SECONDS)

    def _refusal(self, state: PodState) -> tuple[str, str] | None:
        """Why the node does not run the pod; one that an earlier daemon started it does."""
        began = any(container.current is not None for container in state.containers.values())
        return None if began else admission.refusal(state.pod)

    def _fail(self, state: PodState, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        state.failure = (reason, message)
        self._parts.recorder.event(state.pod, kind, reason, message)


def _time_left(state: PodState) -> float | None:
    seconds = state.pod["spec"].get("activeDeadlineSeconds")
    if seconds is None:
        return None
    return float(datetime.fromisoformat(state.start_time).timestamp() + seconds - time.time())


def _sized(pod: Object) -> Iterator[tuple[str, str]]:
    for volume in pod["spec"].get("volumes") or []:
        source = volume.get("emptyDir") or {}
        limit = str(source.get("sizeLimit") or "0")
        # One in memory has that size: a writer meets it.
        if whole(limit) and source.get("medium") != "Memory":
            yield volume["name"], limit


def _used(directory: str) -> int:
    """Bytes on disk below a directory; what goes away meanwhile is not counted."""
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * BLOCK
            except FileNotFoundError:
                continue
    return total
