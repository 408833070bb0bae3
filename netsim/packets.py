"""Raw packets out of and into a namespace, as bytes, from a process that is elsewhere.

Sockets stay in the namespace in which they were opened, so one thread that enters for a moment is all it takes. What is
sent at layer 3 is routed and resolved by the namespace's own kernel. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from netsim import namespace, syscalls
from netsim.errors import translated

_ETH_P_ALL = 3
_OUTGOING = 4
_LARGEST = 1 << 16
_BUFFER_BYTES = 1 << 25
"""Of frames that nobody has read yet: tens of thousands, as while the reader sends."""


class Frame(NamedTuple):
    """One frame: the link it was seen at, whether the namespace sent it, and its bytes."""

    ifname: str
    outgoing: bool
    data: bytes


class PacketPort:
    """Sends into and listens in one namespace, at `ifname` or all links. A context manager; listens from `open` on."""

    def __init__(self, netns: Path, ifname: str = "") -> None:
        self.netns, self.ifname = netns, ifname
        self._listening: socket.socket | None = None
        self._sending: socket.socket | None = None

    def open(self) -> None:
        """Raises `NotFound` if there is no such namespace or link."""
        with translated(f"open {self.netns.name}"), namespace.entered(self.netns):
            protocol = 0 if self.ifname else socket.htons(_ETH_P_ALL)
            self._listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
            self._listening.setsockopt(socket.SOL_SOCKET, syscalls.SO_RCVBUFFORCE, _BUFFER_BYTES)
            if self.ifname:
                # Only now, so that nothing of other links is heard first.
                self._listening.bind((self.ifname, _ETH_P_ALL))
            self._sending = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)

    def close(self) -> None:
        """Closes both sockets."""
        for each in (self._listening, self._sending):
            if each is not None:
                each.close()
        self._listening = self._sending = None

    def send_packet(self, data: bytes) -> None:
        """Sends an IPv4 packet as it is, header included; the kernel fills in a checksum or identification of 0."""
        assert self._sending is not None
        destination = socket.inet_ntoa(data[16:20])
        with translated(f"send to {destination} from {self.netns.name}"):
            self._sending.sendto(data, (destination, 0))

    def send_frame(self, data: bytes, ifname: str = "") -> None:
        """Sends an Ethernet frame as it is, by that link or the port's own."""
        assert self._listening is not None
        chosen = ifname or self.ifname
        with translated(f"send a frame by {chosen or 'no link'} of {self.netns.name}"):
            self._listening.sendto(data, (chosen, 0))

    def receive(self, seconds: float) -> Iterator[Frame]:
        """Frames as they come, until so long after the call."""
        assert self._listening is not None
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._listening], [], [], left)[0]:
                return
            data, (ifname, _protocol, kind, *_rest) = self._listening.recvfrom(_LARGEST)
            yield Frame(ifname, kind == _OUTGOING, data)

    def __enter__(self) -> PacketPort:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
