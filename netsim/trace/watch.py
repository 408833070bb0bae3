"""Watching one namespace: the table that has probes traced, and the socket on which the kernel tells of them."""

from __future__ import annotations

import errno
import socket
import threading
import time
from pathlib import Path

from netsim import namespace, syscalls
from netsim.errors import translated
from netsim.owned_table import OwnedTable
from netsim.trace.events import Event, parse
from netsim.trace.probe import PROBE_DSCP
from netsim.vpc.overlay import PORT as VXLAN_PORT

TABLE = "netsim-trace"
_MARK = 0x4E53
"""The connection mark of what belongs to a probe."""
_NETLINK_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP, _NFTRACE_GROUP = 12, 270, 1, 9
_FAMILY_IPV4 = 2
_RECEIVE_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 22
_POLL_SECONDS = 0.05
_AFTER_CONNTRACK = -199
"""Behind the look-up of the connection (-200), before anything is translated (-100)."""
_BEFORE_RAW = -301
"""Before the table raw (-300), where the probe itself can be told by its DSCP only, and its answer not at all."""
_IN_VXLAN = f"udp dport {VXLAN_PORT} @th,248,6 {PROBE_DSCP}"
"""What carries the probe from node to node: behind the headers of UDP, VXLAN and Ethernet there is the DSCP again."""
_COMMANDS = f"""\
add chain ip {TABLE} prerouting {{ type filter hook prerouting priority {_AFTER_CONNTRACK}; }}
add chain ip {TABLE} output {{ type filter hook output priority {_AFTER_CONNTRACK}; }}
add chain ip {TABLE} arrival {{ type filter hook prerouting priority {_BEFORE_RAW}; }}
add chain ip {TABLE} departure {{ type filter hook output priority {_BEFORE_RAW}; }}
add rule ip {TABLE} arrival ip dscp {PROBE_DSCP} meta nftrace set 1
add rule ip {TABLE} departure ip dscp {PROBE_DSCP} meta nftrace set 1
add rule ip {TABLE} arrival {_IN_VXLAN} meta nftrace set 1
add rule ip {TABLE} departure {_IN_VXLAN} meta nftrace set 1
add rule ip {TABLE} prerouting ip dscp {PROBE_DSCP} ct mark set {_MARK}
add rule ip {TABLE} output ip dscp {PROBE_DSCP} ct mark set {_MARK}
add rule ip {TABLE} prerouting ct mark {_MARK} meta nftrace set 1
add rule ip {TABLE} output ct mark {_MARK} meta nftrace set 1
"""


class Watch:
    """The events of one namespace from `start` to `stop`, in the order in which the kernel told them."""

    def __init__(self, netns: Path) -> None:
        self.netns = netns
        self._events: list[Event] = []
        self._socket: socket.socket | None = None
        self._table = OwnedTable(netns, TABLE, _COMMANDS)
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def start(self) -> None:
        """Raises `MissingRequirement` without nft, `NetsimError` if the kernel takes no such table."""
        with translated(f"listen in {self.netns.name}"), namespace.entered(self.netns):
            listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket = listening
        with translated("listen for traces"):
            listening.bind((0, 0))
            listening.setsockopt(socket.SOL_SOCKET, syscalls.SO_RCVBUFFORCE, _BUFFER_BYTES)
            listening.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTRACE_GROUP)
        listening.settimeout(_POLL_SECONDS)
        self._thread = threading.Thread(target=self._listen, args=(listening,), name=f"trace-{self.netns.name}")
        self._thread.start()
        self._table.start()

    def stop(self) -> list[Event]:
        """Takes the table away; returns the events. Stopping again, or what never started, is no error."""
        self._table.stop()
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        return self._events

    def _listen(self, listening: socket.socket) -> None:
        while True:
            try:
                data = listening.recv(_RECEIVE_BYTES)
            except TimeoutError:
                if self._ending.is_set():
                    return
                continue
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # More came than there was room for: what was lost is not told.
                continue
            self._events += parse(data, _FAMILY_IPV4, time.time_ns())
