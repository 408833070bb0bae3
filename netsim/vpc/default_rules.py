"""The firewall rules that a VPC has before anybody writes one: a fresh network's, a cluster's, and the implied two.

Names, priorities and meanings are GCP's: `default-allow-*` as in a project's default network, `gke-<cluster>-*` as GKE
adds them for a cluster. Two are wider than there: the host, which stands for the control plane, reaches every port of
nodes and pods, and one rule for the range of load balancers takes the place of one for each Service.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from netsim.vpc.plan import VpcPlan
from netsim.vpc.policy import ANYWHERE, LOWEST_PRIORITY, FirewallRule
from netsim.vpc.uplink import LINK_POOL

IMPLIED_ALLOW_EGRESS = FirewallRule("implied-allow-egress", "egress", "allow", LOWEST_PRIORITY)
IMPLIED_DENY_INGRESS = FirewallRule("implied-deny-ingress", "ingress", "deny", LOWEST_PRIORITY)
AUTO_MODE_RANGE = "10.128.0.0/9"
_DEFAULT_PRIORITY = 65534
_OF_PODS = ("tcp", "udp", "icmp", "esp", "ah", "sctp")


def default_rules(plan: VpcPlan) -> tuple[FirewallRule, ...]:
    """All but the implied ones."""
    nodes = _of_nodes(plan)
    pods = tuple(each for subnet in plan.subnets for each in plan.routed_pod_ranges(subnet))
    control_plane = (f"{plan.api_address}/32", str(LINK_POOL))
    of_pods = (_of_cluster(plan, "all", pods, _OF_PODS),) if pods else ()
    return (
        _of_network("internal", ("tcp", "udp", "icmp"), nodes),
        _of_network("icmp", ("icmp",)),
        _of_network("ssh", ("tcp:22",)),
        _of_network("rdp", ("tcp:3389",)),
        *of_pods,
        _of_cluster(plan, "vms", nodes, _OF_PODS),
        _of_cluster(plan, "master", control_plane, ("all",)),
        FirewallRule("k8s-fw-load-balancers", destination_ranges=(plan.load_balancer_range,)),
    )


def _of_nodes(plan: VpcPlan) -> tuple[str, ...]:
    """The subnets' ranges; as on GCP one for all, where they lie in that of auto mode networks."""
    ranges = tuple(subnet.range for subnet in plan.subnets)
    auto = IPv4Network(AUTO_MODE_RANGE)
    return (AUTO_MODE_RANGE,) if all(IPv4Network(each).subnet_of(auto) for each in ranges) else ranges


def rule_names(cluster: str) -> tuple[str, ...]:
    """The names that are taken, of a cluster of that name."""
    network = tuple(f"default-allow-{each}" for each in ("internal", "icmp", "ssh", "rdp"))
    own = tuple(f"gke-{cluster}-{each}" for each in ("all", "vms", "master"))
    return (*network, *own, "k8s-fw-load-balancers", IMPLIED_ALLOW_EGRESS.name, IMPLIED_DENY_INGRESS.name)


def _of_network(name: str, protocols: tuple[str, ...], sources: tuple[str, ...] = (ANYWHERE,)) -> FirewallRule:
    return FirewallRule(f"default-allow-{name}", priority=_DEFAULT_PRIORITY, protocols=protocols, source_ranges=sources)


def _of_cluster(plan: VpcPlan, name: str, sources: tuple[str, ...], protocols: tuple[str, ...]) -> FirewallRule:
    return FirewallRule(f"gke-{plan.cluster}-{name}", protocols=protocols, source_ranges=sources)
