"""A host of a test's own: new network and mount namespaces for the test's thread, with a way out like a real one's.

Tests that compare the host's state before and after run in it, so that nothing else that goes on on this machine,
another cluster for instance, is taken for theirs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netsim import syscalls
from netsim.errors import InvalidRequest, NotFound
from netsim.inventory import places

_PRIVATE = ("/run", "/var/lib")
_SET_UP = """
ip link set lo up
ip link add eth0 type veth peer name far
ip address add 192.0.2.2/24 dev eth0
ip link set far up
ip link set eth0 up
ip route add default via 192.0.2.1
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.disable_ipv6=1
"""


@contextmanager
def own_host() -> Iterator[None]:
    """The calling thread, and all that it starts, is on a host of its own inside the block."""
    directory_before = os.getcwd()
    with syscalls.opened("/proc/thread-self/ns/net") as net, syscalls.opened("/proc/thread-self/ns/mnt") as mounts:
        syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
        try:
            syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
            # Mounts of others below these go when those do, also here.
            for point in places.mounts([Path(directory) for directory in _PRIVATE]):
                with suppress(NotFound, InvalidRequest):
                    syscalls.unmount(point)
            for directory in _PRIVATE:
                syscalls.mount("none", directory, flags=0, filesystem="tmpfs")
            subprocess.run(["sh", "-ec", _SET_UP], check=True)
            yield
        finally:
            syscalls.setns(net, syscalls.CLONE_NEWNET)
            # Which also goes to the root directory.
            syscalls.setns(mounts, syscalls.CLONE_NEWNS)
            os.chdir(directory_before)
