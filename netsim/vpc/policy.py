"""What a VPC is told beside its subnets: firewall rules, custom routes, and what links between places can carry.

Pure data, made of text and numbers, with the words and the meanings of GCP's VPC. What they come to in the router is
for `netsim.vpc.firewall`, `netsim.vpc.static_routes` and `netsim.vpc.shaping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["ingress", "egress"]
Action = Literal["allow", "deny"]

ANYWHERE = "0.0.0.0/0"
LOWEST_PRIORITY = 65535
DEFAULT_PRIORITY = 1000
INTERNET = "internet"
"""The next hop of a route that has neither node nor address: the host's uplink."""


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """A rule about connections to (`ingress`) or from (`egress`) nodes and their pods.

    The lowest `priority` goes first; of two with the same, a denial. `protocols` are such as "tcp:80",
    "udp:8000-9000", "icmp", "all". A packet matches by one of `source_ranges` or by a node with one of `source_tags`,
    whose own address counts and not those of its pods; neither means anywhere. `target_tags` say which nodes, with
    their pods, the rule is for; none means all.
    """

    name: str
    direction: Direction = "ingress"
    action: Action = "allow"
    priority: int = DEFAULT_PRIORITY
    protocols: tuple[str, ...] = ("all",)
    source_ranges: tuple[str, ...] = ()
    destination_ranges: tuple[str, ...] = ()
    source_tags: tuple[str, ...] = ()
    target_tags: tuple[str, ...] = ()
    disabled: bool = False
    logging: bool = False


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A custom route: to `destination` by the node or the address named, or else by the internet gateway.

    The lowest `priority` goes first. With `tags` it counts only for what nodes with one of them, and their pods, send.
    """

    name: str
    destination: str
    node: str = ""
    address: str = ""
    priority: int = DEFAULT_PRIORITY
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathRule:
    """What the way between two places carries, in each direction by itself; a place is a region or a zone.

    `rate` is in bits a second and 0 is no limit; `delay` and `jitter` are in microseconds, one way; `loss` in percent.
    """

    between: tuple[str, str]
    rate: int = 0
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0

    @property
    def impaired(self) -> bool:
        """Whether it takes netem."""
        return bool(self.delay or self.jitter or self.loss)
