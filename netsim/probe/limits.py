"""How much of everything the host allows, judged for a number of pods."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from netsim import firewall, sysctl
from netsim.errors import NetsimError
from netsim.probe.check import Check


@dataclass(frozen=True, slots=True)
class _Limit:
    """A sysctl that has to be at least `base` and `per_pod` for each pod."""

    name: str
    base: int
    per_pod: int
    purpose: str


_LIMITS = (
    _Limit("fs.inotify.max_user_instances", 64, 0, "watching files"),
    _Limit("fs.inotify.max_user_watches", 8192, 0, "watching files"),
    # One table for all namespaces of the host: a pod knows its gateway, and its node knows the pod.
    _Limit("net.ipv4.neigh.default.gc_thresh3", 256, 4, "neighbours of all namespaces together"),
    _Limit("net.netfilter.nf_conntrack_max", 65536, 0, "connections of each namespace"),
    _Limit("kernel.pid_max", 4096, 32, "processes"),
    _Limit("kernel.pty.max", 64, 1, "terminals of exec"),
)
_DROPPING = ":FORWARD DROP"
_OPEN_FILES_BASE, _OPEN_FILES_PER_POD = 1024, 24


def limits(pods: int) -> list[Check]:
    """A check for each limit; none is required, for it is reached late or never."""
    found = [_check(limit, pods) for limit in _LIMITS]
    return [*found, _open_files(pods)]


def cgroups() -> Check:
    """The layout of control groups; every one that Linux has is fine, none is not."""
    kinds = {line.split()[2] for line in Path("/proc/self/mounts").read_text().splitlines()}
    layouts = {
        (True, True): "hybrid: version 1, and version 2 beside it",
        (True, False): "version 1",
        (False, True): "version 2",
    }
    found = layouts.get(("cgroup" in kinds, "cgroup2" in kinds))
    remedy = "mount -t cgroup2 none /sys/fs/cgroup"
    return Check("control groups", found is not None, found or "none mounted", "any version", remedy)


def host_forwarding() -> Check:
    """Whether the host's own firewall lets packets pass from a cluster to the uplink, as Docker's does not."""
    try:
        dropped = _DROPPING in firewall.save("filter")
    except NetsimError as error:
        return _forwarding_check(True, f"not known: {error}")
    return _forwarding_check(not dropped, "policy DROP in chain FORWARD" if dropped else "not in the way")


def _forwarding_check(ok: bool, found: str) -> Check:
    return Check(
        name="the host's firewall",
        ok=ok,
        found=found,
        needed="pods reaching out by the host",
        remedy="iptables -P FORWARD ACCEPT, or accept what comes from and goes to the links ns-*",
        required=False,
    )


def _check(limit: _Limit, pods: int) -> Check:
    needed = limit.base + limit.per_pod * pods
    found = sysctl.find(limit.name)
    # One that this kernel does not have limits nothing, or will be there once its module is.
    ok = found is None or int(found) >= needed
    return Check(
        name=limit.name,
        ok=ok,
        found=found or "not there",
        needed=f"{needed}, for {limit.purpose}",
        remedy=f"sysctl -w {limit.name}={max(needed, 2 * int(found or 0))}",
        required=False,
    )


def _open_files(pods: int) -> Check:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OPEN_FILES_BASE + _OPEN_FILES_PER_POD * pods
    unlimited = hard == resource.RLIM_INFINITY
    return Check(
        name="open files",
        ok=unlimited or hard >= needed,
        found="unlimited" if unlimited else str(hard),
        needed=f"{needed}, for sockets and logs",
        remedy=f"ulimit -Hn {needed}",
        required=False,
    )
