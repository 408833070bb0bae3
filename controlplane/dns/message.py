"""DNS messages to bytes and back: the one module that knows the DNS library, and that trusts nothing in a message.

Answers keep the question as it was asked, letter for letter: clients mix capitals into names to tell forged answers.
"""

from __future__ import annotations

import bisect
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dnslib

from controlplane.dns.records import TTL, Answer, Code, Labels, Record, Type

HEADER_BYTES = 12
SMALLEST_UDP = 512
LARGEST_UDP = 4096
LARGEST_TCP = 65535
OFFERED_UDP = 1232
"""What fits into a packet everywhere; the size we say that we take."""
LONGEST_NAME = 255
INTERNET = 1
_LAST_POINTER = 0x3FFF
_SOA_TIMES = (7200, 1800, 86400, TTL)
_ADDRESS_RECORD_BYTES = 16
_MOST_ROTATIONS = 8


class MalformedMessage(ValueError):
    """Bytes that are no DNS message, or not one with a single question."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question and how it wants to be answered. `udp_size` is None without EDNS."""

    id: int
    opcode: int
    labels: Labels
    qtype: int
    qclass: int
    question: Any
    question_end: int
    recursion_desired: bool
    checking_disabled: bool
    udp_size: int | None = None
    edns_version: int = 0
    edns_options: bool = False
    dnssec_ok: bool = False

    @property
    def udp_limit(self) -> int:
        """The largest answer by UDP that the asker takes."""
        return min(max(self.udp_size or 0, SMALLEST_UDP), LARGEST_UDP)


def parse(data: bytes) -> Query:
    """Reads a question; MalformedMessage if it is none."""
    try:
        message = dnslib.DNSRecord.parse(data)
    except (dnslib.DNSError, RecursionError) as error:
        raise MalformedMessage(str(error)) from error
    header = message.header
    if len(message.questions) != 1:
        raise MalformedMessage(f"{len(message.questions)} questions")
    question = message.q
    length = sum(len(label) + 1 for label in question.qname.label) + 1
    if length > LONGEST_NAME:
        raise MalformedMessage("the name is too long")
    options = [record for record in message.ar if record.rtype == Type.OPT]
    edns = options[0] if options else None
    return Query(
        id=header.id,
        opcode=header.opcode,
        labels=tuple(label.decode().lower() for label in question.qname.label),
        qtype=question.qtype,
        qclass=question.qclass,
        question=question,
        question_end=HEADER_BYTES + length + 4,
        recursion_desired=bool(header.rd),
        checking_disabled=bool(header.cd),
        udp_size=edns.edns_len if edns is not None else None,
        edns_version=edns.edns_ver if edns is not None else 0,
        edns_options=bool(edns is not None and edns.rdata),
        dnssec_ok=bool(edns is not None and edns.edns_do),
    )


def encode(query: Query, answer: Answer, limit: int, foreign: Sequence[Any] = ()) -> bytes:
    """The answer in at most `limit` bytes; `foreign` are records that came from upstream (see `read`).

    What does not fit is left out: first the additional records, then answers, and then the answer says so.
    """
    records = [_record(query, record) for record in answer.records] + list(foreign)
    wire = _pack(query, answer, records, answer.extra)
    # Beyond that, the library points to names where no pointer reaches.
    if len(wire) <= min(limit, _LAST_POINTER):
        return wire
    wire = _pack(query, answer, records, ())
    if len(wire) <= limit:
        return wire
    fits = bisect.bisect_right(
        range(len(records) + 1), limit, key=lambda count: len(_pack(query, answer, records[:count], ()))
    )
    return _pack(query, answer, records[: max(0, fits - 1)], (), truncated=True)


def refuse(query: Query, code: Code) -> bytes:
    """An answer that is only a response code."""
    return _pack(query, Answer(code=code), (), (), authoritative=False)


def format_error(data: bytes) -> bytes | None:
    """The answer to what could not be read; None if it is not even that, or an answer itself."""
    if len(data) < HEADER_BYTES or data[2] & 0x80:
        return None
    flags = 0x8000 | (data[2] & 0x79) << 8 | Code.FORMERR
    return data[:2] + flags.to_bytes(2, "big") + bytes(8)


def rotations(query: Query, answer: Answer, wire: bytes) -> list[bytes]:
    """The same answer with another address in front each time, so that clients spread over them."""
    count = len(answer.records)
    plain = all(record.type == Type.A and not record.owner for record in answer.records)
    begin, end = query.question_end, query.question_end + count * _ADDRESS_RECORD_BYTES
    whole = int.from_bytes(wire[6:8], "big") == count
    if count < 2 or not plain or not whole or not query.labels:
        return [wire]
    block, step = wire[begin:end], max(1, count // _MOST_ROTATIONS) * _ADDRESS_RECORD_BYTES
    return [wire[:begin] + block[at:] + block[:at] + wire[end:] for at in range(0, len(block), step)]


def ask(name: str, qtype: int) -> bytes:
    """A question to another server."""
    header = dnslib.DNSHeader(id=secrets.randbits(16), rd=1)
    question = dnslib.DNSQuestion(dnslib.DNSLabel(_labels(name)), qtype)
    options = dnslib.EDNS0(udp_len=OFFERED_UDP)
    return bytes(dnslib.DNSRecord(header, q=question, ar=[options]).pack())


def read(data: bytes) -> tuple[int, list[Any]]:
    """The response code and the answer records of another server's answer; MalformedMessage if it is none."""
    try:
        message = dnslib.DNSRecord.parse(data)
    except (dnslib.DNSError, RecursionError) as error:
        raise MalformedMessage(str(error)) from error
    return message.header.rcode, message.rr


def _pack(
    query: Query,
    answer: Answer,
    records: Sequence[Any],
    extra: Sequence[Record],
    *,
    truncated: bool = False,
    authoritative: bool = True,
) -> bytes:
    header = dnslib.DNSHeader(
        id=query.id,
        bitmap=0,
        qr=1,
        opcode=query.opcode,
        aa=int(authoritative),
        tc=int(truncated),
        rd=int(query.recursion_desired),
        ra=1,
        cd=int(query.checking_disabled),
        rcode=answer.code & 0xF,
    )
    answered = any(record.rtype == query.qtype for record in records)
    authority = [] if answered or answer.authority is None else [_record(query, answer.authority)]
    additional = [_record(query, record) for record in extra]
    if query.udp_size is not None:
        flags = "do" if query.dnssec_ok else ""
        additional.append(dnslib.EDNS0(ext_rcode=answer.code >> 4, flags=flags, udp_len=OFFERED_UDP))
    return bytes(dnslib.DNSRecord(header, q=query.question, rr=list(records), auth=authority, ar=additional).pack())


def _record(query: Query, record: Record) -> Any:
    owner = dnslib.DNSLabel(_labels(record.owner)) if record.owner else query.question.qname
    return dnslib.RR(owner, int(record.type), ttl=record.ttl, rdata=_data(record))


def _data(record: Record) -> Any:
    match record.type:
        case Type.A:
            return dnslib.A(record.data)
        case Type.AAAA:
            return dnslib.AAAA(record.data)
        case Type.TXT:
            return dnslib.TXT(record.data.encode())
        case Type.SOA:
            server, mailbox, serial = record.data.split(" ")
            return dnslib.SOA(server, mailbox, (int(serial), *_SOA_TIMES))
        case Type.SRV:
            return dnslib.SRV(0, record.weight, record.port, dnslib.DNSLabel(_labels(record.data)))
    name = dnslib.DNSLabel(_labels(record.data))
    return {Type.PTR: dnslib.PTR, Type.NS: dnslib.NS, Type.CNAME: dnslib.CNAME}[record.type](name)


def _labels(name: str) -> list[bytes]:
    return [label.encode() for label in name.split(".")]
