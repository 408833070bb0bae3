"""What the rules need to know of a Service and its EndpointSlices, read from the API objects.

Nothing here depends on the node: all proxies of one process share these values. Only IPv4 is read;
what is of another family, or of no use to a proxy (headless, ExternalName, another proxy's), is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from controlplane.api.types import Object
from controlplane.proxy import names

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
FOREIGN_PROXY_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"

DEFAULT_AFFINITY_SECONDS = 10_800

ServiceKey = tuple[str, str]
"""Namespace and name of a Service."""

PortKey = tuple[str, str]
"""Name and protocol (lower case) of one port of a Service."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service. `affinity_seconds` is None without session affinity; `protocol` is lower case."""

    namespace: str
    name: str
    port_name: str
    protocol: str
    port: int
    cluster_ip: str
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    internal_local: bool = False
    external_local: bool = False
    affinity_seconds: int | None = None
    health_check_node_port: int = 0
    text: str = field(init=False)
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        text = names.port_text(self.namespace, self.name, self.port_name)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "hash", names.chain_hash(text + self.protocol))

    @property
    def key(self) -> PortKey:
        return self.port_name, self.protocol

    @property
    def externally_accessible(self) -> bool:
        """Whether anything but the cluster IP leads here."""
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Whether any traffic may go to endpoints on other nodes. With an external policy of Local it still
        may: what comes from the cluster itself to an external address is short-circuited."""
        return not self.internal_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether any traffic may go to this node's endpoints only."""
        return self.internal_local or (self.external_local and self.externally_accessible)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that leads here on `port`."""
        return (self.cluster_ip, *self.external_ips, *self.load_balancer_ips)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that a Service port leads to, with what decides whether it is used. `address` is "ip:port"."""

    ip: str
    port: int
    node_name: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zone_hints: frozenset[str] = frozenset()
    node_hints: frozenset[str] = frozenset()
    address: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", f"{self.ip}:{self.port}")

    @property
    def draining(self) -> bool:
        """Whether it still answers while it terminates: the fall-back when nothing is ready."""
        return self.serving and self.terminating


EndpointMap = Mapping[PortKey, tuple[Endpoint, ...]]


def read_service(service: Object) -> tuple[ServicePort, ...]:
    """The ports of `service` that a proxy serves: none when it has no cluster IP or belongs to another proxy."""
    spec = service.get("spec", {})
    labels = service["metadata"].get("labels") or {}
    cluster_ip = spec.get("clusterIP", "")
    if spec.get("type") == "ExternalName" or FOREIGN_PROXY_LABEL in labels or not is_ipv4(cluster_ip):
        return ()
    node_ports = spec.get("type") in ("NodePort", "LoadBalancer")
    external_ips = tuple(filter(is_ipv4, spec.get("externalIPs") or ()))
    external_local = spec.get("externalTrafficPolicy") == "Local" and (node_ports or bool(external_ips))
    load_balancer = spec.get("type") == "LoadBalancer"
    return tuple(
        ServicePort(
            namespace=service["metadata"]["namespace"],
            name=service["metadata"]["name"],
            port_name=port.get("name") or "",
            protocol=port.get("protocol", "TCP").lower(),
            port=port["port"],
            cluster_ip=cluster_ip,
            node_port=port.get("nodePort") or 0,
            external_ips=external_ips,
            load_balancer_ips=_load_balancer_ips(service),
            source_ranges=_ranges(spec.get("loadBalancerSourceRanges") or ()),
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=external_local,
            affinity_seconds=_affinity_seconds(spec),
            health_check_node_port=(spec.get("healthCheckNodePort") or 0) if load_balancer and external_local else 0,
        )
        for port in spec.get("ports") or ()
    )


def read_endpoints(slices: Iterable[Object]) -> dict[PortKey, tuple[Endpoint, ...]]:
    """The endpoints of one Service by port, in kube-proxy's order: sorted by address as text, each once."""
    found: dict[PortKey, dict[str, Endpoint]] = {}
    for piece in slices:
        if piece.get("addressType") != "IPv4":
            continue
        for port in piece.get("ports") or ():
            number = port.get("port")
            if not number:
                continue
            of_port = found.setdefault((port.get("name") or "", port.get("protocol", "TCP").lower()), {})
            for item in piece.get("endpoints") or ():
                endpoint = _read_endpoint(item, number)
                known = of_port.get(endpoint.address)
                # Two slices may name one address while a controller moves it between them.
                if known is None or (endpoint.ready and not known.ready):
                    of_port[endpoint.address] = endpoint
    return {key: tuple(endpoints[address] for address in sorted(endpoints)) for key, endpoints in found.items()}


def service_of(endpoint_slice: Object) -> ServiceKey | None:
    """The Service that a slice belongs to, None when no proxy serves it."""
    labels = endpoint_slice["metadata"].get("labels") or {}
    name = labels.get(SERVICE_NAME_LABEL)
    if not name or HEADLESS_LABEL in labels or FOREIGN_PROXY_LABEL in labels:
        return None
    return endpoint_slice["metadata"]["namespace"], name


def is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _read_endpoint(item: Mapping[str, Any], port: int) -> Endpoint:
    conditions = item.get("conditions") or {}
    hints = item.get("hints") or {}
    return Endpoint(
        ip=item["addresses"][0],
        port=port,
        node_name=item.get("nodeName") or "",
        ready=conditions.get("ready") is not False,
        serving=conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
        zone_hints=frozenset(zone["name"] for zone in hints.get("forZones") or ()),
        node_hints=frozenset(node["name"] for node in hints.get("forNodes") or ()),
    )


def _load_balancer_ips(service: Object) -> tuple[str, ...]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(
        entry["ip"] for entry in ingress if is_ipv4(entry.get("ip") or "") and entry.get("ipMode", "VIP") == "VIP"
    )


def _ranges(texts: Iterable[str]) -> tuple[str, ...]:
    ranges = []
    for text in texts:
        try:
            ranges.append(str(IPv4Network(text.strip(), strict=False)))
        except (AddressValueError, NetmaskValueError):
            continue  # of the other family: the API has refused what is neither
    return tuple(ranges)


def _affinity_seconds(spec: Mapping[str, Any]) -> int | None:
    if spec.get("sessionAffinity") != "ClientIP":
        return None
    configured = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    return configured or DEFAULT_AFFINITY_SECONDS
