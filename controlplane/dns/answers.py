"""From the bytes of a question to the bytes of its answer.

What the cluster answers by UDP is encoded once: all but the id is kept under the question's own bytes until an object
behind it changes. So most questions cost one look-up, and the sockets do that themselves (`AnswerCache.get`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

from controlplane.dns import message
from controlplane.dns.forward import Forwarder, NoAnswer, TooManyQuestions
from controlplane.dns.message import MalformedMessage, Query
from controlplane.dns.records import Answer, Code, Type
from controlplane.dns.zone import Zone

MOST_ANSWERS = 4096
LARGEST_KEY = 300

NextReply = Callable[[], bytes]
"""An encoded answer without its id; of one with many addresses, the next turn of them."""


class AnswerCache:
    """Encoded answers by question, both without the id. Bounded: when full, it starts anew."""

    def __init__(self) -> None:
        self._replies: dict[bytes, NextReply] = {}
        self._depending: dict[str, set[bytes]] = {}
        self.get = self._replies.get

    def keep(self, question: bytes, replies: list[bytes], depends: Iterable[str]) -> None:
        """Keeps what to answer by turns, until one of `depends` changes."""
        if len(question) > LARGEST_KEY:
            return
        if len(self._replies) >= MOST_ANSWERS:
            self.clear()
        turns = itertools.cycle(replies) if len(replies) > 1 else itertools.repeat(replies[0])
        self._replies[question] = turns.__next__
        for key in depends:
            self._depending.setdefault(key, set()).add(question)

    def forget(self, key: str) -> None:
        """Drops every answer that depends on `key`."""
        for question in self._depending.pop(key, ()):
            self._replies.pop(question, None)

    def clear(self) -> None:
        self._replies.clear()
        self._depending.clear()


class Answerer:
    """Answers from the zone, and from other servers for everything else."""

    def __init__(self, zone: Zone, forwarder: Forwarder, cache: AnswerCache) -> None:
        self._zone = zone
        self._forwarder = forwarder
        self._cache = cache

    def at_once(self, data: bytes, *, tcp: bool = False) -> bytes | Query | None:
        """The reply, if no other server is needed for it; else the question, for `later`. None: not to be answered."""
        if len(data) < message.HEADER_BYTES or data[2] & 0x80:
            return None
        try:
            query = message.parse(data)
        except MalformedMessage:
            return message.format_error(data)
        code = _objection(query)
        if code is not None:
            return message.refuse(query, code)
        answer = self._zone.lookup(query.labels, query.qtype)
        if answer is None or answer.alias:
            return query
        if tcp:
            return message.encode(query, answer, message.LARGEST_TCP)
        wire = message.encode(query, answer, query.udp_limit)
        if not query.edns_options:
            turns = message.rotations(query, answer, wire)
            self._cache.keep(data[2:], [turn[2:] for turn in turns], answer.depends)
        return wire

    async def later(self, data: bytes, query: Query, *, tcp: bool = False) -> bytes:
        """The reply to a question that needs another server."""
        answer = self._zone.lookup(query.labels, query.qtype)
        try:
            if answer is None:
                return await self._forwarder.ask(query.labels, data, tcp=tcp)
            return await self._chase(query, answer, tcp)
        except TooManyQuestions:
            return message.refuse(query, Code.REFUSED)
        except (NoAnswer, MalformedMessage):
            return message.refuse(query, Code.SERVFAIL)

    async def _chase(self, query: Query, answer: Answer, tcp: bool) -> bytes:
        """An alias that leads out of the cluster, with what upstream says of its target."""
        question = message.ask(answer.alias, query.qtype)
        reply = await self._forwarder.ask(tuple(answer.alias.split(".")), question, tcp=tcp)
        code, records = message.read(reply)
        told = replace(answer, code=_understood(code), authority=None)
        return message.encode(query, told, message.LARGEST_TCP if tcp else query.udp_limit, records)


def _understood(code: int) -> Code:
    """Upstream's code, or SERVFAIL for one that has no meaning in an answer."""
    try:
        return Code(code)
    except ValueError:
        return Code.SERVFAIL


def _objection(query: Query) -> Code | None:
    """Why a question is not answered at all."""
    if query.opcode != 0:
        return Code.NOTIMP
    if query.edns_version != 0:
        return Code.BADVERS
    if query.qclass != message.INTERNET or query.qtype in (Type.AXFR, Type.IXFR):
        return Code.REFUSED
    return None
