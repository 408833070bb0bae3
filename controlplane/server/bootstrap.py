"""What every cluster has from its first moment: the system namespaces, priority classes, component statuses."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Network

from controlplane.api.errors import AlreadyExists
from controlplane.api.kinds import COMPONENT_STATUS, NAMESPACE, PRIORITY_CLASS, SERVICE_CIDR
from controlplane.api.meta import timestamp
from controlplane.server.registry import Registry
from controlplane.server.requests import WriteOptions

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")

PRIORITIES = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}


DEFAULT_RANGE = "kubernetes"
COMPONENTS = ("controller-manager", "etcd-0", "scheduler")
"""What `kubectl get componentstatuses` lists: parts of the process that answers, each started again where it fails."""


async def ensure_system_objects(registry: Registry) -> None:
    """Creates what is missing of the system namespaces, priority classes and component statuses."""
    options = WriteOptions()
    for name in NAMESPACES:
        with suppress(AlreadyExists):
            await registry.create(NAMESPACE, "", {"metadata": {"name": name}}, options)
    for name, (value, description) in PRIORITIES.items():
        body = {"metadata": {"name": name}, "value": value, "description": description}
        with suppress(AlreadyExists):
            await registry.create(PRIORITY_CLASS, "", body, options)
    healthy = {"type": "Healthy", "status": "True", "message": "ok"}
    for name in COMPONENTS:
        with suppress(AlreadyExists):
            await registry.create(COMPONENT_STATUS, "", {"metadata": {"name": name}, "conditions": [healthy]}, options)


async def ensure_service_range(registry: Registry, network: IPv4Network) -> None:
    """Shows the range that Services get their addresses from, as upstream does, by a ServiceCIDR named `kubernetes`."""
    options = WriteOptions()
    ready = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
    body = {"metadata": {"name": DEFAULT_RANGE}, "spec": {"cidrs": [str(network)]}}
    with suppress(AlreadyExists):
        made = (await registry.create(SERVICE_CIDR, "", body, options)).decode()
        made["status"] = {"conditions": [ready | {"lastTransitionTime": timestamp()}]}
        await registry.update(SERVICE_CIDR, DEFAULT_RANGE, "", made, options, subresource="status")
