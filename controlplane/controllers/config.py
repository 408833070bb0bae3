"""What the cluster tells its controllers; nothing here is looked up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from netsim.disks import Disks
from netsim.exports import Exports


class LoadBalancerRoutes(Protocol):
    """The router's side of load balancers."""

    async def set_load_balancers(self, routes: Mapping[str, Sequence[str]]) -> None:
        """Routes each address to all the node addresses given for it, and no other address to any."""
        ...


class Signer(Protocol):
    """Who signs certificates with the cluster's CA."""

    def sign(self, signer: str, request: bytes, usages: Collection[str], seconds: int | None) -> bytes:
        """The certificate for a request, both PEM; ValueError, in words, if `signer` does not sign that."""
        ...


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """Addresses are text. The API server's is the one in the VPC, which `kubernetes.default` leads to.

    `load_balancer_range` is a CIDR such as "203.0.113.0/24"; `node_grace_seconds` is how long a node's lease may
    stay unrenewed; `event_ttl_seconds` how long events are kept; `disks` and `exports` are those of the cloud and of
    its file servers; `signer` has the cluster's CA.
    """

    api_address: str
    api_port: int
    kubernetes_address: str
    ca_bundle: str
    load_balancer_range: str
    load_balancer_routes: LoadBalancerRoutes
    disks: Disks
    exports: Exports
    signer: Signer
    node_grace_seconds: float = 50.0
    event_ttl_seconds: float = 3600.0
