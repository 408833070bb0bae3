"""NodePorts: two pods cannot hold one host port of one address."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import ANY_ADDRESS, HostPort, PodInfo

_REFUSED = Refusal(("node(s) didn't have free ports for the requested pod ports",), resolvable=True)


class NodePorts:
    name = "NodePorts"
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.POD_GONE})

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        wanted = pod.host_ports
        if not wanted:
            return None
        return lambda node: _REFUSED if any(_is_taken(port, node.ports) for port in wanted) else None


def _is_taken(wanted: HostPort, taken: Collection[HostPort]) -> bool:
    address, protocol, port = wanted
    return any(
        (protocol, port) == (other_protocol, other_port) and (address == other or ANY_ADDRESS in (address, other))
        for other, other_protocol, other_port in taken
    )
