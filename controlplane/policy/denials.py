"""Denied packets by name: what the kernel logs of them, written as lines that say policy, pod and peer.

The rules log a bounded number a second (`rules.LOGGED_PER_SECOND` for each chain); counters count all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from controlplane.policy.rules import NFLOG_GROUP, NodePolicy, Posture
from controlplane.policy.table import PolicyTable
from netsim.errors import NetsimError
from netsim.nflog import Logged, NflogSocket

log = logging.getLogger(__name__)

LONGEST_FILE = 2_000_000
AGAIN_SECONDS = 5.0

Inside = Callable[[Callable[[int], NflogSocket], int], Awaitable[NflogSocket]]


class DenialLog:
    """The file, shared by the nodes of a process; when it is too long it becomes FILE.1 and a new one begins."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, lines: list[str]) -> None:
        """Appends lines."""
        with open(self._file, "a") as opened:
            opened.write("".join(f"{line}\n" for line in lines))
            length = opened.tell()
        if length > LONGEST_FILE:
            self._file.replace(self._file.with_name(self._file.name + ".1"))


class Denials:
    """Listens in one node's namespace and writes to the log. `watch` again whenever the rules have changed."""

    def __init__(self, node: str, table: PolicyTable, file: DenialLog) -> None:
        self._node = node
        self._table = table
        self._file = file
        self._socket: NflogSocket | None = None
        self._applied = NodePolicy()
        self._not_before = 0.0

    async def watch(self, applied: NodePolicy, inside: Inside) -> None:
        """Listens from now on, with the names of these rules. A group that another process holds is tried again."""
        self._applied = applied
        if self._socket is not None or time.monotonic() < self._not_before:
            return
        try:
            self._socket = await inside(NflogSocket, NFLOG_GROUP)
        except NetsimError as error:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            log.warning("denied packets are not logged", extra={"node": self._node, "error": str(error)})
            return
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Stops listening."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        assert self._socket is not None, "only while it is watched"
        try:
            packets = self._socket.receive()
            lines = [line for packet in packets if (line := self._line(packet))]
            if lines:
                self._file.write(lines)
        except OSError as error:
            log.warning("denied packets are not logged", extra={"node": self._node, "error": str(error)})
            self.close()

    def _line(self, packet: Logged) -> str:
        posture = self._applied.postures.get(packet.prefix)
        return denial_line(self._node, posture, packet, self._table.name_of) if posture is not None else ""


def denial_line(node: str, posture: Posture, packet: Logged, name_of: Callable[[str], str]) -> str:
    """One denied packet as a line of key=value; a peer that is no pod has its address for a name."""
    ends = (
        (packet.destination, packet.source) if posture.direction == "ingress" else (packet.source, packet.destination)
    )
    pod, peer = (name_of(address) or address for address in ends)
    fields = {
        "node": node,
        "direction": posture.direction,
        "policy": ",".join(policy.text for policy in posture.policies),
        "pod": pod,
        "peer": peer,
        "protocol": packet.protocol,
        "port": str(packet.port) if packet.port else "",
        "source": packet.source,
        "destination": packet.destination,
    }
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return " ".join([at, *(f"{key}={value}" for key, value in fields.items() if value)])
