"""Policies and pods as short as the tests need them."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.policy.model import Pod, Policy, Selection, read_policy
from controlplane.policy.rules import NodePolicy, compile_node

WEB = {"podSelector": {"matchLabels": {"app": "web"}}}


def make_policy(name: str = "p", namespace: str = "default", **spec: Any) -> Policy:
    return read_policy({"metadata": {"namespace": namespace, "name": name}, "spec": {"podSelector": {}, **spec}})


def make_pod(address: str, namespace: str = "default", node: str = "node-1", ports: Any = (), **labels: str) -> Pod:
    name = f"pod-{address.rpartition('.')[2]}"
    return Pod(f"uid-{namespace}-{name}", namespace, name, node, address, labels, tuple(ports))


def compiled(
    policies: list[Policy],
    pods: list[Pod],
    namespaces: dict[str, dict[str, str]] | None = None,
    *,
    node: str = "node-1",
) -> NodePolicy:
    """The rules of a node of a cluster of these pods."""

    def members(selection: Selection) -> dict[str, Pod]:
        return {p.uid: p for p in pods if selection.matches(p, (namespaces or {}).get(p.namespace, {}))}

    here = [
        (pod, [p for p in policies if p.namespace == pod.namespace and p.selects(pod.labels)])
        for pod in pods
        if pod.node == node
    ]
    return compile_node([(pod, found) for pod, found in here if found], members)


def pod_object(name: str, address: str = "", **spec: Any) -> Object:
    status = {"podIP": address, "podIPs": [{"ip": address}]} if address else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}", "labels": {"app": name}},
        "spec": {"containers": [{"name": "c"}], "nodeName": "node-1", **spec},
        "status": status,
    }
