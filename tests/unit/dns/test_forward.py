"""Names of others: asked of the resolvers that resolv.conf names, here servers of the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from controlplane.dns.forward import MOST_AT_ONCE, Forwarder, NoAnswer, TooManyQuestions
from tests.unit.dns.conftest import World, alias, serving

Respond = Callable[[dns.message.Message], dns.message.Message | None]


def answering(*records: tuple[str, str, str]) -> Respond:
    def respond(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True)
        reply.answer = [dns.rrset.from_text(name, 60, "IN", kind, value) for name, kind, value in records]
        return reply

    return respond


class Upstream(asyncio.DatagramProtocol):
    """A resolver on one port, by UDP and TCP."""

    def __init__(self, respond: Respond) -> None:
        self.asked: list[dns.message.Message] = []
        self._respond = respond

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        reply = self._reply(data)
        if reply is not None:
            self._transport.sendto(reply, client)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        reply = self._reply(await reader.readexactly(size))
        if reply is not None:
            writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    def _reply(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        self.asked.append(query)
        reply = self._respond(query)
        return reply.to_wire() if reply is not None else None


@asynccontextmanager
async def upstream(respond: Respond, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[Upstream, int]]:
    made = Upstream(respond)
    server = await asyncio.start_server(made.connected, address, port)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=(address, port))
    try:
        yield made, port
    finally:
        transport.close()
        server.close()


@pytest.fixture
def resolv_conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n")
    return path


async def test_other_names_go_upstream_and_come_back_as_they_are(world: World, resolv_conf: Path) -> None:
    async with upstream(answering(("www.example.com.", "A", "192.0.2.1"))) as (resolver, port):
        async with serving(world, resolv_conf, upstream_port=port) as asker:
            for reply in (await asker.udp("www.example.com"), await asker.tcp("www.example.com")):
                assert reply.answer[0].to_text() == "www.example.com. 60 IN A 192.0.2.1"
                assert not reply.flags & dns.flags.AA
        assert [query.question[0].name.to_text() for query in resolver.asked] == ["www.example.com."] * 2


async def test_an_alias_is_resolved_to_its_end(world: World, resolv_conf: Path) -> None:
    world.put(alias("www", "www.example.com"))
    async with upstream(answering(("www.example.com.", "A", "192.0.2.1"))) as (resolver, port):
        async with serving(world, resolv_conf, upstream_port=port) as asker:
            reply = await asker.udp("www.default.svc.cluster.local")
            assert [rrset.to_text() for rrset in reply.answer] == [
                "www.default.svc.cluster.local. 30 IN CNAME www.example.com.",
                "www.example.com. 60 IN A 192.0.2.1",
            ]
            only = await asker.udp("www.default.svc.cluster.local", "CNAME")
            assert [rrset.to_text() for rrset in only.answer] == [
                "www.default.svc.cluster.local. 30 IN CNAME www.example.com."
            ]
        assert len(resolver.asked) == 1


async def test_an_alias_to_a_name_that_is_not_there(world: World, resolv_conf: Path) -> None:
    def respond(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply

    world.put(alias("www", "gone.example.com"))
    async with upstream(respond) as (_, port), serving(world, resolv_conf, upstream_port=port) as asker:
        reply = await asker.udp("www.default.svc.cluster.local")
    assert (reply.rcode(), len(reply.answer)) == (dns.rcode.NXDOMAIN, 1)


async def test_an_alias_whose_answer_has_a_code_of_no_meaning_fails(world: World, resolv_conf: Path) -> None:
    def respond(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.NOTAUTH)
        return reply

    world.put(alias("www", "odd.example.com"))
    async with upstream(respond) as (_, port), serving(world, resolv_conf, upstream_port=port) as asker:
        reply = await asker.udp("www.default.svc.cluster.local")
    assert reply.rcode() == dns.rcode.SERVFAIL


NAME = ("www", "example", "com")
QUERY = dns.message.make_query("www.example.com", "A").to_wire()


async def test_the_next_server_is_asked_when_one_is_not_there() -> None:
    async with upstream(answering(("www.example.com.", "A", "192.0.2.1"))) as (_, port):
        servers = [("127.0.0.3", port), ("127.0.0.1", port)]
        reply = dns.message.from_wire(await Forwarder(lambda _: servers).ask(NAME, QUERY))
    assert reply.id == dns.message.from_wire(QUERY).id
    assert reply.answer


async def test_a_silent_server_is_not_waited_for_long() -> None:
    async with upstream(lambda _: None) as (_, port):
        forwarder = Forwarder(lambda _: [("127.0.0.1", port)], attempt_seconds=1.5)
        started = time.monotonic()
        with pytest.raises(NoAnswer, match=r"127\.0\.0\.1: no answer in time"):
            await forwarder.ask(NAME, QUERY)
        first = time.monotonic()
        with pytest.raises(NoAnswer):
            await forwarder.ask(NAME, QUERY)
        assert time.monotonic() - first < (first - started) / 2, "the second time is shorter"


async def test_an_answer_to_another_question_is_not_taken() -> None:
    def respond(query: dns.message.Message) -> dns.message.Message:
        return dns.message.make_response(dns.message.make_query("evil.example.com", "A", id=query.id))

    async with upstream(respond) as (_, port):
        with pytest.raises(NoAnswer):
            await Forwarder(lambda _: [("127.0.0.1", port)], attempt_seconds=0.2).ask(NAME, QUERY)


async def test_only_so_many_at_once() -> None:
    async with upstream(lambda _: None) as (_, port):
        forwarder = Forwarder(lambda _: [("127.0.0.1", port)])
        waiting = [asyncio.create_task(forwarder.ask(NAME, QUERY)) for _ in range(MOST_AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyQuestions):
            await forwarder.ask(NAME, QUERY)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
