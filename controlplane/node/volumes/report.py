"""Tells what volumes a node has mounted, in the Node's status.volumesInUse: until it is gone from there, no other node
gets a volume that is for one node only."""

from __future__ import annotations

import asyncio
import logging

from controlplane.api.claims import disk_of, unique_name
from controlplane.api.errors import ApiError
from controlplane.api.kinds import NODE
from controlplane.node.volumes.staging import DISKS
from controlplane.node.volumes.storage import Storage

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2
"""Changes within it are written together."""
RETRY_SECONDS = 2.0


class VolumesInUse:
    """Keeps one field of one node right."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._written: list[str] | None = None

    async def run(self) -> None:
        """Works until cancelled."""
        staging = self._storage.staging
        while True:
            staging.changed.clear()
            found = self._found()
            if found != self._written and not await self._write(found):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await staging.changed.wait()
            await asyncio.sleep(PAUSE_SECONDS)

    def _found(self) -> list[str]:
        used = set(self._storage.staging.in_use())
        volumes = (one["spec"] for one in self._storage.volumes.list())
        return sorted(unique_name(spec) for spec in volumes if (disk := disk_of(spec)) and f"{DISKS}-{disk}" in used)

    async def _write(self, found: list[str]) -> bool:
        body = {"status": {"volumesInUse": found or None}}
        try:
            await self._storage.client.patch(NODE, self._storage.node, body=body, subresource="status")
        except ApiError as error:
            log.warning("volumes in use not written", extra={"node": self._storage.node, "error": error.message})
            return False
        self._written = found
        return True
