"""Name: loopback

Description: brings the container's `lo` up.

Syntax: nothing of its own.

Example: {"type": "loopback"}
"""

from __future__ import annotations

from cni.call import Call
from cni.plugins.interface import differs, ensure_namespace_exists
from cni.spec import Interface, IPConfig, Result
from netsim import link, namespace
from netsim.errors import NotFound
from netsim.netlink import Netlink

_IFNAME = "lo"
_NO_ADDRESS = "00:00:00:00:00:00"


class Loopback:
    """The interface that every namespace has from its beginning."""

    def add(self, call: Call) -> Result:
        """Up; behind other plugins the result is theirs."""
        ensure_namespace_exists(call)
        with namespace.entered(call.netns), Netlink() as container:
            container.send(link.change(_IFNAME, up=True))
        if call.previous is not None:
            return call.previous
        return Result((Interface(_IFNAME, _NO_ADDRESS, sandbox=call.netns),), (IPConfig("127.0.0.1/8", interface=0),))

    def delete(self, call: Call) -> None:
        """Down, if the namespace is there."""
        try:
            with namespace.entered(call.netns), Netlink() as container:
                container.send(link.change(_IFNAME, up=False))
        except NotFound:
            return

    def check(self, call: Call) -> None:
        """Raises unless it is up."""
        ensure_namespace_exists(call)
        with namespace.entered(call.netns), Netlink() as container:
            if not link.get_loopback(container).up:
                raise differs("lo of the container is not up")

    def gc(self, call: Call) -> None:
        """Nothing outlives the namespace."""

    def status(self, call: Call) -> None:
        """Always ready."""


PLUGIN = Loopback()

if __name__ == "__main__":
    from cni.plugins.runner import run

    raise SystemExit(run(PLUGIN))
