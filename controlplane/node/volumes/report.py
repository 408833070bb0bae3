"""Tells what volumes a node has mounted, in the Node's status.volumesInUse: until it is gone from there, no other node
gets a volume that is for one node only."""

from __future__ import annotations

import asyncio
import logging

from controlplane.api.claims import DISK_DRIVER, disk_of, own_handle, unique_name
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
        prefix = f"{DISKS}-"
        used = {key.removeprefix(prefix) for key in self._storage.staging.in_use() if key.startswith(prefix)}
        specs = [one["spec"] for one in self._storage.volumes.list() if disk_of(one["spec"]) in used]
        own = used - {disk_of(spec) for spec in specs}
        specs += [{"csi": {"driver": DISK_DRIVER, "volumeHandle": own_handle(disk)}} for disk in own]
        return sorted({unique_name(spec) for spec in specs})

    async def _write(self, found: list[str]) -> bool:
        body = {"status": {"volumesInUse": found or None}}
        try:
            await self._storage.client.patch(NODE, self._storage.node, body=body, subresource="status")
        except ApiError as error:
            log.warning("volumes in use not written", extra={"node": self._storage.node, "error": error.message})
            return False
        self._written = found
        return True
