"""Connections that the kernel tracks, in the calling thread's namespace, by the program conntrack."""

from __future__ import annotations

from netsim import firewall, programs
from netsim.errors import CommandFailed

_NOTHING_DELETED = "0 flow entries"


def list_udp_flows() -> str:
    """What `conntrack -L -p udp` prints. Raises `MissingRequirement` without the program."""
    return firewall.run([programs.require("conntrack", "conntrack"), "-L", "-p", "udp"])


def delete_udp_flows(*selection: str) -> bool:
    """Forgets UDP flows, so that their next packet meets the rules again; False if there were none.

    `selection` is in conntrack's own options, such as `--orig-port-dst 53`. Raises `MissingRequirement` without the
    program.
    """
    try:
        firewall.run([programs.require("conntrack", "conntrack"), "-D", "-p", "udp", *selection])
    except CommandFailed as error:
        if _NOTHING_DELETED not in error.stderr:
            raise
        return False
    return True
