"""Questions about other names, passed on to other servers and back, byte for byte but for the id.

Nothing is kept: the host's resolver has a cache. Runs in the host's network namespace, where the host's resolvers are
reached, also one that listens on the loopback only.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import Callable, Sequence

from controlplane.dns.records import Labels
from controlplane.dns.upstreams import Address

ATTEMPT_SECONDS = 1.5
HASTY_PART = 0.2
"""How much of it a server gets that was silent a moment ago: a host without a network keeps nobody waiting long."""
DOUBT_SECONDS = 5.0
MOST_AT_ONCE = 512


class NoAnswer(Exception):
    """No server answered."""


class TooManyQuestions(Exception):
    """More questions are under way than are kept."""


class Forwarder:
    """Asks the servers that `servers_for` gives for a name, one after the other; each has `attempt_seconds`."""

    def __init__(
        self, servers_for: Callable[[Labels], Sequence[Address]], *, attempt_seconds: float = ATTEMPT_SECONDS
    ) -> None:
        self._servers_for = servers_for
        self._attempt_seconds = attempt_seconds
        self._doubtful: dict[Address, float] = {}
        self._under_way = 0

    async def ask(self, labels: Labels, query: bytes, *, tcp: bool = False) -> bytes:
        """The answer of the first server that gives one to `query`, about the name `labels`.

        NoAnswer, TooManyQuestions.
        """
        if self._under_way >= MOST_AT_ONCE:
            raise TooManyQuestions
        self._under_way += 1
        try:
            return await self._ask(self._servers_for(labels), query, tcp)
        finally:
            self._under_way -= 1

    async def _ask(self, servers: Sequence[Address], query: bytes, tcp: bool) -> bytes:
        now = asyncio.get_running_loop().time()
        reasons = []
        for server in sorted(servers, key=lambda server: self._doubtful.get(server, 0.0) > now):
            hasty = self._doubtful.get(server, 0.0) > now
            sent = secrets.token_bytes(2) + query[2:]
            try:
                async with asyncio.timeout(self._attempt_seconds * (HASTY_PART if hasty else 1)):
                    reply = await (_by_tcp(server, sent) if tcp else _by_udp(server, sent))
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self._doubtful[server] = now + DOUBT_SECONDS
                reasons.append(f"{server[0]}: {str(error) or 'no answer in time'}")
                continue
            self._doubtful.pop(server, None)
            return query[:2] + reply[2:]
        raise NoAnswer("; ".join(reasons) or "no server to ask")


class _Exchange(asyncio.DatagramProtocol):
    """One question by UDP. What does not belong to it is not taken for its answer."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _: Address) -> None:
        if not self.reply.done() and _belongs(data, self._query):
            self.reply.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


async def _by_udp(server: Address, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(query), remote_addr=server)
    try:
        transport.sendto(query)
        return await exchange.reply
    finally:
        transport.close()


async def _by_tcp(server: Address, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server, family=socket.AF_UNSPEC)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()
    if not _belongs(reply, query):
        raise OSError(errno.EPROTO, "another question was answered")
    return reply


def _belongs(reply: bytes, query: bytes) -> bool:
    """Whether it is an answer, has the query's id and, unless it holds none at all, the query's question."""
    if len(reply) < 12 or reply[:2] != query[:2] or not reply[2] & 0x80:
        return False
    if reply[4:6] == b"\0\0":
        return True
    end = _question_end(query)
    return reply[12:end].lower() == query[12:end].lower()


def _question_end(query: bytes) -> int:
    at = 12
    while at < len(query) and query[at]:
        at += query[at] + 1
    return at + 5
