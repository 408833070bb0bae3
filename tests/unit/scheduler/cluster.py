"""Nodes and pods in a few words, and decisions about them."""

from __future__ import annotations

import itertools
from typing import Any, cast

from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.scheduler.claims import Claims
from controlplane.scheduler.decision import Decision, decide, explain
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.plugins import default_plugins
from controlplane.scheduler.pod_info import PodInfo

_uids = itertools.count()


def node(
    name: str,
    *,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: str = "110",
    taints: list[dict[str, Any]] | None = None,
    unschedulable: bool = False,
    **labels: str,
) -> NodeInfo:
    """A node; label names with `_` for what cannot be a keyword: zone, disk."""
    info = NodeInfo(name)
    info.set_node(
        {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
            "spec": {"taints": taints or [], "unschedulable": unschedulable},
            "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "10Gi"}},
        }
    )
    return info


def pod(
    name: str = "web",
    *,
    requests: dict[str, str] | None = None,
    owner: str = "",
    labels: dict[str, str] | None = None,
    namespace: str = "default",
    host_port: int = 0,
    **spec: Any,
) -> PodInfo:
    container: dict[str, Any] = {"name": "main", "image": "web", "resources": {"requests": requests or {}}}
    if host_port:
        container["ports"] = [{"containerPort": 80, "hostPort": host_port}]
    references = [{"uid": owner, "controller": True}] if owner else []
    return PodInfo.of(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"{name}-{next(_uids)}",
                "labels": labels or {},
                "ownerReferences": references,
            },
            "spec": {"containers": [container], **spec},
        }
    )


NAMESPACES = {"default": {"team": "a"}, "other": {"team": "b"}}


def no_claims() -> Claims:
    """Of a cluster without any storage."""
    # Nobody is asked: the informers never run.
    client = cast(Client, None)
    return Claims(client, Informers(client))


def place(one: PodInfo, *nodes: NodeInfo) -> Decision:
    filters, scores = default_plugins(lambda name: NAMESPACES.get(name, {}), no_claims())
    return decide(one, nodes, filters, scores)


def chosen(one: PodInfo, *nodes: NodeInfo) -> str:
    decision = place(one, *nodes)
    return decision.node.name if decision.node is not None else why(one, *nodes)


def why(one: PodInfo, *nodes: NodeInfo) -> str:
    """The reasons, without what is said of preemption."""
    decision = place(one, *nodes)
    assert decision.node is None
    return explain(decision).partition(" preemption:")[0]
