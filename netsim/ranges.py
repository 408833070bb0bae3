"""Address ranges: what the host already routes, and whether a planned range overlaps that or another.

Which ranges to take is the choice of who plans a cluster; here is only what is not free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from netsim import link, route
from netsim.errors import RangeConflict
from netsim.mark import Mark
from netsim.netlink import Netlink
from netsim.route import RouteType

_DEFAULT = 0
_CLAIMING = (RouteType.UNICAST, RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT)


@dataclass(frozen=True, slots=True)
class Claim:
    """A range that is taken, and by whom, in words: "the host's route 10.0.0.0/8 dev eth0"."""

    network: IPv4Network
    owner: str


def host_claims(netlink: Netlink, *, without: str = "") -> list[Claim]:
    """What the routes of the namespace claim, of all tables but the local one, defaults left out.

    Routes of cluster `without` are left out too, so that a cluster that is up does not conflict with itself.
    """
    links = {found.index: found for found in link.list_links(netlink)}
    claims = []
    for found in route.list_routes(netlink, table=None):
        network = IPv4Network(found.destination)
        device = links.get(found.index)
        mark = Mark.parse(device.alias) if device is not None else None
        if network.prefixlen == _DEFAULT or found.type not in _CLAIMING or (mark and mark.cluster == without):
            continue
        claims.append(Claim(network, _describe(found.destination, device.ifname if device else "", mark)))
    return claims


def conflict(network: IPv4Network, claims: Iterable[Claim]) -> Claim | None:
    """The first claim that overlaps the range, or None."""
    return next((claim for claim in claims if claim.network.overlaps(network)), None)


def check(planned: Mapping[str, IPv4Network], claims: Iterable[Claim]) -> None:
    """Raises `RangeConflict`, naming both sides, if a planned range overlaps a claim or another planned range.

    `planned` maps what a range is for ("the nodes of subnet default") to the range.
    """
    taken = list(claims)
    for purpose, network in planned.items():
        found = conflict(network, taken)
        if found is not None:
            raise RangeConflict(f"{network}, planned for {purpose}, overlaps {found.owner}")
        taken.append(Claim(network, f"{network}, planned for {purpose}"))


def _describe(destination: str, ifname: str, mark: Mark | None) -> str:
    if mark is not None:
        return f"{destination} of cluster {mark.cluster}"
    return f"the host's route {destination} dev {ifname}" if ifname else f"the host's route {destination}"
