"""pcapng (draft-ietf-opsawg-pcapng): the blocks that begin a stream, reading one back, and mending one that was cut.

Times are nanoseconds since the epoch. Only what netsim writes is read: little-endian, as the hosts that it runs on are.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from netsim.capture.point import Point
from netsim.errors import NetsimError

_SECTION, _INTERFACE, _NAMES, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 4, 5, 6
_MAGIC = 0x1A2B3C4D
_ETHERNET = 1
_NANOSECONDS = 9
_NO_LENGTH = 0xFFFFFFFFFFFFFFFF
_COMMENT, _APPLICATION, _IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_FILTER = 1, 4, 2, 3, 9, 11
_ISB_RECEIVED, _ISB_DROPPED, _ISB_DELIVERED = 4, 5, 8
_STATISTICS_BYTES = 64
_FOREIGN = 4
_IPV4_NAME = 1
_HEAD = struct.Struct("<II")
_OPTION = struct.Struct("<HH")
_PACKET_HEAD = struct.Struct("<IIIII")
_LARGEST_BLOCK = 1 << 24
_LONGEST_TEXT = 60_000


class CutShort(NetsimError):
    """A stream ends within a block, or is no pcapng."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one point: packets that passed the filter, that the kernel had to drop, and that were written."""

    passed: int
    dropped: int
    written: int


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of a stream; what came of it is known at its end only."""

    name: str
    comment: str
    tally: Tally | None = None


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: where (index of the interface), when (ns), the bytes that were kept, how many it had.

    `foreign` is one that came in for the MAC address of another, as a bridge does that does not know where that is.
    """

    interface: int
    time: int
    data: bytes
    length: int
    outgoing: bool
    foreign: bool = False


def header(points: Sequence[Point], *, application: str, filter_text: str, names: Mapping[str, str]) -> bytes:
    """What a stream begins with: the section, an interface a point, and names for IPv4 addresses."""
    blocks = [_section(application)]
    blocks += [_interface(point, filter_text) for point in points]
    blocks += [_name_resolution(names)] if names else []
    return b"".join(blocks)


class StreamReader:
    """Reads a stream as it comes. `interfaces` fills as they are described; counts are there after the last packet."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.interfaces: list[Interface] = []

    def __iter__(self) -> Iterator[Packet]:
        """Each packet. Raises `CutShort` if the stream ends within a block."""
        while (block := self._block()) is not None:
            kind, body = block
            if kind == _INTERFACE:
                options = dict(_options(body, 8))
                name, comment = (options.get(code, b"").decode(errors="replace") for code in (_IF_NAME, _COMMENT))
                self.interfaces.append(Interface(name, comment))
            elif kind == _PACKET:
                yield _packet(body)
            elif kind == _STATISTICS:
                index, tally = _tally(body)
                self.interfaces[index] = replace(self.interfaces[index], tally=tally)

    def _block(self) -> tuple[int, bytes] | None:
        head = self._stream.read(_HEAD.size)
        if not head:
            return None
        kind, length = _unpacked(head)
        rest = self._stream.read(length - _HEAD.size)
        if len(rest) != length - _HEAD.size:
            raise CutShort("the capture ends within a packet")
        return kind, rest[:-4]


def tallies(path: Path, interfaces: int) -> list[Tally]:
    """What a file that has come to its end says of its interfaces; nothing if it has not."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - interfaces * _STATISTICS_BYTES, 0))
        found = []
        for _ in range(interfaces):
            block = file.read(_STATISTICS_BYTES)
            if len(block) != _STATISTICS_BYTES or _HEAD.unpack_from(block) != (_STATISTICS, _STATISTICS_BYTES):
                return []
            found.append(_tally(block[_HEAD.size : -4])[1])
    return found


def trim(path: Path) -> int:
    """Takes a block that was cut short off the end of a file, and says how many bytes that were."""
    with path.open("r+b") as file:
        size, whole = file.seek(0, os.SEEK_END), 0
        while whole + _HEAD.size <= size:
            file.seek(whole)
            try:
                _kind, length = _unpacked(file.read(_HEAD.size))
            except CutShort:
                break
            if whole + length > size:
                break
            whole += length
        file.truncate(whole)
    return size - whole


def _unpacked(head: bytes) -> tuple[int, int]:
    if len(head) != _HEAD.size:
        raise CutShort("the capture ends within a packet")
    kind, length = _HEAD.unpack(head)
    if length % 4 or not 12 <= length <= _LARGEST_BLOCK:
        raise CutShort("this is no capture that netsim has made")
    return kind, length


def _packet(body: bytes) -> Packet:
    interface, high, low, kept, length = _PACKET_HEAD.unpack_from(body)
    end = _PACKET_HEAD.size + kept
    flags = dict(_options(body, (end + 3) & ~3)).get(2, b"\0")
    time, data = high << 32 | low, body[_PACKET_HEAD.size : end]
    return Packet(interface, time, data, length, flags[0] & 3 == 2, flags[0] >> 2 & 7 == _FOREIGN)


def _tally(body: bytes) -> tuple[int, Tally]:
    (index,) = struct.unpack_from("<I", body)
    found = {code: int.from_bytes(value, "little") for code, value in _options(body, 12)}
    return index, Tally(*(found.get(code, 0) for code in (_ISB_RECEIVED, _ISB_DROPPED, _ISB_DELIVERED)))


def _options(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _OPTION.size <= len(body):
        code, length = _OPTION.unpack_from(body, offset)
        if code == 0:
            return
        yield code, body[offset + 4 : offset + 4 + length]
        offset += 4 + ((length + 3) & ~3)


def _section(application: str) -> bytes:
    fixed = struct.pack("<IHHQ", _MAGIC, 1, 0, _NO_LENGTH)
    return _encoded(_SECTION, fixed, [(_APPLICATION, application.encode())])


def _interface(point: Point, filter_text: str) -> bytes:
    options = [
        (_IF_NAME, point.name.encode()),
        (_IF_DESCRIPTION, f"{point.ifname} in {point.netns.name}".encode()),
        (_COMMENT, point.comment.encode()),
        (_IF_TSRESOL, bytes([_NANOSECONDS])),
    ]
    # The first byte says that the filter is a text.
    options += [(_IF_FILTER, b"\0" + filter_text.encode())] if filter_text else []
    return _encoded(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, 0), options)


def _name_resolution(names: Mapping[str, str]) -> bytes:
    records = b""
    for address, name in sorted(names.items()):
        value = bytes(map(int, address.split("."))) + name.encode() + b"\0"
        records += _OPTION.pack(_IPV4_NAME, len(value)) + _padded(value)
    return _encoded(_NAMES, records + _OPTION.pack(0, 0), [])


def _encoded(kind: int, fixed: bytes, options: Sequence[tuple[int, bytes]]) -> bytes:
    body = fixed
    for code, value in options:
        if value:
            kept = value[:_LONGEST_TEXT]
            body += _OPTION.pack(code, len(kept)) + _padded(kept)
    if options:
        body += _OPTION.pack(0, 0)
    length = 12 + len(body)
    return _HEAD.pack(kind, length) + body + struct.pack("<I", length)


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)
