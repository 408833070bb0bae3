"""TCP connections into the cluster's network, for the API server's proxies.

Upstream's API server is a host of that network. Here it lives on the machine, so it connects from inside a
namespace that has routes to nodes, pods and Services: the VPC's router.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from netsim.namespace import entered

CONNECT_SECONDS = 30.0


class Dialer:
    """Connects from inside the namespace at a path; None is the caller's own."""

    def __init__(self, namespace: Path | None = None) -> None:
        self._namespace = namespace

    async def connect(self, address: str, port: int) -> socket.socket:
        """A connected socket, non-blocking. OSError as a Go program words it: "dial tcp A:P: connect: ..."."""
        made = await asyncio.to_thread(self._socket)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
        except TimeoutError as error:
            made.close()
            raise OSError(f"dial tcp {address}:{port}: i/o timeout") from error
        except OSError as error:
            made.close()
            why = os.strerror(error.errno or 0).lower()
            raise OSError(error.errno, f"dial tcp {address}:{port}: connect: {why}") from error
        except BaseException:
            made.close()
            raise
        return made

    def _socket(self) -> socket.socket:
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        if self._namespace is None:
            return socket.socket(socket.AF_INET, kind)
        with entered(self._namespace):
            return socket.socket(socket.AF_INET, kind)
