"""Packets of a capture as lines: text in colour for people, JSON for programs."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from netsim.capture import Endpoints, FlowPairs, Packet, StreamReader, Summary, dissect
from workbench.places import AddressBook

_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "bright_red", "bright_cyan", "bright_magenta")
_PROTOCOLS = {"TCP": "green", "UDP": "cyan", "DNS": "cyan", "ICMP": "yellow", "ARP": "bright_black", "VXLAN": "magenta"}


class _Lines:
    """What both forms begin with."""

    def __init__(self, reader: StreamReader, book: AddressBook) -> None:
        self._reader, self._book = reader, book
        self._pairs = FlowPairs()
        self._width = 0

    def _read(self, packet: Packet) -> tuple[str, Summary, int, list[Endpoints]]:
        """The point's name, what the packet says, the number of its connection, and its forms elsewhere."""
        summary = dissect(packet.data)
        # What VXLAN carries is of the same connection as before and behind it.
        carried = summary.inner or summary
        flow = self._pairs.take(carried, packet.time)
        elsewhere = self._pairs.translations(carried.endpoints) if carried.endpoints else []
        return self._reader.interfaces[packet.interface].name, summary, flow, elsewhere


class TextLines(_Lines):
    """Time, point, who to whom by name, what, the number of the connection, and what a translation makes of it."""

    def line(self, packet: Packet) -> str:
        """The packet's line."""
        point, summary, flow, elsewhere = self._read(packet)
        # Every interface is described before the first packet.
        self._width = self._width or max(len(each.name) for each in self._reader.interfaces)
        colour = _COLOURS[packet.interface % len(_COLOURS)]
        parts = [click.style(_clock(packet.time), dim=True), click.style(f"{point:<{self._width}}", fg=colour)]
        parts += ["out" if packet.outgoing else "in ", self._told(summary)]
        if flow:
            parts.append(click.style(f"#{flow}", dim=True))
        if elsewhere:
            parts.append(click.style(f"= {self._ends(elsewhere[0])}", dim=True))
        return " ".join(parts)

    def _told(self, summary: Summary) -> str:
        protocol = click.style(summary.protocol, fg=_PROTOCOLS.get(summary.protocol, "white"))
        ends = self._ends(summary.endpoints) + " " if summary.endpoints else ""
        inner = f" [{self._told(summary.inner)}]" if summary.inner else ""
        return f"{ends}{protocol} {summary.info}{inner}"

    def _ends(self, ends: Endpoints) -> str:
        source, destination = self._book.name_of(ends.source), self._book.name_of(ends.destination)
        return f"{_with_port(source, ends.source_port)} > {_with_port(destination, ends.destination_port)}"


class JsonLines(_Lines):
    """One object a packet."""

    def line(self, packet: Packet) -> str:
        """The packet's line."""
        point, summary, flow, elsewhere = self._read(packet)
        document = {
            "time": packet.time / 1e9,
            "point": point,
            "direction": "out" if packet.outgoing else "in",
            "length": packet.length,
            **self._summary(summary),
            "flow": flow or None,
            "translations": [self._ends(each) for each in elsewhere],
        }
        return json.dumps(document)

    def _summary(self, summary: Summary) -> dict[str, Any]:
        found: dict[str, Any] = {"protocol": summary.protocol, "info": summary.info}
        found |= self._ends(summary.endpoints) if summary.endpoints else {}
        return found | ({"inner": self._summary(summary.inner)} if summary.inner else {})

    def _ends(self, ends: Endpoints) -> dict[str, Any]:
        return {
            "source": ends.source,
            "sourceName": self._book.names.get(ends.source),
            "sourcePort": ends.source_port or None,
            "destination": ends.destination,
            "destinationName": self._book.names.get(ends.destination),
            "destinationPort": ends.destination_port or None,
        }


def _with_port(name: str, port: int) -> str:
    return f"{name}:{port}" if port else name


def _clock(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{rest // 1000:06d}"
