"""What is answered to a question: plain values, so that looking names up needs no DNS library.

`message` turns them into bytes. Names are without the dot at the end and, but for the name that was asked,
in lower case.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

TTL = 30
"""Seconds; what kubeadm sets in CoreDNS's configuration."""
VERSION_TTL = 28800

Labels = tuple[str, ...]
"""A name as a question has it, in lower case: a label of a strange name may hold a dot."""


class Type(IntEnum):
    """The record types that are ever answered, and those that are refused."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252


class Code(IntEnum):
    """Response codes (RFC 1035, 6895)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `owner` "" is the name that was asked. `data` is an address, a name or a text, and for SOA server,
    mailbox and serial with spaces between; `port` and `weight` are an SRV record's."""

    type: Type
    data: str
    owner: str = ""
    ttl: int = TTL
    port: int = 0
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or how far it can be given here.

    Without records it is NODATA, or NXDOMAIN with that code; `authority` is the SOA record that goes with either. With
    `alias`, the records end in a CNAME whose target is not of this cluster: what upstream says of it follows. `depends`
    are the keys of what it was made of (see `catalogue`): it is right until one of them changes.
    """

    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()
    code: Code = Code.NOERROR
    authority: Record | None = None
    alias: str = ""
    depends: frozenset[str] = frozenset()
