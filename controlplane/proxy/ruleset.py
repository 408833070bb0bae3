"""All chains of a node: those of its Services, those that Services share, and those that do not change.

Also what stands in the built-in chains: the jumps of kube-proxy, of the kubelet, and of the agent that masquerades
pods' traffic to the outside (GKE's ip-masq-agent, chain IP-MASQ). Pure text; `restore` turns it into input for
iptables-restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.proxy.rules import (
    KUBE_EXTERNAL_SERVICES,
    KUBE_MARK_MASQ,
    KUBE_NODEPORTS,
    KUBE_PROXY_FIREWALL,
    KUBE_SERVICES,
    PortRules,
)

KUBE_FORWARD = "KUBE-FORWARD"
KUBE_POSTROUTING = "KUBE-POSTROUTING"
KUBE_FIREWALL = "KUBE-FIREWALL"
IP_MASQ = "IP-MASQ"
PROXY_CANARY = "KUBE-PROXY-CANARY"
KUBELET_CANARY = "KUBE-KUBELET-CANARY"
KUBELET_HINT = "KUBE-IPTABLES-HINT"

MASQUERADE_MARK = "0x4000"
LINK_LOCAL = "169.254.0.0/16"
NFACCT_INVALID = "ct_state_invalid_dropped_pkts"

Chains = dict[str, Sequence[str]]
Ruleset = dict[str, Chains]
"""Chains by table ("mangle", "filter", "nat"), lines by chain."""


@dataclass(frozen=True, slots=True)
class Jump:
    """One rule of a built-in chain, put first ("I") or last ("A") when it is not there; `rule` has no chain."""

    table: str
    chain: str
    target: str
    rule: str
    position: str = "I"


@dataclass(frozen=True, slots=True)
class NodeRules:
    """What the chains that do not change depend on. `non_masquerade` are the destinations that see a pod's own
    address; None leaves the masquerading of pods' traffic out."""

    non_masquerade: tuple[str, ...] | None = None
    localhost_node_ports: bool = True
    conntrack_liberal: bool = False
    nfacct: bool = False


_NEW = "-m conntrack --ctstate NEW "
_PORTALS = f'{_NEW}-m comment --comment "kubernetes service portals"'
_EXTERNAL = f'{_NEW}-m comment --comment "kubernetes externally-visible service portals"'
_FIREWALL = f'{_NEW}-m comment --comment "kubernetes load balancer firewall"'
_HEALTH = '-m comment --comment "kubernetes health check service ports"'
_FORWARDING = '-m comment --comment "kubernetes forwarding rules"'
_NAT_PORTALS = '-m comment --comment "kubernetes service portals"'

# In the order in which they are put first, so that the last of a chain comes out on top: the kubelet's, which starts
# before the proxy on a real node, and then the proxy's in upstream's order.
JUMPS = (
    Jump("filter", "INPUT", KUBE_FIREWALL, ""),
    Jump("filter", "OUTPUT", KUBE_FIREWALL, ""),
    Jump("filter", "INPUT", KUBE_EXTERNAL_SERVICES, _EXTERNAL),
    Jump("filter", "FORWARD", KUBE_EXTERNAL_SERVICES, _EXTERNAL),
    Jump("filter", "INPUT", KUBE_NODEPORTS, _HEALTH),
    Jump("filter", "FORWARD", KUBE_SERVICES, _PORTALS),
    Jump("filter", "OUTPUT", KUBE_SERVICES, _PORTALS),
    Jump("filter", "FORWARD", KUBE_FORWARD, _FORWARDING),
    Jump("filter", "INPUT", KUBE_PROXY_FIREWALL, _FIREWALL),
    Jump("filter", "OUTPUT", KUBE_PROXY_FIREWALL, _FIREWALL),
    Jump("filter", "FORWARD", KUBE_PROXY_FIREWALL, _FIREWALL),
    Jump("nat", "OUTPUT", KUBE_SERVICES, _NAT_PORTALS),
    Jump("nat", "PREROUTING", KUBE_SERVICES, _NAT_PORTALS),
    Jump("nat", "POSTROUTING", KUBE_POSTROUTING, '-m comment --comment "kubernetes postrouting rules"'),
)
IP_MASQ_JUMP = Jump(
    "nat",
    "POSTROUTING",
    IP_MASQ,
    '-m comment --comment "ip-masq-agent: ensure nat POSTROUTING directs all non-LOCAL destination traffic to our '
    f'custom {IP_MASQ} chain" -m addrtype ! --dst-type LOCAL',
    "A",
)


def jumps(node: NodeRules) -> tuple[Jump, ...]:
    """The rules that must stand in the built-in chains."""
    return JUMPS if node.non_masquerade is None else (*JUMPS, IP_MASQ_JUMP)


def build(node: NodeRules, ports: Iterable[PortRules]) -> Ruleset:
    """The whole rule set; `ports` in the order in which their rules shall stand."""
    services: list[str] = []
    node_ports: list[str] = []
    filter_services: list[str] = []
    filter_external: list[str] = []
    filter_node_ports: list[str] = []
    filter_firewall: list[str] = []
    nat: Chains = {
        KUBE_SERVICES: services,
        KUBE_NODEPORTS: node_ports,
        KUBE_POSTROUTING: _POSTROUTING,
        KUBE_MARK_MASQ: (f"-A {KUBE_MARK_MASQ} -j MARK --or-mark {MASQUERADE_MARK}",),
        PROXY_CANARY: (),
        KUBELET_CANARY: (),
    }
    if node.non_masquerade is not None:
        nat[IP_MASQ] = _ip_masq(node.non_masquerade)
    for port in ports:
        nat.update(port.chains)
        services += port.nat_services
        node_ports += port.nat_nodeports
        filter_services += port.filter_services
        filter_external += port.filter_external
        filter_node_ports += port.filter_nodeports
        filter_firewall += port.filter_firewall
    services.append(_to_node_ports(node))
    return {
        "mangle": {PROXY_CANARY: (), KUBELET_CANARY: (), KUBELET_HINT: ()},
        "filter": {
            KUBE_SERVICES: filter_services,
            KUBE_EXTERNAL_SERVICES: filter_external,
            KUBE_FORWARD: _forward(node),
            KUBE_NODEPORTS: filter_node_ports,
            KUBE_PROXY_FIREWALL: filter_firewall,
            KUBE_FIREWALL: (_BLOCK_LOCALNET,),
            PROXY_CANARY: (),
            KUBELET_CANARY: (),
        },
        "nat": nat,
    }


_POSTROUTING = (
    f"-A {KUBE_POSTROUTING} -m mark ! --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j RETURN",
    # The mark goes, lest a packet that passes again be masqueraded again.
    f"-A {KUBE_POSTROUTING} -j MARK --xor-mark {MASQUERADE_MARK}",
    f'-A {KUBE_POSTROUTING} -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE '
    "--random-fully",
)
# With route_localnet, which NodePorts on localhost need, a neighbour could otherwise reach 127.0.0.1.
_BLOCK_LOCALNET = (
    f'-A {KUBE_FIREWALL} -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
)


def _to_node_ports(node: NodeRules) -> str:
    loopback = "" if node.localhost_node_ports else " ! -d 127.0.0.0/8"
    return (
        f'-A {KUBE_SERVICES} -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in '
        f'this chain" -m addrtype --dst-type LOCAL{loopback} -j {KUBE_NODEPORTS}'
    )


def _forward(node: NodeRules) -> list[str]:
    counter = f" -m nfacct --nfacct-name {NFACCT_INVALID}" if node.nfacct else ""
    invalid = [] if node.conntrack_liberal else [f"-A {KUBE_FORWARD} -m conntrack --ctstate INVALID{counter} -j DROP"]
    return [
        *invalid,
        f'-A {KUBE_FORWARD} -m comment --comment "kubernetes forwarding rules" '
        f"-m mark --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j ACCEPT",
        f'-A {KUBE_FORWARD} -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]


def _ip_masq(non_masquerade: Sequence[str]) -> list[str]:
    keep = '-m comment --comment "ip-masq-agent: local traffic is not subject to MASQUERADE"'
    last = '-m comment --comment "ip-masq-agent: outbound traffic is subject to MASQUERADE (must be last in chain)"'
    return [
        *(f"-A {IP_MASQ} {keep} -d {cidr} -j RETURN" for cidr in (LINK_LOCAL, *non_masquerade)),
        f"-A {IP_MASQ} {last} -j MASQUERADE --random-fully",
    ]
