"""NetworkPolicy: pure functions from policies, pods and namespaces to rules and sets, and an applier for each node."""

from controlplane.policy.applier import NodePolicies, PolicyConfig
from controlplane.policy.denials import DenialLog
from controlplane.policy.model import dns_pod
from controlplane.policy.table import PolicyTable

__all__ = ["DenialLog", "NodePolicies", "PolicyConfig", "PolicyTable", "dns_pod"]
