"""The NetworkPolicies of a cluster by the chains and sets that they have: what a NETSIM-* name stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.api.kinds import NAMESPACE, NETWORK_POLICY, POD
from controlplane.explain.world import World
from controlplane.policy.model import (
    Block,
    NamedPort,
    Pod,
    Pods,
    Policy,
    Selection,
    dns_pod,
    read_pod,
    read_policy,
)
from controlplane.policy.rules import NodePolicy, Posture, block_set, compile_node, peer_set, port_set
from controlplane.policy.sets import parse_member


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a set in the kernel, with the packets that its own counter has."""

    entry: str
    comment: str
    packets: int


class PolicyIndex:
    """All of a cluster's policies and pods, read once."""

    def __init__(self, world: World) -> None:
        self.policies = sorted(map(read_policy, world.objects(NETWORK_POLICY)), key=lambda policy: policy.key)
        read = [read_pod(pod) for pod in world.objects(POD)]
        self.pods = {pod.uid: pod for pod in (dns_pod(world.dns_address()), *read) if pod is not None}
        self._labels = {
            each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in world.objects(NAMESPACE)
        }
        self.selections = self._selections()

    def selecting(self, pod: Pod) -> list[Policy]:
        """The policies that select a pod."""
        return [each for each in self.policies if each.namespace == pod.namespace and each.selects(pod.labels)]

    def selected(self, policy: Policy) -> list[Pod]:
        """The pods that a policy selects, those of nodes only."""
        found = [pod for pod in self.pods.values() if pod.node and policy in self.selecting(pod)]
        return sorted(found, key=lambda pod: (pod.namespace, pod.name))

    def members(self, selection: Selection) -> Mapping[str, Pod]:
        """The pods that a selection takes."""
        return {uid: pod for uid, pod in self.pods.items() if selection.matches(pod, self.labels(pod.namespace))}

    def node(self, node: str) -> NodePolicy:
        """What the rules of a node should be."""
        here = [(pod, self.selecting(pod)) for pod in self.pods.values() if pod.node == node]
        return compile_node([(pod, policies) for pod, policies in here if policies], self.members)

    def postures(self, node: str) -> Mapping[str, Posture]:
        """The chains of a node by name, and for which policies they are."""
        return self.node(node).postures

    def labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace."""
        return self._labels.get(namespace, {})

    def _selections(self) -> dict[str, str]:
        """Sets of peers and ports by name, with words."""
        found: dict[str, str] = {}
        for policy in self.policies:
            for rule in (*(policy.ingress or ()), *(policy.egress or ())):
                for peer in rule.peers or ():
                    if isinstance(peer, Pods):
                        found[peer_set(peer)] = peer.text
                    elif isinstance(peer, Block) and peer.excepts:
                        found[block_set(peer)] = peer.text
                for port in rule.ports or ():
                    if port.name:
                        named = NamedPort(port.protocol, port.name)
                        found[port_set(named)] = f"pods with a {port.protocol.upper()} port named {port.name}"
        return found


def set_members(saved: str) -> dict[str, list[Member]]:
    """The members of every set in the output of `ipset save`."""
    found: dict[str, list[Member]] = {}
    for line in saved.splitlines():
        command, _, rest = line.partition(" ")
        name, _, options = rest.partition(" ")
        if command == "create":
            found[name] = []
        elif command == "add":
            found[name].append(Member(*parse_member(options)))
    return found
