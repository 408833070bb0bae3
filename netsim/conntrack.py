"""Connections that the kernel tracks, in the calling thread's namespace."""

from __future__ import annotations

import shutil

from netsim import firewall
from netsim.errors import CommandFailed

_NOTHING_DELETED = 1
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def delete_udp_flows(port: int) -> None:
    """Forgets UDP flows to that port, so that their next packet meets the rules again; none is no error.

    Without the program conntrack they go when they have been silent for their time-out.
    """
    program = shutil.which("conntrack", path=_PATH)
    if program is None:
        return
    try:
        firewall.run([program, "-D", "-p", "udp", "--orig-port-dst", str(port)])
    except CommandFailed as error:
        if error.status != _NOTHING_DELETED:
            raise
