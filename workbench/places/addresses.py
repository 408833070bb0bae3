"""Names for the addresses of a cluster: pods, Services, nodes, the router, and this host as `outside`."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

from controlplane.api import kinds
from controlplane.api.types import Object
from controlplane.config import ResolvedCluster
from controlplane.explain.world import World
from workbench.places.selection import OUTSIDE, is_networked, place_name


class AddressBook:
    """`name_of` an address; `names` are all, `networks` what else an address may be of. A moment of the cluster."""

    def __init__(self, world: World, cluster: ResolvedCluster) -> None:
        self.names: dict[str, str] = {}
        self.networks: dict[IPv4Network, str] = {}
        self._take_subnets(cluster)
        with suppress(OSError):
            # With no way into the VPC this host has no address there.
            self.names[world.host_address()] = OUTSIDE
        for service in world.objects(kinds.SERVICE):
            self._take_service(service)
        for pod in world.objects(kinds.POD):
            if is_networked(pod) and not pod["spec"].get("hostNetwork"):
                self.names[pod["status"]["podIP"]] = place_name("pod", pod)

    def name_of(self, address: str) -> str:
        """The name, or the address itself."""
        return self.names.get(address, address)

    def place_of(self, address: str) -> str:
        """The name, or what range the address is of, or empty."""
        if address in self.names:
            return self.names[address]
        found = IPv4Address(address)
        return next((name for network, name in self.networks.items() if found in network), "")

    def _take_subnets(self, cluster: ResolvedCluster) -> None:
        for subnet in cluster.subnets:
            self.networks[subnet.range] = f"subnet/{subnet.name}"
            self.names[str(subnet.gateway)] = f"router/{subnet.name}"
        self.networks[cluster.service_range] = "services"
        self.networks[cluster.load_balancer_range] = "load balancers"
        self.names[str(cluster.api_vpc_address)] = "api-server"
        for node in cluster.nodes:
            self.names[str(node.address)] = f"node/{node.name}"
            if node.pod_range is not None:
                self.names[str(node.pod_range[1])] = f"bridge/{node.name}"

    def _take_service(self, service: Object) -> None:
        for address in addresses_of(service):
            self.names[address] = place_name("service", service)


def addresses_of(service: Object) -> list[str]:
    """Its cluster IPs, external IPs and load-balancer addresses."""
    balanced = [entry.get("ip") for entry in service.get("status", {}).get("loadBalancer", {}).get("ingress", ())]
    found = [*service["spec"].get("clusterIPs", ()), *service["spec"].get("externalIPs", ()), *balanced]
    return [address for address in found if address and address != "None"]
