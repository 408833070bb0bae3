"""NetworkPolicy: pure functions from policies, pods and namespaces to rules and sets, and an applier for each node."""

from controlplane.policy.applier import NodePolicies, PolicyConfig
from controlplane.policy.denials import DenialLog
from controlplane.policy.model import Pod
from controlplane.policy.table import PolicyTable

__all__ = ["DenialLog", "NodePolicies", "Pod", "PolicyConfig", "PolicyTable"]
