"""The cluster's DNS as a component: it answers on two sockets that somebody made where it should answer.

The UDP socket is read directly, not through a protocol of the event loop: what is in the cache goes out in the same
turn, and nothing is queued that the kernel does not already queue.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from controlplane.client.informer import Informers
from controlplane.dns.answers import AnswerCache, Answerer
from controlplane.dns.catalogue import Catalogue
from controlplane.dns.forward import Forwarder
from controlplane.dns.message import Query
from controlplane.dns.upstreams import HOST_RESOLV, PORT, Upstreams
from controlplane.dns.zone import Zone

log = logging.getLogger(__name__)

DATAGRAMS_PER_TURN = 32
"""So many, then the rest of the process gets its turn."""
LARGEST_DATAGRAM = 4096
CONNECTION_SECONDS = 10.0
MOST_CONNECTIONS = 256

Listen = Callable[[], Awaitable[tuple[socket.socket, socket.socket]]]
"""Makes the two sockets to answer on, UDP and TCP; they are closed when the server stops."""


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """`address` is the DNS's own, as pods have it in resolv.conf; `ranges` are those of the cluster, whose reverse
    names are asked nowhere else. `stub_domains` and `nameservers` say whom to ask of other names, as long as no
    ConfigMap does. The rest says where the host's resolvers are."""

    address: str
    domain: str = "cluster.local"
    ranges: tuple[IPv4Network, ...] = ()
    stub_domains: Mapping[str, Sequence[str]] = field(default_factory=dict)
    nameservers: Sequence[str] = ()
    resolv_conf: Path = HOST_RESOLV
    upstream_port: int = field(default=PORT, kw_only=True)


class DnsServer:
    """A component."""

    def __init__(self, informers: Informers, config: DnsConfig, listen: Listen) -> None:
        self._config = config
        self._catalogue = Catalogue(informers)
        self._cache = AnswerCache()
        zone = Zone(self._catalogue, config.domain, config.address, config.ranges)
        self._upstreams = Upstreams(
            informers,
            config.resolv_conf,
            port=config.upstream_port,
            stub_domains=config.stub_domains,
            nameservers=config.nameservers,
        )
        self._answerer = Answerer(zone, Forwarder(self._upstreams.servers_for), self._cache)
        self._listen = listen
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    async def run(self) -> None:
        """Answers until cancelled."""
        await self._catalogue.wait_synced()
        await self._upstreams.wait_synced()
        udp, tcp = await self._listen()
        self._upstreams.own = frozenset({(self._config.address, PORT), udp.getsockname()})
        self._cache.clear()
        self._catalogue.listen(self._cache.forget)
        loop = asyncio.get_running_loop()
        try:
            udp.setblocking(False)
            server = await asyncio.start_server(self._connected, sock=tcp)
            loop.add_reader(udp, self._readable, udp)
            try:
                await asyncio.Event().wait()
            finally:
                loop.remove_reader(udp)
                server.close()
        finally:
            self._catalogue.unlisten(self._cache.forget)
            await self._end_tasks()
            udp.close()
            tcp.close()

    def _readable(self, udp: socket.socket) -> None:
        cached = self._cache.get
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, client = udp.recvfrom(LARGEST_DATAGRAM)
            except OSError:
                return
            reply = cached(data[2:])
            if reply is not None:
                _send(udp, data[:2] + reply(), client)
            else:
                self._answer(udp, data, client)

    def _answer(self, udp: socket.socket, data: bytes, client: Any) -> None:
        with _reported(data, client):
            answer = self._answerer.at_once(data)
            if isinstance(answer, Query):
                self._start(self._answer_later(udp, data, answer, client))
            elif answer is not None:
                _send(udp, answer, client)

    async def _answer_later(self, udp: socket.socket, data: bytes, query: Query, client: Any) -> None:
        with _reported(data, client):
            _send(udp, await self._answerer.later(data, query), client)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            log.debug("connection ended", extra={"reason": repr(error)})
        finally:
            self._connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the questions of one connection, one after the other."""
        while True:
            async with asyncio.timeout(CONNECTION_SECONDS):
                size = await reader.readexactly(2)
                data = await reader.readexactly(int.from_bytes(size, "big"))
            answer = self._answerer.at_once(data, tcp=True)
            if isinstance(answer, Query):
                answer = await self._answerer.later(data, answer, tcp=True)
            if answer is None:
                return
            writer.write(len(answer).to_bytes(2, "big") + answer)
            async with asyncio.timeout(CONNECTION_SECONDS):
                await writer.drain()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _reported(data: bytes, client: Any) -> Iterator[None]:
    """The boundary: what one stranger asks must not stop the answers to others."""
    try:
        yield
    except Exception:
        log.exception("question not answered", extra={"client": client[0], "question": data.hex()})


def _send(udp: socket.socket, reply: bytes, client: Any) -> None:
    try:
        udp.sendto(reply, client)
    except OSError as error:
        # As lost on the way: whoever asked asks again.
        log.debug("answer not sent", extra={"client": client[0], "error": str(error)})
