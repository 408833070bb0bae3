"""What this host and the clusters on it already hold: the input of `resolve`. Reads, changes nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

from controlplane.config.errors import ConfigError
from controlplane.config.resolve import PortOwner, Taken
from controlplane.config.types import CLUSTER_FILE, ResolvedCluster
from controlplane.directories import STATE_ROOT
from netsim.netlink import Netlink
from netsim.ranges import host_claims

_LISTEN = "0A"
_SHORTEST_CLAIM = 8


def other_clusters(name: str, *, directory: Path = STATE_ROOT) -> Iterator[ResolvedCluster]:
    """The resolved configuration of each cluster on this host but `name`, running or not."""
    for file in sorted(directory.glob(f"*/{CLUSTER_FILE}")):
        if file.parent.name == name:
            continue
        try:
            cluster = ResolvedCluster.load(file.parent)
        except ConfigError:
            if file.exists():
                raise
            continue  # it is removed at this moment
        yield cluster


def taken_by_clusters(name: str, *, directory: Path = STATE_ROOT) -> list[Taken]:
    """The ranges of the other clusters on this host."""
    return [
        Taken(network, f"{what} {network} of cluster {cluster.name}")
        for cluster in other_clusters(name, directory=directory)
        for what, network in cluster.ranges().items()
    ]


def taken_by_host() -> list[Taken]:
    """The ranges that this host has routes to, those of other clusters among them, and its nameservers.

    A route to half of everything, as VPNs set, is no more a claim than a default route: ours go before it.
    """
    with Netlink() as netlink:
        claims = host_claims(netlink)
    return [
        *nameservers(),
        *(Taken(claim.network, claim.owner) for claim in claims if claim.network.prefixlen >= _SHORTEST_CLAIM),
    ]


def nameservers(file: Path = Path("/etc/resolv.conf")) -> list[Taken]:
    """The host's nameservers: reached by a default route mostly, and lost to the host behind a route of ours."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found = [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return [Taken(IPv4Network(each), f"the host's nameserver {each} in {file}") for each in found if _is_ipv4(each)]


def port_owner_beside(name: str, *, directory: Path = STATE_ROOT) -> PortOwner:
    """A `PortOwner` for `name`: other clusters own their port also while they are stopped."""
    ports = {cluster.api_port: f"cluster {cluster.name}" for cluster in other_clusters(name, directory=directory)}

    def owner(address: IPv4Address, port: int) -> str | None:
        return ports.get(port) or port_owner(address, port)

    return owner


def port_owner(address: IPv4Address, port: int) -> str | None:
    """Who listens on a TCP port, as "process 812 (nginx)", or None if it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(address), port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return _listener(port) or "another process"
            if error.errno == errno.EACCES:
                return "nobody, but it needs root"
            raise ConfigError(
                path="spec.apiServer.address",
                found=f"{address} cannot be listened on: {error.strerror}",
                allowed="name an address of this host",
            ) from error
    return None


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _listener(port: int) -> str | None:
    """The process that listens on a port in this network namespace, from /proc; None if it cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue  # it ended, or is another user's
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # no IPv6 on this host
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
