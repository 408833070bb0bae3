"""metrics.k8s.io: what nodes and pods use, as the node agents have measured it, in metrics-server's form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from controlplane.api.kinds import POD
from controlplane.api.kinds.resource_metrics import NODE_METRICS, POD_METRICS
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informer, Informers
from controlplane.node import NodeAgent
from controlplane.node.usage import Usage
from controlplane.server.registry import Registry

NANO = 1_000_000_000


def serve_metrics(registry: Registry, informers: Informers, agents: Callable[[], Iterable[NodeAgent]]) -> None:
    """Adds the group to what the API serves; `agents` gives those that run now."""
    pods = informers.of(POD)
    for kind, source in (
        (NODE_METRICS, lambda: node_metrics(agents())),
        (POD_METRICS, lambda: pod_metrics(agents(), pods)),
    ):
        registry.computed.serve(kind, source)
        registry.scheme.add(kind)


def node_metrics(agents: Iterable[NodeAgent]) -> list[Object]:
    """One NodeMetrics for each node that has been measured."""
    return [
        {**_head(NODE_METRICS, agent.config.name, "", agent.usage.node), "usage": _usage(agent.usage.node)}
        for agent in agents
        if agent.usage.node is not None
    ]


def pod_metrics(agents: Iterable[NodeAgent], pods: Informer) -> list[Object]:
    """One PodMetrics for each pod of which a container has been measured, with the pod's labels."""
    found: dict[tuple[str, str], list[tuple[str, Usage]]] = {}
    for agent in agents:
        for (namespace, name, container), usage in agent.usage.containers.items():
            found.setdefault((namespace, name), []).append((container, usage))
    objects = []
    for (namespace, name), containers in sorted(found.items()):
        pod = pods.get(name, namespace)
        if pod is None:
            continue
        head = _head(POD_METRICS, name, namespace, containers[0][1])
        if pod["metadata"].get("labels"):
            head["metadata"]["labels"] = pod["metadata"]["labels"]
        objects.append({**head, "containers": [{"name": each, "usage": _usage(use)} for each, use in containers]})
    return objects


def _head(kind: Kind, name: str, namespace: str, usage: Usage) -> Object:
    stamp = timestamp(usage.at)
    metadata: dict[str, Any] = {"name": name, "creationTimestamp": stamp}
    if namespace:
        metadata["namespace"] = namespace
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": metadata,
        "timestamp": stamp,
        "window": f"{usage.window:.3f}s",
    }


def _usage(usage: Usage) -> dict[str, str]:
    return {"cpu": f"{round(usage.cpu * NANO)}n", "memory": f"{usage.memory // 1024}Ki"}
