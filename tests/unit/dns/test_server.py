"""The whole DNS, asked over the loopback by another library."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import pytest

from controlplane.dns.answers import MOST_ANSWERS
from tests.unit.dns.conftest import World, endpoints, service, serving

WEB = "web.default.svc.cluster.local"
NOWHERE = Path("/nonexistent/resolv.conf")


def addresses(message: dns.message.Message) -> list[str]:
    return [item.address for rrset in message.answer for item in rrset if rrset.rdtype == 1]


async def test_the_question_comes_back_letter_for_letter(world: World) -> None:
    world.put(service("web", "10.48.0.20"))
    async with serving(world, NOWHERE) as asker:
        for name in ("wEb.DEFAULT.svc.clusTER.local.", "web.default.svc.cluster.local."):
            for _ in range(2):
                reply = await asker.udp(name)
                assert reply.question[0].name.to_text() == name
                assert reply.answer[0].name.to_text() == name
                assert reply.answer[0].ttl == 30
                assert addresses(reply) == ["10.48.0.20"]
                assert reply.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | dns.flags.RA


async def test_an_answer_follows_the_objects_at_once(world: World) -> None:
    world.put(service("db", "None"), endpoints("db", "10.44.1.2"), service("web", "10.48.0.20"))
    async with serving(world, NOWHERE) as asker:
        name = "db.default.svc.cluster.local"
        assert addresses(await asker.udp(name)) == ["10.44.1.2"]
        assert (await asker.udp("2.1.44.10.in-addr.arpa", "PTR")).rcode() == dns.rcode.NOERROR
        world.put(endpoints("db", "10.44.1.3"))
        async with asyncio.timeout(30):
            while addresses(await asker.udp(name)) != ["10.44.1.3"]:
                pass
        assert (await asker.udp("2.1.44.10.in-addr.arpa", "PTR")).rcode() == dns.rcode.NXDOMAIN
        assert (await asker.udp("new.default.svc.cluster.local")).rcode() == dns.rcode.NXDOMAIN
        world.put(service("new", "10.48.0.30"))
        world.delete(service("web", "10.48.0.20"))
        await asyncio.sleep(0)
        assert addresses(await asker.udp("new.default.svc.cluster.local")) == ["10.48.0.30"]
        assert (await asker.udp(WEB)).rcode() == dns.rcode.NXDOMAIN


async def test_many_addresses_take_turns_in_front(world: World) -> None:
    wanted = [f"10.44.1.{number}" for number in range(2, 7)]
    world.put(service("db", "None"), endpoints("db", *wanted))
    async with serving(world, NOWHERE) as asker:
        replies = [addresses(await asker.udp("db.default.svc.cluster.local")) for _ in range(11)]
    assert {reply[0] for reply in replies} == set(wanted)
    assert all(sorted(reply) == wanted for reply in replies)


@pytest.mark.parametrize(("payload", "limit"), [(None, 512), (1232, 1232), (200, 512), (60000, 4096)])
async def test_what_does_not_fit_is_cut_and_says_so(world: World, payload: int | None, limit: int) -> None:
    wanted = [f"10.44.{third}.{fourth}" for third in (1, 2, 3) for fourth in range(2, 102)]
    world.put(service("db", "None"), endpoints("db", *wanted))
    options = {} if payload is None else {"use_edns": 0, "payload": payload}
    async with serving(world, NOWHERE) as asker:
        for _ in range(2):
            short = await asker.udp("db.default.svc.cluster.local", **options)
            assert short.flags & dns.flags.TC
            assert limit - 16 < len(short.to_wire()) <= limit
        whole = await asker.tcp("db.default.svc.cluster.local", **options)
    assert not whole.flags & dns.flags.TC
    assert addresses(whole) == wanted


async def test_additional_records_are_the_first_to_go(world: World) -> None:
    world.put(service("db", "None"), endpoints("db", *(f"10.44.1.{number}" for number in range(2, 8))))
    async with serving(world, NOWHERE) as asker:
        short = await asker.udp("_http._tcp.db.default.svc.cluster.local", "SRV")
        whole = await asker.tcp("_http._tcp.db.default.svc.cluster.local", "SRV")
    assert (len(short.answer[0]), len(short.additional), short.flags & dns.flags.TC) == (6, 0, 0)
    assert (len(whole.answer[0]), len(whole.additional)) == (6, 6)


async def test_thousands_of_records_by_tcp(world: World) -> None:
    wanted = [f"10.44.{third}.{fourth}" for third in range(10) for fourth in range(1, 101)]
    world.put(service("db", "None"), endpoints("db", *wanted))
    async with serving(world, NOWHERE) as asker:
        reply = await asker.tcp("_http._tcp.db.default.svc.cluster.local", "SRV")
    assert len(reply.answer[0]) > 500


async def test_edns(world: World) -> None:
    world.put(service("web", "10.48.0.20"))
    async with serving(world, NOWHERE) as asker:
        plain = await asker.udp(WEB, use_edns=False)
        assert plain.edns == -1
        cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
        reply = await asker.udp(WEB, use_edns=0, payload=1232, options=[cookie], want_dnssec=True)
        assert (reply.edns, reply.payload, bool(reply.ednsflags & dns.flags.DO), reply.options) == (0, 1232, True, ())
        assert (await asker.udp(WEB, use_edns=1)).rcode() == dns.rcode.BADVERS


async def test_what_is_not_answered(world: World) -> None:
    async with serving(world, NOWHERE) as asker:
        assert (await asker.udp("cluster.local", "AXFR")).rcode() == dns.rcode.REFUSED
        chaos = await asker.udp("version.bind", "TXT", rdclass=dns.rdataclass.CH)
        assert chaos.rcode() == dns.rcode.REFUSED
        assert (await asker.udp("example.com")).rcode() == dns.rcode.SERVFAIL, "nobody to ask"
        assert (await asker.udp(WEB, "ANY")).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", None),
        (b"\x12\x34\x01", None),
        (b"\x12\x34\x80\x00" + bytes(8), None),
        (b"\x12\x34\x01\x00\x00\x00" + bytes(6), b"\x12\x34\x81\x01" + bytes(8)),
        (b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x3fabc", b"\x12\x34\x81\x01" + bytes(8)),
        (b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\xc0\x0c\0\1\0\1", b"\x12\x34\x81\x01" + bytes(8)),
        (b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x01\xff\0\0\1\0\1", b"\x12\x34\x81\x01" + bytes(8)),
        (b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x3f" * 250 + b"\0\0\1\0\1", b"\x12\x34\x81\x01" + bytes(8)),
    ],
    ids=["nothing", "short", "an answer", "no question", "cut off", "circle", "not text", "too long"],
)
async def test_nonsense_is_survived(world: World, data: bytes, answer: bytes | None) -> None:
    world.put(service("web", "10.48.0.20"))
    async with serving(world, NOWHERE) as asker:
        await asker.udp(WEB)
        loop = asyncio.get_running_loop()
        received: asyncio.Queue[bytes] = asyncio.Queue(10)

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: object) -> None:
                received.put_nowait(data)

        transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", asker.port))
        try:
            transport.sendto(data)
            # What is asked later is answered later: so the first answer to come tells whether there was one before.
            probe = dns.message.make_query(WEB, "A", id=7)
            transport.sendto(probe.to_wire())
            first = await asyncio.wait_for(received.get(), 30)
        finally:
            transport.close()
        assert first == answer if answer is not None else dns.message.from_wire(first).id == 7


async def test_one_connection_carries_many_questions(world: World) -> None:
    world.put(service("web", "10.48.0.20"))
    async with serving(world, NOWHERE) as asker:
        await asker.udp(WEB)
        reader, writer = await asyncio.open_connection("127.0.0.1", asker.port)
        for number in (1, 2, 3):
            wire = dns.message.make_query(WEB, "A", id=number).to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            reply = dns.message.from_wire(await reader.readexactly(size))
            assert (reply.id, addresses(reply)) == (number, ["10.48.0.20"])
        writer.close()
        await writer.wait_closed()


async def test_the_cache_is_bounded(world: World) -> None:
    from controlplane.dns.answers import AnswerCache

    cache = AnswerCache()
    for number in range(MOST_ANSWERS + 10):
        cache.keep(str(number).encode(), [b"reply"], ["key"])
    assert cache.get(b"1") is None
    reply = cache.get(str(MOST_ANSWERS + 9).encode())
    assert reply is not None
    assert reply() == reply() == b"reply"
    cache.forget("key")
    assert cache.get(str(MOST_ANSWERS + 9).encode()) is None
