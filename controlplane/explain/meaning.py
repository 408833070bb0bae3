"""What one rule of a node is for: whose it is, what share of packets it takes, and why it stands there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.explain.policies import PolicyIndex
from controlplane.explain.saved import Line
from controlplane.explain.services import ServiceChain, ServiceIndex
from controlplane.policy import names as policy_names
from controlplane.policy.rules import Posture
from controlplane.proxy import names
from controlplane.proxy.model import ServicePort

BUILT_IN = {
    "PREROUTING": "that come in, before they are routed",
    "INPUT": "for the node itself",
    "FORWARD": "passing through",
    "OUTPUT": "from the node itself",
    "POSTROUTING": "that go out, after they are routed",
}

CHAINS = {
    "KUBE-SERVICES": "finds the Service that an address belongs to",
    "KUBE-EXTERNAL-SERVICES": "refuses what comes from outside to Services without endpoints",
    "KUBE-NODEPORTS": "finds the Service that a node port belongs to",
    "KUBE-FORWARD": "accepts what Services translated, and replies",
    "KUBE-PROXY-FIREWALL": "drops what loadBalancerSourceRanges do not allow",
    "KUBE-FIREWALL": "keeps neighbours from the node's 127.0.0.1",
    "KUBE-POSTROUTING": "gives marked packets the node's address",
    "KUBE-MARK-MASQ": "marks packets that shall get the node's address (0x4000)",
    "KUBE-PROXY-CANARY": "is empty; when it is gone, somebody flushed the tables",
    "KUBE-KUBELET-CANARY": "is empty; when it is gone, somebody flushed the tables",
    "KUBE-IPTABLES-HINT": "is empty; tells others which iptables the kubelet uses",
    "IP-MASQ": "gives what leaves the VPC's ranges the node's address, as GKE's ip-masq-agent",
    "FLANNEL-POSTRTG": "gives what pods send to others than pods the node's address, as flannel",
    "CNI-HOSTPORT-DNAT": "finds the pod that a host port belongs to, as the CNI plugin portmap",
    "CNI-HOSTPORT-SETMARK": "marks packets to host ports that shall get the node's address (0x2000)",
    "CNI-HOSTPORT-MASQ": "gives packets to host ports that are marked the node's address",
    policy_names.ROOT: "sends packets of pods that NetworkPolicies select to the chains of those",
}

HOST_PORTS = "CNI-DN-"
"""Begins the chain of one pod's host ports."""

_REASONS = (
    (r"^no endpoints$", "the Service has no endpoint: refused at once, so that clients need not wait"),
    (r"^no local endpoints$", "its traffic policy is Local and this node has no endpoint: dropped"),
    (r"^cluster IP$", "what is sent to the Service's cluster IP"),
    (r"^external IP$", "what is sent to an external IP of the Service"),
    (r"^loadbalancer IP$", "what is sent to the Service's load-balancer address"),
    (r"^health check node port$", "lets load balancers ask for the node's health"),
    (r"^traffic not accepted by", "what loadBalancerSourceRanges did not let in"),
)
_GENERAL = {
    "KUBE-POSTROUTING": {
        "RETURN": "packets without the mark 0x4000 keep their source",
        "MARK": "takes the mark away, so that it is done once",
        "MASQUERADE": "the source becomes the node's address, so that answers come back through this node",
    },
    "KUBE-MARK-MASQ": {"MARK": "sets the mark 0x4000, on which KUBE-POSTROUTING acts"},
    "KUBE-FORWARD": {"DROP": "packets that belong to no connection", "ACCEPT": "translated packets, and replies"},
    "KUBE-FIREWALL": {"DROP": "keeps neighbours from services on the node's 127.0.0.1"},
    "IP-MASQ": {
        "RETURN": "within these ranges a pod is seen with its own address",
        "MASQUERADE": "elsewhere it is seen with its node's",
    },
    "CNI-HOSTPORT-SETMARK": {"MARK": "sets the mark 0x2000, on which CNI-HOSTPORT-MASQ acts"},
    "CNI-HOSTPORT-MASQ": {"MASQUERADE": "the source becomes the node's address, so that answers come back through it"},
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """`reason` is a sentence; the rest is None where it does not apply. `share` is of all packets of the Service."""

    reason: str
    service: str | None = None
    port: str | None = None
    endpoint: str | None = None
    pod: str | None = None
    probability: float | None = None
    share: float | None = None
    policies: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For JSON, without what does not apply."""
        fields = ("service", "port", "endpoint", "pod", "probability", "share", "policies")
        return {"reason": self.reason} | {name: value for name in fields if (value := getattr(self, name))}


class Interpreter:
    """Tells what rules of one node are for."""

    def __init__(self, services: ServiceIndex, policies: PolicyIndex, node: str, lines: Sequence[Line]) -> None:
        self._services = services
        self._policies = policies
        self._node = node
        self.lines = lines
        self.postures: Mapping[str, Posture] = policies.postures(node)

    def chain(self, name: str) -> str:
        """What a chain is for, in words."""
        found = self._services.chains.get(name)
        if found is not None:
            of = f" {found.endpoint.address} ({self._pod(found)})" if found.endpoint else ""
            return f"{found.purpose}{of} of Service {found.port.text}"
        posture = self.postures.get(name)
        if posture is not None:
            return f"decides on {posture.direction} of the pods that {posture.text} select"
        if name in BUILT_IN:
            return f"the kernel's own chain for packets {BUILT_IN[name]}"
        if name.startswith(HOST_PORTS):
            return f"the host ports of {self._mapped(name)}"
        return CHAINS.get(name, "")

    def set(self, name: str) -> str:
        """What a set is for, in words."""
        posture = self.postures.get(name)
        if posture is not None:
            return f"this node's pods whose {posture.direction} {posture.text} decide, with their denied packets"
        return self._policies.selections.get(name, "")

    def chains_of(self, port: ServicePort) -> Sequence[str]:
        """The chains that a Service's port may have, in a packet's order."""
        return self._services.chains_of(port)

    def rule(self, line: Line) -> Meaning:
        """What one rule is for."""
        if line.chain.startswith(policy_names.PREFIX):
            return self._policy_rule(line)
        if HOST_PORTS in f"{line.chain} {line.target}":
            return self._host_port(line)
        here, there = self._services.chains.get(line.chain), self._services.chains.get(line.target)
        if here is not None:
            return self._inside(line, here, there)
        if there is not None:
            return self._front(line, there)
        return self._shared(line)

    def _front(self, line: Line, there: ServiceChain) -> Meaning:
        port = there.port
        what = line.comment.removeprefix(port.text).strip()
        if line.chain == "KUBE-NODEPORTS":
            reason = f"what is sent to node port {port.node_port} of this node"
        else:
            reason = _reason(what) or what
        return Meaning(f"{reason} goes on to {there.name}, which {there.purpose}", port.text, _port_text(there))

    def _inside(self, line: Line, here: ServiceChain, there: ServiceChain | None) -> Meaning:
        port, text = here.port, _port_text(here)
        if here.endpoint is not None:
            pod = self._pod(here)
            if line.target == "DNAT":
                reason = f"the destination becomes {here.endpoint.address}, {pod}"
            else:
                reason = "a pod that is led to itself gets the node's address, else it would answer itself (hairpin)"
            return Meaning(reason, port.text, text, here.endpoint.address, pod)
        if there is not None and there.endpoint is not None:
            return self._choice(line, here, there)
        if line.target == "KUBE-MARK-MASQ":
            reason = "marked, to get the node's address: " + (
                "it comes from the node itself"
                if "--src-type LOCAL" in line.text
                else "the endpoint must answer through this node, which knows the translation"
            )
        elif here.name.startswith(names.FIREWALL):
            reason = "an allowed source range" if there is not None else "what reaches this rule is dropped later"
        elif there is not None:
            reason = f"goes on to {there.name}, which {there.purpose}"
        else:
            reason = line.comment
        return Meaning(reason, port.text, text)

    def _choice(self, line: Line, here: ServiceChain, there: ServiceChain) -> Meaning:
        assert there.endpoint is not None
        others = [x for x in self.lines if x.chain == here.name and x.target.startswith(names.ENDPOINT)]
        affine = "--rcheck" in line.text
        choices = [x for x in others if "--rcheck" not in x.text]
        position = next((number for number, x in enumerate(choices, 1) if x.text == line.text), 1)
        count = max(len(choices), 1)
        if affine:
            reason = (
                f"session affinity: a client that was led here within {line.option('--seconds')} s comes here again"
            )
            return self._endpoint(reason, there, None, None)
        left = count - position + 1
        chance = 1 / left
        reason = (
            f"endpoint {position} of {count}: takes 1 in {left} of what comes to this rule, {100 / count:.1f} % of all"
        )
        return self._endpoint(reason, there, chance, 1 / count)

    def _endpoint(self, reason: str, chain: ServiceChain, chance: float | None, share: float | None) -> Meaning:
        assert chain.endpoint is not None
        return Meaning(
            reason, chain.port.text, _port_text(chain), chain.endpoint.address, self._pod(chain), chance, share
        )

    def _shared(self, line: Line) -> Meaning:
        for ports in self._services.ports.values():
            for port in ports:
                if line.comment.startswith(f"{port.text} "):
                    reason = _reason(line.comment.removeprefix(port.text).strip())
                    return Meaning(reason or line.comment, port.text, f"{port.port}/{port.protocol}")
        general = _GENERAL.get(line.chain, {}).get(line.target)
        if general:
            return Meaning(general)
        if line.target in CHAINS:
            return Meaning(f"goes on to {line.target}, which {CHAINS[line.target]}")
        return Meaning(line.comment or "no rule of netsim's, or one that is not known")

    def _host_port(self, line: Line) -> Meaning:
        if line.target.startswith(HOST_PORTS):
            pod = self._mapped(line.target)
            return Meaning(f"what is sent to host port {line.option('--dports')} goes on to {pod}", pod=pod)
        pod, port = self._mapped(line.chain), line.option("--dport")
        if line.target == "DNAT":
            target = line.option("--to-destination")
            return Meaning(f"host port {port}: the destination becomes {target}, {pod}", endpoint=target, pod=pod)
        return Meaning(f"host port {port}, from the node or the pod's own range: marked, to get its address", pod=pod)

    def _mapped(self, chain: str) -> str:
        """The pod that a chain of host ports leads to."""
        targets = [x.option("--to-destination") for x in self.lines if x.chain == chain and x.target == "DNAT"]
        texts = {self._services.pod_text(target.split(":")[0]) for target in targets if target}
        return next((text for text in texts if text), "no pod")

    def _policy_rule(self, line: Line) -> Meaning:
        posture = self.postures.get(line.chain)
        if posture is None:
            there = self.postures.get(line.target)
            if there is None:
                return Meaning(line.comment)
            return Meaning(
                f"{there.direction} of pods in the set {line.target} is decided by {there.text}",
                policies=tuple(policy.text for policy in there.policies),
            )
        texts = tuple(policy.text for policy in posture.policies)
        if line.target == "RETURN":
            whose = line.comment.split(" ", 1)[0]
            return Meaning(f"allowed: {line.comment}", policies=(whose,))
        if line.target == "NFLOG":
            return Meaning("tells the log of denied packets, so many a second", policies=texts)
        return Meaning(line.comment, policies=texts)

    def _pod(self, chain: ServiceChain) -> str:
        assert chain.endpoint is not None
        return self._services.pod_text(chain.endpoint.ip) or "no pod"


def _port_text(chain: ServiceChain) -> str:
    return f"{chain.port.port}/{chain.port.protocol}"


def _reason(what: str) -> str:
    what = re.sub(r"^(has|is) ", "", what)
    return next((words for pattern, words in _REASONS if re.search(pattern, what)), "")
