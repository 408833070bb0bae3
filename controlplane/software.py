"""What runs on each node of a cluster: the agent, the Service proxy, and whatever else lives in a node's namespace.

The one place to add a component of which every node has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.config import ResolvedCluster, ResolvedNode
from controlplane.directories import Directories
from controlplane.node import NodeAgent, NodeConfig
from controlplane.policy import DenialLog, NodePolicies, PolicyConfig, PolicyTable, dns_pod
from controlplane.proxy import LocalTraffic, ProxyConfig, ServiceProxy, ServiceTable
from controlplane.supervision import Component
from netsim.vpc import VpcPlan

VPC_API_PORT = 6443
PROXY_CHANGES = "proxy.changes.json"


@dataclass(frozen=True, slots=True)
class NodeSoftware:
    """What runs on one node: its agent, and the other components that live in its namespace."""

    agent: NodeAgent
    others: Sequence[Component]


class Software:
    """Makes the software of the nodes of one cluster; they share the table of Services."""

    def __init__(
        self, config: ResolvedCluster, directories: Directories, plan: VpcPlan, client: Client, informers: Informers
    ) -> None:
        self._config = config
        self._directories = directories
        self._plan = plan
        self._client = client
        self._informers = informers
        self._table = ServiceTable(informers)
        self._policies = PolicyTable(informers, [dns_pod(str(config.api_vpc_address))])
        self._denials = DenialLog(directories.policy_log)

    def of(self, node: ResolvedNode) -> NodeSoftware:
        """Fresh components for a node that is switched on."""
        recorder = EventRecorder(self._client, "netsim-policy", node.name)
        config = self.policy_config(node)
        policies = NodePolicies(self._policies, config, denials=self._denials, recorder=recorder)
        proxy = ServiceProxy(self._informers, self.proxy_config(node), table=self._table, rewritten=policies.recheck)
        policies.after = proxy.synced.wait
        agent = NodeAgent(self._client, self._informers, self.agent_config(node), guard=policies)
        return NodeSoftware(agent, [proxy, policies])

    def agent_config(self, node: ResolvedNode) -> NodeConfig:
        """What the agent of a node is told."""
        return NodeConfig(
            name=node.name,
            cluster=self._config.name,
            address=str(node.address),
            pod_cidr=str(node.pod_range or ""),
            namespace=self._plan.node_path(node.name),
            state_directory=self._directories.state,
            run_directory=self._directories.run,
            mtu=self._config.pod_mtu,
            offloads=self._config.offloads,
            cni=self._config.cni,
            region=node.region,
            zone=node.zone,
            instance_type=node.machine_type or "netsim",
            labels=node.labels,
            taints=node.taints,
            cpu=node.cpu or "",
            memory=node.memory or "",
            max_pods=node.max_pods or self._config.max_pods_per_node,
            missing_image=self._config.missing_image,
            sized_volumes=self._config.volumes == "image",
            dns_address=str(self._config.dns_address),
            api_endpoint=(str(self._config.api_vpc_address), VPC_API_PORT),
        )

    def policy_config(self, node: ResolvedNode) -> PolicyConfig:
        """What the policies of a node are told."""
        return PolicyConfig(node.name, self._plan.node_path(node.name), self._directories.node(node.name))

    def _pods_around(self, node: ResolvedNode) -> IPv4Network:
        """The range that the node's is carved from; of a node without pods of its own, itself."""
        subnet = self._config.subnet(node.subnet)
        networks = (*((subnet.pod_range,) if subnet.pod_range else ()), *subnet.secondary.values())
        own = node.pod_range
        around = (network for network in networks if own is not None and own.subnet_of(network))
        return next(around, IPv4Network(node.address))

    def proxy_config(self, node: ResolvedNode) -> ProxyConfig:
        """What the Service proxy of a node is told."""
        return ProxyConfig(
            node_name=node.name,
            namespace=self._plan.node_path(node.name),
            node_ip=str(node.address),
            local_traffic=LocalTraffic.by_cidr(str(self._pods_around(node))),
            zone=node.zone,
            # In an overlay the masquerading is flannel's.
            non_masquerade=None
            if self._plan.overlay
            else tuple(str(network) for network in self._config.ranges().values()),
            changes_file=self._directories.node(node.name) / PROXY_CHANGES,
        )
