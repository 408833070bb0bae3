"""Which endpoints of a Service port this node uses: readiness, traffic policies, topology hints.

The choice is that of kube-proxy's `CategorizeEndpoints` (pkg/proxy/topology.go, v1.37): ready endpoints, or,
separately for either policy, those that still serve while they terminate; narrowed to this node or this
zone when every ready endpoint carries a hint and one of them names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.proxy.model import Endpoint, ServicePort


@dataclass(frozen=True, slots=True)
class Chosen:
    """`cluster` and `local` serve the two traffic policies, `reachable` is their union, `exist` says whether the
    Service has a usable endpoint anywhere (`reachable` may still be empty)."""

    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    reachable: tuple[Endpoint, ...] = ()
    exist: bool = False


def choose(port: ServicePort, endpoints: Sequence[Endpoint], node_name: str, zone: str) -> Chosen:
    """The endpoints of `port` as the node `node_name` in `zone` uses them."""
    cluster: tuple[Endpoint, ...] = ()
    if port.uses_cluster_endpoints:
        cluster = _near([e for e in endpoints if e.ready], node_name, zone)
        if not cluster:
            cluster = tuple(e for e in endpoints if e.draining)
    if not port.uses_local_endpoints:
        return Chosen(cluster, (), cluster, bool(cluster))
    exist = any(e.ready or e.draining for e in endpoints)
    here = [e for e in endpoints if e.node_name == node_name]
    local = tuple(e for e in here if e.ready) or tuple(e for e in here if e.draining)
    known = {e.address for e in cluster}
    union = sorted((*cluster, *(e for e in local if e.address not in known)), key=lambda e: e.address)
    return Chosen(cluster, local, tuple(union), exist)


def depends_on_node(port: ServicePort, endpoints: Sequence[Endpoint]) -> bool:
    """Whether `choose` may differ from node to node."""
    return port.uses_local_endpoints or any(e.zone_hints or e.node_hints for e in endpoints)


def _near(ready: list[Endpoint], node_name: str, zone: str) -> tuple[Endpoint, ...]:
    if all(e.node_hints for e in ready):
        of_node = tuple(e for e in ready if node_name in e.node_hints)
        if of_node:
            return of_node
    if all(e.zone_hints for e in ready):
        of_zone = tuple(e for e in ready if zone in e.zone_hints)
        if of_zone:
            return of_zone
    return tuple(ready)
