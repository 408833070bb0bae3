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
class Way:
    """What tracked UDP connections have in common: where clients sent to, and who answers."""

    destination: str
    destination_port: int
    reply_source: str
    reply_port: int


def parse(listing: str) -> list[Way]:
    """The ways of the entries in the output of `conntrack -L -p udp`, each once."""
    ways = []
    for line in listing.splitlines():
        fields = _FIELD.findall(line)
        if len(fields) >= 8:
            original, reply = dict(fields[:4]), dict(fields[4:8])
            ways.append(Way(original["dst"], int(original["dport"]), reply["src"], int(reply["sport"])))
    return list(dict.fromkeys(ways))


def stale(ways: Iterable[Way], wanted: Mapping[Frontend, frozenset[tuple[str, int]]]) -> list[Way]:
    """Those that lead from a front end in `wanted` to none of its endpoints."""
    found = []
    for way in ways:
        endpoints = wanted.get((way.destination, way.destination_port))
        if endpoints is None:
            endpoints = wanted.get(("", way.destination_port))
        if endpoints is not None and (way.reply_source, way.reply_port) not in endpoints:
            found.append(way)
    return found


def forget_stale(wanted: Mapping[Frontend, frozenset[tuple[str, int]]]) -> None:
    """Deletes the entries of stale ways, however many clients took them, by one call of the program for each way.

    Raises `MissingRequirement` without the program conntrack.
    """
    for way in stale(parse(conntrack.list_udp_flows()), wanted):
        ends = ["--orig-dst", way.destination, "--orig-port-dst", str(way.destination_port)]
        ends += ["--reply-src", way.reply_source, "--reply-port-src", str(way.reply_port)]
        conntrack.delete_udp_flows(*ends)
