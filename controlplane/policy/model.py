"""What rules need to know of a NetworkPolicy and of a pod, read from the API objects.

Nothing here depends on the node. Only IPv4 is read: a peer of the other family matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any, Literal

from controlplane.api.selectors import LabelPredicate, compile_selector, format_selector
from controlplane.api.types import Object

Direction = Literal["ingress", "egress"]
Labels = Mapping[str, str]
PolicyKey = tuple[str, str]
"""Namespace and name of a policy."""

LOG_ANNOTATION = "netsim.io/log-denied"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
ENDED_PHASES = frozenset(("Succeeded", "Failed"))


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that has an address of its own. `ports` are (name, protocol in lower case, number) of named ports."""

    uid: str
    namespace: str
    name: str
    node: str
    address: str
    labels: Labels = field(hash=False)
    ports: tuple[tuple[str, str, int], ...] = ()

    @property
    def text(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pods:
    """A peer by selectors: pods of `namespace`, or, where that is "", of the namespaces that `in_namespaces` takes."""

    namespace: str
    namespace_selector: str
    pod_selector: str
    in_namespaces: LabelPredicate = field(compare=False, repr=False)
    takes: LabelPredicate = field(compare=False, repr=False)

    def matches(self, pod: Pod, namespace_labels: Labels) -> bool:
        """Whether the pod is such a peer, given the labels of its namespace."""
        if self.namespace:
            return pod.namespace == self.namespace and self.takes(pod.labels)
        return self.in_namespaces(namespace_labels) and self.takes(pod.labels)

    @property
    def text(self) -> str:
        """For people."""
        pods = f"pods {self.pod_selector}" if self.pod_selector != _EVERY else "all pods"
        if self.namespace:
            return f"{pods} in {self.namespace}"
        if self.namespace_selector == _EVERY:
            return f"{pods} in all namespaces"
        return f"{pods} in namespaces {self.namespace_selector}"


@dataclass(frozen=True, slots=True)
class Block:
    """A peer by address: a range without some parts of it."""

    cidr: str
    excepts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For people."""
        return self.cidr + (f" except {', '.join(self.excepts)}" if self.excepts else "")


@dataclass(frozen=True, slots=True)
class Port:
    """Ports of one protocol: all of them, one, a range, or the one of a name in the pod that is asked."""

    protocol: str
    first: int = 0
    last: int = 0
    name: str = ""

    @property
    def text(self) -> str:
        """For people."""
        number = f"{self.first}-{self.last}" if self.last != self.first else str(self.first or "")
        return f"{self.protocol.upper()} {self.name or number}".rstrip()


@dataclass(frozen=True, slots=True)
class NamedPort:
    """Every pod that has a port of this name and protocol."""

    protocol: str
    name: str

    def matches(self, pod: Pod, namespace_labels: Labels) -> bool:
        """Whether the pod has it."""
        return any(self.protocol == protocol and self.name == name for name, protocol, _ in pod.ports)

    def numbers(self, pod: Pod) -> list[int]:
        """The ports that the name stands for in a pod."""
        return [number for name, protocol, number in pod.ports if (name, protocol) == (self.name, self.protocol)]


Peer = Pods | Block
Selection = Pods | NamedPort
"""What takes some of a cluster's pods."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed; None stands for every peer, and for every port of every protocol."""

    peers: tuple[Peer, ...] | None
    ports: tuple[Port, ...] | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One NetworkPolicy. A direction is None where the policy says nothing about it; () denies all.

    `log` says that what it denies is to be logged; its annotation `LOG_ANNOTATION` with "false" says no.
    """

    namespace: str
    name: str
    pod_selector: str
    selects: LabelPredicate = field(compare=False, repr=False)
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None
    log: bool = True

    @property
    def key(self) -> PolicyKey:
        return self.namespace, self.name

    @property
    def text(self) -> str:
        return f"{self.namespace}/{self.name}"

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        return self.ingress if direction == "ingress" else self.egress


_EVERY = ""


def read_policy(obj: Object) -> Policy:
    """The policy that an object describes."""
    metadata, spec = obj["metadata"], obj["spec"]
    selector = spec.get("podSelector") or {}
    directions = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    namespace: str = metadata["namespace"]
    return Policy(
        namespace=namespace,
        name=metadata["name"],
        pod_selector=_selector_text(selector),
        selects=compile_selector(selector),
        ingress=_rules(spec.get("ingress"), "from", namespace) if "Ingress" in directions else None,
        egress=_rules(spec.get("egress"), "to", namespace) if "Egress" in directions else None,
        log=(metadata.get("annotations") or {}).get(LOG_ANNOTATION) != "false",
    )


def read_pod(pod: Object, address: str = "") -> Pod | None:
    """The pod, at `address` or at that of its status; None if it has none, has ended, or is on its node's network."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ENDED_PHASES:
        return None
    address = address or first_ipv4(found["ip"] for found in status.get("podIPs") or ())
    if not address:
        return None
    return Pod(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        node=spec.get("nodeName") or "",
        address=address,
        labels=metadata.get("labels") or {},
        ports=tuple(_named_ports(spec)),
    )


def is_same_pod(shown: Object, pod: Object) -> bool:
    """Whether `shown` is what the API has of a pod; its node knows a static pod by the digest that the mirror bears."""
    metadata = shown["metadata"]
    return pod["metadata"]["uid"] in (metadata["uid"], (metadata.get("annotations") or {}).get(MIRROR_ANNOTATION))


def dns_pod(address: str) -> Pod:
    """The DNS as policies see it: elsewhere it is a pod of kube-system, and manifests name it by this label."""
    ports = (("dns", "udp", 53), ("dns-tcp", "tcp", 53))
    return Pod("dns", "kube-system", "kube-dns", "", address, {"k8s-app": "kube-dns"}, ports)


def first_ipv4(addresses: Iterable[str]) -> str:
    """The first IPv4 address, or ""."""
    return next((address for address in addresses if _parsed(IPv4Address, address)), "")


def _rules(rules: Iterable[Mapping[str, Any]] | None, field_name: str, namespace: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            peers=tuple(p for p in (_peer(p, namespace) for p in rule[field_name]) if p)
            if rule.get(field_name)
            else None,
            ports=tuple(_port(port) for port in rule["ports"]) if rule.get("ports") else None,
        )
        for rule in rules or ()
    )


def _peer(peer: Mapping[str, Any], namespace: str) -> Peer | None:
    block = peer.get("ipBlock")
    if block is not None:
        return _block(block)
    in_namespaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    pods = {} if pods is None else pods
    return Pods(
        namespace=namespace if in_namespaces is None else "",
        namespace_selector=_selector_text(in_namespaces or {}),
        pod_selector=_selector_text(pods),
        in_namespaces=compile_selector(in_namespaces),
        takes=compile_selector(pods),
    )


def _block(block: Mapping[str, Any]) -> Block | None:
    cidr = _parsed(IPv4Network, block["cidr"])
    if cidr is None:
        return None
    excepts = (_parsed(IPv4Network, each) for each in block.get("except") or ())
    return Block(str(cidr), tuple(sorted(str(each) for each in excepts if each is not None)))


def _port(port: Mapping[str, Any]) -> Port:
    protocol, number = (port.get("protocol") or "TCP").lower(), port.get("port")
    if number is None:
        return Port(protocol)
    if isinstance(number, str):
        return Port(protocol, name=number)
    return Port(protocol, number, port.get("endPort") or number)


def _named_ports(spec: Mapping[str, Any]) -> Iterable[tuple[str, str, int]]:
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    for container in (*sidecars, *spec["containers"]):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield port["name"], (port.get("protocol") or "TCP").lower(), port["containerPort"]


def _selector_text(selector: Mapping[str, Any]) -> str:
    return format_selector(selector) if selector.get("matchLabels") or selector.get("matchExpressions") else _EVERY


def _parsed(parse: Callable[..., Any], text: str) -> Any:
    try:
        return parse(text, strict=False) if parse is IPv4Network else parse(text)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None
