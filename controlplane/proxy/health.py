"""Answers load balancers on the health-check node ports of Services with externalTrafficPolicy Local.

One tiny HTTP server per port, on a socket of the node's namespace, served by the daemon's own loop: 200 while the
node has ready endpoints of the Service, else 503, with the body and headers of kube-proxy.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from controlplane.proxy.model import ServiceKey

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
BACKLOG = 64

Listen = Callable[[int], Awaitable[socket.socket]]


def listening_socket(port: int) -> socket.socket:
    """A listening TCP socket on every address of the calling thread's namespace."""
    return socket.create_server(("", port), backlog=BACKLOG)


class HealthServers:
    """The servers of one node. `listen` makes a socket in its namespace."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._servers: dict[int, asyncio.Server] = {}
        self._services: dict[int, tuple[ServiceKey, int]] = {}

    async def update(self, wanted: Mapping[int, tuple[ServiceKey, int]]) -> None:
        """Serves exactly `wanted`: by port, the Service and how many ready endpoints it has on this node."""
        self._services = dict(wanted)
        for port in [port for port in self._servers if port not in wanted]:
            self._servers.pop(port).close()
        for port in wanted:
            if port not in self._servers:
                await self._open(port)

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _open(self, port: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(port, reader, writer)

        try:
            self._servers[port] = await asyncio.start_server(serve, sock=await self._listen(port))
        except OSError as error:
            log.warning("health-check port not served", extra={"port": port, "error": str(error)})

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(port))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("health check cut short", extra={"port": port, "error": str(error)})
        finally:
            writer.close()

    def _answer(self, port: int) -> bytes:
        (namespace, name), count = self._services.get(port, (("", ""), 0))
        status = HTTPStatus.OK if count else HTTPStatus.SERVICE_UNAVAILABLE
        service = {"namespace": namespace, "name": name}
        body = json.dumps({"service": service, "localEndpoints": count, "serviceProxyHealthy": True}, indent="\t")
        return (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "Content-Type: application/json\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            f"X-Load-Balancing-Endpoint-Weight: {count}\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
            f"{body}"
        ).encode()
