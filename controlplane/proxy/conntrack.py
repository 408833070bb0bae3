"""Forgets UDP connections that lead to endpoints which are gone, in the calling thread's namespace.

Rules are met by a connection's first packet only. TCP ends by itself when its peer vanishes; a UDP client that keeps
sending from one port would be led to the old address for ever. So what the kernel tracks is compared with what shall
be, and what is stale is deleted, as kube-proxy does (pkg/proxy/conntrack).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netsim import conntrack

Frontend = tuple[str, int]
"""Address and port that clients send to; the address is "" for a node port, which is on every local address."""

_FIELD = re.compile(r"(src|dst|sport|dport)=(\S+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One tracked UDP connection: whom the client sent to from where, and who answers."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    reply_source: str
    reply_port: int


def parse(listing: str) -> list[Entry]:
    """The entries in the output of `conntrack -L -p udp`."""
    entries = []
    for line in listing.splitlines():
        fields = _FIELD.findall(line)
        if len(fields) >= 8:
            original, reply = dict(fields[:4]), dict(fields[4:8])
            entries.append(
                Entry(
                    original["src"],
                    int(original["sport"]),
                    original["dst"],
                    int(original["dport"]),
                    reply["src"],
                    int(reply["sport"]),
                )
            )
    return entries


def stale(entries: Iterable[Entry], wanted: Mapping[Frontend, frozenset[tuple[str, int]]]) -> list[Entry]:
    """The entries that lead from a front end in `wanted` to none of its endpoints."""
    found = []
    for entry in entries:
        endpoints = wanted.get((entry.destination, entry.destination_port))
        if endpoints is None:
            endpoints = wanted.get(("", entry.destination_port))
        if endpoints is not None and (entry.reply_source, entry.reply_port) not in endpoints:
            found.append(entry)
    return found


def forget_stale(wanted: Mapping[Frontend, frozenset[tuple[str, int]]]) -> int:
    """Deletes the stale entries and says how many. Raises `MissingRequirement` without the program conntrack."""
    gone = 0
    for entry in stale(parse(conntrack.list_udp_flows()), wanted):
        ends = ["--orig-src", entry.source, "--orig-dst", entry.destination]
        ends += ["--sport", str(entry.source_port), "--dport", str(entry.destination_port)]
        # One that timed out by itself meanwhile is not counted.
        gone += conntrack.delete_udp_flows(*ends)
    return gone
