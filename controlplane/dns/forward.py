"""Questions about other names, passed on to the host's own resolvers and back, byte for byte but for the id.

Nothing is kept: the host's resolver has a cache. Runs in the host's network namespace, where those resolvers are
reached, also one that listens on the loopback only.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from pathlib import Path

HOST_RESOLV = Path("/etc/resolv.conf")
PORT = 53
MOST_SERVERS = 3
ATTEMPT_SECONDS = 1.5
HASTY_PART = 0.2
"""How much of it a server gets that was silent a moment ago: a host without a network keeps nobody waiting long."""
DOUBT_SECONDS = 5.0
MOST_AT_ONCE = 512

Address = tuple[str, int]


class NoAnswer(Exception):
    """No resolver of the host answered."""


class TooManyQuestions(Exception):
    """More questions are under way than are kept."""


class Forwarder:
    """`resolv_conf` names the servers; it is read again when it changes. Each has `attempt_seconds` to answer."""

    def __init__(
        self, resolv_conf: Path = HOST_RESOLV, *, port: int = PORT, attempt_seconds: float = ATTEMPT_SECONDS
    ) -> None:
        self._resolv_conf = resolv_conf
        self._port = port
        self._attempt_seconds = attempt_seconds
        self._version = 0
        self._servers: list[Address] = []
        self._doubtful: dict[Address, float] = {}
        self._under_way = 0

    async def ask(self, query: bytes, *, tcp: bool = False) -> bytes:
        """The answer of the first server that gives one. NoAnswer, TooManyQuestions."""
        if self._under_way >= MOST_AT_ONCE:
            raise TooManyQuestions
        self._under_way += 1
        try:
            return await self._ask(query, tcp)
        finally:
            self._under_way -= 1

    async def _ask(self, query: bytes, tcp: bool) -> bytes:
        now = asyncio.get_running_loop().time()
        servers = sorted(self._read_servers(), key=lambda server: self._doubtful.get(server, 0.0) > now)
        reasons = []
        for server in servers:
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
        raise NoAnswer("; ".join(reasons) or f"no nameserver in {self._resolv_conf}")

    def _read_servers(self) -> list[Address]:
        try:
            version = self._resolv_conf.stat().st_mtime_ns
            if version != self._version:
                self._servers = self._parse(self._resolv_conf.read_text(errors="replace"))
                self._version = version
        except OSError:
            return []
        return self._servers

    def _parse(self, text: str) -> list[Address]:
        lines = [line.split() for line in text.splitlines()]
        found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        return [(address, self._port) for address in found[:MOST_SERVERS]]


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
