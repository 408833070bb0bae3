"""Load for an HTTPS server: a fixed number of connections, each with one request under way.

A bare protocol on uvloop: it writes a request, finds the end of the answer by Content-Length, and
takes the next. It shares the cores with the server, so it has to cost little.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: requests a second, and the 99th percentile of the time of one, in milliseconds."""

    rate: float
    p99: float


def run(url: str, requests: Iterator[bytes], *, connections: int = CONNECTIONS) -> Load:
    """Sends all of `requests`; fails when an answer is no success."""
    times, seconds = uvloop.run(send(url, requests, connections))
    times.sort()
    return Load(len(times) / seconds, 1000 * times[int(len(times) * 0.99)])


def request(
    method: str, path: str, body: bytes = b"", content_type: str = "application/json", token: str = ""
) -> bytes:
    """The bytes of one request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token}",
        "Accept: application/json",
    ]
    if body:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def send(url: str, requests: Iterator[bytes], connections: int = CONNECTIONS) -> tuple[list[float], float]:
    """Sends all of `requests`; the time that each took, and all of them together, in seconds."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    times: list[float] = []
    opened: list[_Connection] = []
    for _ in range(connections):
        connection = _Connection(lambda: next(requests, None), times, loop.create_future())
        await loop.create_connection(lambda made=connection: made, parts.hostname, parts.port, ssl=context)
        opened.append(connection)
    begun = time.perf_counter()
    for connection in opened:
        connection.send()
    await asyncio.gather(*(connection.done for connection in opened))
    seconds = time.perf_counter() - begun
    for connection in opened:
        connection.close()
    return times, seconds


class _Connection(asyncio.Protocol):
    """One connection; `done` ends when there are no more requests."""

    def __init__(self, take: Callable[[], bytes | None], times: list[float], done: asyncio.Future[None]) -> None:
        self.done = done
        self._take = take
        self._times = times
        self._begun = 0.0
        self._head = b""
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        following = self._take()
        if following is None:
            self.done.set_result(None)
            return
        self._head, self._missing = b"", -1
        self._begun = time.perf_counter()
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            data = self._head + data
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._head = data
                return
            if head[9:10] != b"2":
                self._fail(ConnectionError(data[:500].decode(errors="replace")))
                return
            start = head.lower().index(b"content-length:") + len(b"content-length:")
            self._missing = int(head[start:].partition(b"\r\n")[0])
            data = rest
        self._missing -= len(data)
        if self._missing == 0:
            self._times.append(time.perf_counter() - self._begun)
            self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
