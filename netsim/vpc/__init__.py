"""The VPC: a router namespace with a bridge per subnet, nodes with a NIC in it, and one link to the host.

    pod - cbr0 - node's eth0 ══ veth ══ br-<subnet> in the router - uplink ══ veth ══ the host

After GKE's VPC-native clusters: a node's address is a /32 whose gateway is on-link, so every packet between
nodes goes by the router; the router has a route per node to the node's pod range; load-balancer addresses are
multipath routes to all nodes. Everything is level-triggered: `ensure*` looks at the kernel, changes what differs
and disturbs nothing that runs.
"""

from netsim.vpc.fabric import Vpc
from netsim.vpc.plan import NodePlan, SubnetPlan, VpcPlan
from netsim.vpc.policy import FirewallRule, PathRule, StaticRoute

__all__ = ["FirewallRule", "NodePlan", "PathRule", "StaticRoute", "SubnetPlan", "Vpc", "VpcPlan"]
