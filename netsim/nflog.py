"""Packets that rules hand to user space: one socket on one NFLOG group of the calling thread's namespace.

The kernel gives a group to one socket at a time. Only the head of each packet is asked for. The message format is
that of linux/netfilter/nfnetlink_log.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from netsim.errors import kernel_error, translated
from netsim.netlink import attributes, text

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 4
_PACKET, _CONFIG = _SUBSYSTEM << 8, _SUBSYSTEM << 8 | 1
_REQUEST_ACK = 0x1 | 0x4
_CFG_COMMAND, _CFG_MODE, _CFG_THRESHOLD = 1, 2, 5
_BIND, _COPY_PACKET = 1, 2
_PAYLOAD, _PREFIX = 9, 10
_HEAD_BYTES = 128
_SECONDS = 5.0
_HEADER = struct.Struct("=IHHII")
_RECEIVE_BYTES = 1 << 16
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}
_WITH_PORTS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Logged:
    """One packet: the prefix of its rule, and what its IPv4 header and the ports behind it say."""

    prefix: str
    source: str
    destination: str
    protocol: str
    source_port: int = 0
    port: int = 0


class NflogSocket:
    """An open group. Not blocking: `receive` takes what there is; `fileno` is for an event loop.

    Raises `Busy` or `NotPermitted` if the group is another's.
    """

    def __init__(self, group: int) -> None:
        with translated(f"open NFLOG group {group}"):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
            self._socket.settimeout(_SECONDS)
        try:
            self._configure(group, _CFG_COMMAND, struct.pack("=B", _BIND))
            self._configure(group, _CFG_MODE, struct.pack(">IBx", _HEAD_BYTES, _COPY_PACKET))
            # Each packet at once; by itself the kernel would gather them for a second.
            self._configure(group, _CFG_THRESHOLD, struct.pack(">I", 1))
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The descriptor, readable when packets have come."""
        return self._socket.fileno()

    def receive(self) -> list[Logged]:
        """The packets that have come; those that the kernel had no room for are lost, as with any log."""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return []
            raise
        return [found for kind, body in _messages(data) if kind == _PACKET and (found := _parse(body)) is not None]

    def close(self) -> None:
        """Gives the group back."""
        self._socket.close()

    def _configure(self, group: int, kind: int, value: bytes) -> None:
        attribute = struct.pack("=HH", 4 + len(value), kind) + value
        # The group is in the header's resource id, in network order.
        body = struct.pack("=BB", socket.AF_INET, 0) + struct.pack(">H", group) + attribute + b"\0" * (-len(value) % 4)
        with translated(f"configure NFLOG group {group}"):
            self._socket.send(_HEADER.pack(16 + len(body), _CONFIG, _REQUEST_ACK, 1, os.getpid()) + body)
            answer = self._socket.recv(4096)
        code = -struct.unpack_from("=i", answer, 16)[0]
        if code:
            raise kernel_error(f"configure NFLOG group {group}", code)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 16 <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < 16:
            return
        yield kind, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def _parse(body: bytes) -> Logged | None:
    found = attributes(body, 4)
    packet = found.get(_PAYLOAD, b"")
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    head = (packet[0] & 0xF) * 4
    protocol = _PROTOCOLS.get(packet[9], str(packet[9]))
    source_port = port = 0
    if protocol in _WITH_PORTS and len(packet) >= head + 4:
        source_port, port = struct.unpack_from(">HH", packet, head)
    return Logged(
        prefix=text(found.get(_PREFIX, b"")),
        source=socket.inet_ntoa(packet[12:16]),
        destination=socket.inet_ntoa(packet[16:20]),
        protocol=protocol,
        source_port=source_port,
        port=port,
    )
