"""The Service proxy: kube-proxy's iptables mode, as pure functions to rule text and an applier for each node."""

from controlplane.proxy.applier import ProxyConfig, ServiceProxy
from controlplane.proxy.rules import LocalTraffic
from controlplane.proxy.table import ServiceTable

__all__ = ["LocalTraffic", "ProxyConfig", "ServiceProxy", "ServiceTable"]
