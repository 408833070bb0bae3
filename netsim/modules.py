"""Kernel modules that do not load by themselves when they are needed."""

from __future__ import annotations

from pathlib import Path

from netsim import firewall, sysctl

_BRIDGE_SYSCTLS = Path("/proc/sys/net/bridge")


def ensure_bridge_filtering() -> bool:
    """Loads br_netfilter where it is a module and not loaded; says whether it had to.

    Loading it turns it on for the host's own bridges, which is none of our business, so there it is turned off
    again; each new namespace has its own setting. The calling thread has to be in the host's namespace.
    """
    if _BRIDGE_SYSCTLS.exists():
        return False
    firewall.run(["modprobe", "br_netfilter"])
    for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"):
        sysctl.write(f"net.bridge.{name}", 0)
    return True
