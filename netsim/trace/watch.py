"""Watching one namespace: the table that has probes traced, and the socket on which the kernel tells of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from netsim import namespace
from netsim.errors import MissingRequirement, NetsimError, translated
from netsim.trace.events import Event, parse
from netsim.trace.probe import PROBE_DSCP

TABLE = "netsim-trace"
_MARK = 0x4E53
"""The connection mark of what belongs to a probe."""
_NETLINK_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP, _NFTRACE_GROUP = 12, 270, 1, 9
_FAMILY_IPV4 = 2
_RECEIVE_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 22
_POLL_SECONDS = 0.05
_READY_SECONDS = 5.0
_AFTER_CONNTRACK = -199
"""Behind the look-up of the connection (-200), before anything is translated (-100)."""
_COMMANDS = f"""\
add table ip {TABLE} {{ flags owner; }}
add chain ip {TABLE} prerouting {{ type filter hook prerouting priority {_AFTER_CONNTRACK}; }}
add chain ip {TABLE} output {{ type filter hook output priority {_AFTER_CONNTRACK}; }}
add rule ip {TABLE} prerouting ip dscp {PROBE_DSCP} ct mark set {_MARK}
add rule ip {TABLE} output ip dscp {PROBE_DSCP} ct mark set {_MARK}
add rule ip {TABLE} prerouting ct mark {_MARK} meta nftrace set 1
add rule ip {TABLE} output ct mark {_MARK} meta nftrace set 1
list tables
"""


class Watch:
    """The events of one namespace from `start` to `stop`, in the order in which the kernel told them."""

    def __init__(self, netns: Path) -> None:
        self.netns = netns
        self._events: list[Event] = []
        self._socket: socket.socket | None = None
        self._program: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def start(self) -> None:
        """Raises `MissingRequirement` without nft, `NetsimError` if the kernel takes no such table."""
        with translated(f"listen in {self.netns.name}"), namespace.entered(self.netns):
            listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket = listening
        with translated("listen for traces"):
            listening.bind((0, 0))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            listening.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTRACE_GROUP)
        listening.settimeout(_POLL_SECONDS)
        self._thread = threading.Thread(target=self._listen, args=(listening,), name=f"trace-{self.netns.name}")
        self._thread.start()
        self._program = self._trace()

    def stop(self) -> list[Event]:
        """Takes the table away; returns the events. Stopping again, or what never started, is no error."""
        if self._program is not None:
            assert self._program.stdin is not None
            self._program.stdin.close()
            self._program.wait(_READY_SECONDS)
            assert self._program.stdout is not None
            self._program.stdout.close()
            self._program = None
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        return self._events

    def _trace(self) -> subprocess.Popen[str]:
        program = shutil.which("nft", path="/usr/sbin:/usr/bin:/sbin:/bin")
        if program is None:
            raise MissingRequirement("no program nft", "install the package nftables")
        with namespace.entered(self.netns):
            # While it runs it owns the table; with it, whatever ends it, the table is gone.
            started = subprocess.Popen(
                [program, "--interactive"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                env={**os.environ, "TERM": "dumb"},
            )
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(_COMMANDS)
        started.stdin.flush()
        said = []
        for line in started.stdout:
            said.append(line)
            if line.strip() == f"table ip {TABLE}":
                return started
            if "Error" in line:
                break
        started.kill()
        started.communicate()
        raise NetsimError(f"cannot trace in {self.netns.name}: {' '.join(said).strip()}")

    def _listen(self, listening: socket.socket) -> None:
        while True:
            try:
                data = listening.recv(_RECEIVE_BYTES)
            except TimeoutError:
                if self._ending.is_set():
                    return
                continue
            self._events += parse(data, _FAMILY_IPV4, time.time_ns())
