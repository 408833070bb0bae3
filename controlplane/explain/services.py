"""The Services of a cluster by the chains that they have: what a KUBE-* chain's name stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from controlplane.explain.world import World
from controlplane.proxy import names
from controlplane.proxy.endpoints import Chosen, choose
from controlplane.proxy.model import Endpoint, ServiceKey, ServicePort, read_endpoints, read_service, service_of

ZONE_LABEL = "topology.kubernetes.io/zone"

PURPOSES = {
    names.CLUSTER_POLICY: "chooses among the endpoints",
    names.LOCAL_POLICY: "chooses among the endpoints of this node",
    names.EXTERNAL: "takes what comes by an external address or node port",
    names.FIREWALL: "lets in what loadBalancerSourceRanges allow",
    names.ENDPOINT: "leads to one endpoint",
}


@dataclass(frozen=True, slots=True)
class ServiceChain:
    """One chain: of which port of which Service, and for `KUBE-SEP-` of which endpoint."""

    name: str
    port: ServicePort
    endpoint: Endpoint | None = None

    @property
    def purpose(self) -> str:
        return next(words for prefix, words in PURPOSES.items() if self.name.startswith(prefix))


class ServiceIndex:
    """All of a cluster's Services, read once."""

    def __init__(self, world: World) -> None:
        self.ports: dict[ServiceKey, tuple[ServicePort, ...]] = {}
        self.chains: dict[str, ServiceChain] = {}
        self._world = world
        slices: dict[ServiceKey, list[dict[str, object]]] = {}
        for piece in world.objects(ENDPOINT_SLICE):
            key = service_of(piece)
            if key is not None:
                slices.setdefault(key, []).append(piece)
        self._endpoints = {key: read_endpoints(pieces) for key, pieces in slices.items()}
        for service in world.objects(SERVICE):
            key = (service["metadata"]["namespace"], service["metadata"]["name"])
            self.ports[key] = read_service(service)
            for port in self.ports[key]:
                self._add(port)
        self.pods = {
            found["ip"]: pod
            for pod in world.objects(POD)
            if not pod["spec"].get("hostNetwork")
            for found in (pod.get("status") or {}).get("podIPs") or ()
        }

    def endpoints(self, port: ServicePort) -> tuple[Endpoint, ...]:
        """Every endpoint of a port, used or not."""
        return self._endpoints.get((port.namespace, port.name), {}).get(port.key, ())

    def chosen(self, port: ServicePort, node: str) -> Chosen:
        """The endpoints that a node uses."""
        return choose(port, self.endpoints(port), node, self._zone(node))

    def pod_text(self, address: str) -> str:
        """The pod that has an address, for people, or ""."""
        pod = self.pods.get(address)
        if pod is None:
            return ""
        return f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']} on {pod['spec'].get('nodeName')}"

    def chains_of(self, port: ServicePort) -> Sequence[str]:
        """The names of all chains that a port may have, in the order in which a packet meets them."""
        mine = [chain.name for chain in self.chains.values() if chain.port == port]
        order = (names.FIREWALL, names.EXTERNAL, names.CLUSTER_POLICY, names.LOCAL_POLICY, names.ENDPOINT)
        return sorted(mine, key=lambda chain: next(i for i, prefix in enumerate(order) if chain.startswith(prefix)))

    def _add(self, port: ServicePort) -> None:
        for prefix in (names.CLUSTER_POLICY, names.LOCAL_POLICY, names.EXTERNAL, names.FIREWALL):
            self.chains[prefix + port.hash] = ServiceChain(prefix + port.hash, port)
        for endpoint in self.endpoints(port):
            name = names.endpoint_chain(port.text, port.protocol, endpoint.address)
            self.chains[name] = ServiceChain(name, port, endpoint)

    def _zone(self, node: str) -> str:
        for found in self._world.objects(NODE):
            if found["metadata"]["name"] == node:
                return str((found["metadata"].get("labels") or {}).get(ZONE_LABEL, ""))
        return ""
