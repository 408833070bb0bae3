"""The rules of one Service port, as kube-proxy v1.37 in iptables mode writes them: pure text from plain values.

The source for chains, order, marks and comments is upstream's pkg/proxy/iptables/proxier.go. A rule is one line of
iptables-restore's input, beginning "-A CHAIN". What depends on the whole table stands in `ruleset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network

from controlplane.proxy import names
from controlplane.proxy.endpoints import Chosen
from controlplane.proxy.model import Endpoint, ServicePort

KUBE_SERVICES = "KUBE-SERVICES"
KUBE_EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
KUBE_NODEPORTS = "KUBE-NODEPORTS"
KUBE_MARK_MASQ = "KUBE-MARK-MASQ"
KUBE_PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"

NFACCT_LOCALHOST = "localhost_nps_accepted_pkts"


@dataclass(frozen=True, slots=True)
class LocalTraffic:
    """How a pod's own traffic is told from the rest: two matches that exclude each other."""

    is_local: str
    is_not_local: str

    @classmethod
    def by_cidr(cls, cidr: str) -> LocalTraffic:
        """kube-proxy's modes ClusterCIDR and NodeCIDR: by source address."""
        return cls(f"-s {cidr}", f"! -s {cidr}")

    @classmethod
    def by_bridge(cls, ifname: str) -> LocalTraffic:
        """kube-proxy's mode BridgeInterface: by the bridge that pods are on, e.g. "cbr0"."""
        return cls(f"-i {ifname}", f"! -i {ifname}")


@dataclass(frozen=True, slots=True)
class Style:
    """What is the same for all Services of a sync, and for all nodes of a cluster."""

    local_traffic: LocalTraffic
    masquerade_all: bool = False
    comments: bool = True
    """False in a large cluster: the rules per endpoint then carry none."""
    nfacct: bool = False
    """Whether the kernel counts packets in nfacct objects, which kube-proxy then refers to."""


@dataclass(slots=True)
class PortRules:
    """Lines by where they belong: whole chains in the nat table, and pieces of the chains that Services share."""

    chains: dict[str, list[str]] = field(default_factory=dict)
    nat_services: list[str] = field(default_factory=list)
    nat_nodeports: list[str] = field(default_factory=list)
    filter_services: list[str] = field(default_factory=list)
    filter_external: list[str] = field(default_factory=list)
    filter_nodeports: list[str] = field(default_factory=list)
    filter_firewall: list[str] = field(default_factory=list)


@cache
def probability(count: int) -> str:
    """One chance in `count`, with the digits that kube-proxy writes; iptables-save shows 3 as 0.33333333349."""
    return f"{1 / count:.10f}"


def port_rules(port: ServicePort, chosen: Chosen, style: Style, node_ip: str) -> PortRules:
    """Every rule of `port`, given the endpoints chosen for this node."""
    return _Writer(port, chosen, style, node_ip).write()


class _Writer:
    """Writes one port's rules; the attributes name the decisions that upstream's code names."""

    def __init__(self, port: ServicePort, chosen: Chosen, style: Style, node_ip: str) -> None:
        self.port = port
        self.chosen = chosen
        self.style = style
        self.node_ip = node_ip
        self.rules = PortRules()
        self.endpoint_chains = {
            e.address: names.endpoint_chain(port.text, port.protocol, e.address) for e in chosen.reachable
        }
        self.match = f"-m {port.protocol} -p {port.protocol}"
        self.cluster_chain = names.CLUSTER_POLICY + port.hash
        self.local_chain = names.LOCAL_POLICY + port.hash
        self.external_chain = names.EXTERNAL + port.hash
        self.firewall_chain = names.FIREWALL + port.hash
        self.internal_chain = self.local_chain if port.internal_local else self.cluster_chain
        self.has_internal = chosen.exist and not (port.internal_local and not chosen.local)
        self.has_external = chosen.exist and not (port.external_local and not chosen.local)
        self.uses_firewall = chosen.exist and bool(port.load_balancer_ips and port.source_ranges)

    def write(self) -> PortRules:
        # Chains come into being in the order in which upstream creates them.
        if self.chosen.exist and self.port.externally_accessible:
            self.rules.chains[self.external_chain] = self._external_chain()
        if self.uses_firewall:
            self.rules.chains[self.firewall_chain] = self._firewall_chain()
        if self.chosen.cluster and self.port.uses_cluster_endpoints:
            self.rules.chains[self.cluster_chain] = self._policy_chain(self.cluster_chain, self.chosen.cluster)
        if self.chosen.local and self.port.uses_local_endpoints:
            self.rules.chains[self.local_chain] = self._policy_chain(self.local_chain, self.chosen.local)
        for endpoint in self.chosen.reachable:
            chain = self.endpoint_chains[endpoint.address]
            self.rules.chains[chain] = self._endpoint_chain(chain, endpoint)
        self._capture_cluster_ip()
        self._capture_external_addresses()
        self._capture_node_port()
        return self.rules

    def _capture_cluster_ip(self) -> None:
        port = self.port
        target = f"{self.match} -d {port.cluster_ip} --dport {port.port}"
        if self.has_internal:
            self.rules.nat_services.append(
                f'-A {KUBE_SERVICES} -m comment --comment "{port.text} cluster IP" {target} -j {self.internal_chain}'
            )
        else:
            comment, verdict = self._refusal()
            self.rules.filter_services.append(
                f'-A {KUBE_SERVICES} -m comment --comment "{comment}" {target} -j {verdict}'
            )

    def _capture_external_addresses(self) -> None:
        port = self.port
        load_balancer_chain = self.firewall_chain if self.uses_firewall else self.external_chain
        for address in port.external_ips:
            self._capture_address(address, "external IP", self.external_chain)
        for address in port.load_balancer_ips:
            self._capture_address(address, "loadbalancer IP", load_balancer_chain)
            if self.uses_firewall:
                self.rules.filter_firewall.append(
                    f"-A {KUBE_PROXY_FIREWALL} -m comment --comment "
                    f'"{port.text} traffic not accepted by {self.firewall_chain}" '
                    f"{self.match} -d {address} --dport {port.port} -j DROP"
                )

    def _capture_address(self, address: str, what: str, chain: str) -> None:
        target = f"{self.match} -d {address} --dport {self.port.port}"
        if self.chosen.exist:
            self.rules.nat_services.append(
                f'-A {KUBE_SERVICES} -m comment --comment "{self.port.text} {what}" {target} -j {chain}'
            )
        if not self.has_external:
            comment, verdict = self._refusal()
            self.rules.filter_external.append(
                f'-A {KUBE_EXTERNAL_SERVICES} -m comment --comment "{comment}" {target} -j {verdict}'
            )

    def _capture_node_port(self) -> None:
        port = self.port
        if port.node_port:
            start = f"-A {KUBE_NODEPORTS} -m comment --comment {port.text} {self.match}"
            if self.chosen.exist and self.style.nfacct:
                self.rules.nat_nodeports.append(
                    f"{start} -d 127.0.0.0/8 --dport {port.node_port} "
                    f"-m nfacct --nfacct-name {NFACCT_LOCALHOST} -j {self.external_chain}"
                )
            if self.chosen.exist:
                self.rules.nat_nodeports.append(f"{start} --dport {port.node_port} -j {self.external_chain}")
            if not self.has_external:
                comment, verdict = self._refusal()
                self.rules.filter_external.append(
                    f'-A {KUBE_EXTERNAL_SERVICES} -m comment --comment "{comment}" '
                    f"-m addrtype --dst-type LOCAL {self.match} --dport {port.node_port} -j {verdict}"
                )
        if port.health_check_node_port:
            self.rules.filter_nodeports.append(
                f'-A {KUBE_NODEPORTS} -m comment --comment "{port.text} health check node port" '
                f"-m tcp -p tcp --dport {port.health_check_node_port} -j ACCEPT"
            )

    def _refusal(self) -> tuple[str, str]:
        """Comment and verdict for traffic that finds no endpoint: refused if there is none at all, else dropped."""
        if self.chosen.exist:
            return f"{self.port.text} has no local endpoints", "DROP"
        return f"{self.port.text} has no endpoints", "REJECT"

    def _external_chain(self) -> list[str]:
        chain, text, local = self.external_chain, self.port.text, self.style.local_traffic
        if self.port.external_local:
            whose = f"for {text} external destinations"
            lines = [
                # A pod goes as if it had gone out to the load balancer and come back: no policy applies.
                f'-A {chain} -m comment --comment "pod traffic {whose}" {local.is_local} -j {self.cluster_chain}',
                f'-A {chain} -m comment --comment "masquerade LOCAL traffic {whose}" '
                f"-m addrtype --src-type LOCAL -j {KUBE_MARK_MASQ}",
                f'-A {chain} -m comment --comment "route LOCAL traffic {whose}" '
                f"-m addrtype --src-type LOCAL -j {self.cluster_chain}",
            ]
        else:
            comment = f"masquerade traffic for {text} external destinations"
            lines = [f'-A {chain} -m comment --comment "{comment}" -j {KUBE_MARK_MASQ}']
        if self.has_external:
            lines.append(f"-A {chain} -j {self.local_chain if self.port.external_local else self.cluster_chain}")
        return lines

    def _firewall_chain(self) -> list[str]:
        port, chain = self.port, self.firewall_chain
        start = f'-A {chain} -m comment --comment "{port.text} loadbalancer IP"'
        sources = list(port.source_ranges)
        node = IPv4Address(self.node_ip)
        if any(node in IPv4Network(source) for source in port.source_ranges):
            # A node's own request to the address may loop back with that address as its source.
            sources += port.load_balancer_ips
        last = f"other traffic to {port.text} will be dropped by {KUBE_PROXY_FIREWALL}"
        return [
            *(f"{start} -s {source} -j {self.external_chain}" for source in sources),
            f'-A {chain} -m comment --comment "{last}"',
        ]

    def _policy_chain(self, chain: str, endpoints: Sequence[Endpoint]) -> list[str]:
        port = self.port
        lines = []
        if chain == self.internal_chain and self.has_internal:
            condition = "" if self.style.masquerade_all else f" {self.style.local_traffic.is_not_local}"
            lines.append(
                f'-A {chain} -m comment --comment "{port.text} cluster IP" {self.match} '
                f"-d {port.cluster_ip} --dport {port.port}{condition} -j {KUBE_MARK_MASQ}"
            )
        targets = [(self._endpoint_comment(endpoint), self.endpoint_chains[endpoint.address]) for endpoint in endpoints]
        if port.affinity_seconds is not None:
            lines += [
                f"-A {chain}{comment} -m recent --name {target} "
                f"--rcheck --seconds {port.affinity_seconds} --reap -j {target}"
                for comment, target in targets
            ]
        for left, (comment, target) in zip(range(len(targets), 0, -1), targets, strict=True):
            chance = f" -m statistic --mode random --probability {probability(left)}" if left > 1 else ""
            lines.append(f"-A {chain}{comment}{chance} -j {target}")
        return lines

    def _endpoint_chain(self, chain: str, endpoint: Endpoint) -> list[str]:
        comment = f" -m comment --comment {self.port.text}" if self.style.comments else ""
        remember = f" -m recent --name {chain} --set" if self.port.affinity_seconds is not None else ""
        return [
            f"-A {chain}{comment} -s {endpoint.ip} -j {KUBE_MARK_MASQ}",
            f"-A {chain}{comment}{remember} {self.match} -j DNAT --to-destination {endpoint.address}",
        ]

    def _endpoint_comment(self, endpoint: Endpoint) -> str:
        return f' -m comment --comment "{self.port.text} -> {endpoint.address}"' if self.style.comments else ""
