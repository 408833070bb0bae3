"""A real packet, or a connection's first ones, sent from a namespace; and what came of it.

TCP is a real connect() that is closed again, UDP a datagram with words in it, ICMP an echo request.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netsim import echo, namespace
from netsim.errors import translated

PROBE_DSCP = 0x2D
"""In the header of each of a probe's packets. A translation leaves it as it is; hardly anyone else uses it."""

Protocol = Literal["tcp", "udp", "icmp"]
_TOS = PROBE_DSCP << 2
_PAYLOAD = b"netsim trace"
_IP_MTU_DISCOVER, _IP_RECVERR, _MSG_ERRQUEUE = 10, 11, 0x2000
_NEVER_FRAGMENT = 2
_SOL_IP = 0
_ERROR = struct.Struct("=IBBBxII")
_ORIGIN_LOCAL, _ORIGIN_ICMP = 1, 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: `answered`, `refused` (RST), `unreachable` (an ICMP error, with its type and code and who sent it),
    `silence`, or `unsent`, when the sender's own kernel would not. `reason` are the kernel's words."""

    result: Literal["answered", "refused", "unreachable", "silence", "unsent"]
    reason: str = ""
    icmp: tuple[int, int] | None = None
    told_by: str = ""
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """Where from, where to; `size` bytes of data instead of a few, with the Don't Fragment bit, for finding an MTU."""

    netns: Path
    protocol: Protocol
    destination: str
    port: int = 0
    size: int = 0
    timeout: float = 1.0

    def send(self) -> tuple[tuple[str, int], Outcome]:
        """Sends it and waits for what comes back; returns the sender's address and port, and the outcome."""
        with translated(f"send a probe from {self.netns.name}"), namespace.entered(self.netns):
            opened = self._socket()
        with opened:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TOS)
            opened.setsockopt(_SOL_IP, _IP_RECVERR, 1)
            if self.size:
                opened.setsockopt(_SOL_IP, _IP_MTU_DISCOVER, _NEVER_FRAGMENT)
            opened.setblocking(False)
            return self._exchange(opened)

    def _socket(self) -> socket.socket:
        if self.protocol == "tcp":
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.protocol == "udp":
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def _exchange(self, opened: socket.socket) -> tuple[tuple[str, int], Outcome]:
        status = opened.connect_ex((self.destination, self.port))
        if status not in (0, errno.EINPROGRESS):
            return ("", 0), Outcome("unsent", os.strerror(status))
        name: tuple[str, int] = opened.getsockname()
        try:
            if self.protocol == "tcp":
                return name, self._connected(opened)
            opened.send(self._data())
            return name, self._replied(opened)
        except OSError as error:
            return name, _failed(opened, error.errno or 0)

    def _data(self) -> bytes:
        body = _PAYLOAD.ljust(self.size, b".")
        if self.protocol == "udp":
            return body
        return echo.request(os.getpid() & 0xFFFF, 1, body)

    def _connected(self, opened: socket.socket) -> Outcome:
        _readable, writable, _ = select.select([], [opened], [], self.timeout)
        if not writable:
            return Outcome("silence", f"no answer within {self.timeout:g} s")
        status = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            return _failed(opened, status)
        return Outcome("answered", "the connection was accepted")

    def _replied(self, opened: socket.socket) -> Outcome:
        deadline = time.monotonic() + self.timeout
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([opened], [], [], left)[0]:
                break
            data = opened.recv(4096)
            if self.protocol == "udp":
                return Outcome("answered", f"{len(data)} bytes came back")
            if echo.is_reply(data, os.getpid() & 0xFFFF, 1):
                return Outcome("answered", "an echo reply came back")
        return Outcome("silence", f"no answer within {self.timeout:g} s")


def _failed(opened: socket.socket, status: int) -> Outcome:
    """What the error queue knows of it: which ICMP message, and who sent it (ip(7), IP_RECVERR)."""
    try:
        _data, ancillary, _flags, _address = opened.recvmsg(0, 512, _MSG_ERRQUEUE)
    except OSError:
        ancillary = []
    for level, kind, value in ancillary:
        if level == _SOL_IP and kind == _IP_RECVERR and len(value) >= 24:
            _number, origin, icmp_type, code, info, _more = _ERROR.unpack_from(value)
            if origin == _ORIGIN_LOCAL:
                return Outcome("unsent", os.strerror(status), mtu=info)
            if origin == _ORIGIN_ICMP:
                offender = socket.inet_ntoa(value[20:24])
                return Outcome("unreachable", os.strerror(status), (icmp_type, code), offender, info)
    if status == errno.ECONNREFUSED:
        return Outcome("refused", os.strerror(status))
    if status == errno.ETIMEDOUT:
        return Outcome("silence", os.strerror(status))
    return Outcome("unsent" if status in (errno.EPERM, errno.EMSGSIZE) else "unreachable", os.strerror(status))
