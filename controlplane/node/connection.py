"""Whether the API server can be reached from the node's own network namespace.

The agent is in the daemon's process and would be heard whatever becomes of its node's network. So it asks the
network first: while no TCP connection to the API server's address in the VPC comes about, it renews no Lease, writes
no status and takes no notice of changes, as a kubelet on the far side of a partition.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from netsim.errors import NetsimError
from netsim.namespace import NamespaceExecutor

CONNECT_SECONDS = 2.0


class Connection:
    """The way from one node to the API server. `executor` gives the thread in the node's namespace."""

    def __init__(self, executor: Callable[[], NamespaceExecutor], endpoint: tuple[str, int] | None) -> None:
        self.up = True
        """What the last check said."""
        self._executor = executor
        self._endpoint = endpoint

    async def check(self) -> bool:
        """Tries it now."""
        self.up = self._endpoint is None or await self._connects(self._endpoint)
        return self.up

    async def _connects(self, endpoint: tuple[str, int]) -> bool:
        try:
            # A socket belongs to the namespace of the thread that makes it; the loop may do the rest.
            probe = await self._executor().run(socket.socket, socket.AF_INET, socket.SOCK_STREAM)
        except (NetsimError, OSError):
            return False
        with probe:
            probe.setblocking(False)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await asyncio.get_running_loop().sock_connect(probe, endpoint)
            except (OSError, TimeoutError):
                return False
        return True
