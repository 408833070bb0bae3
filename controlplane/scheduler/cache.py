"""Nodes and the pods on them, ahead of the informers by what the scheduler has just decided.

A pod counts against its node from the moment the decision is taken ("assumed"), not from when the
informer shows the binding; so the next decision sees it, and many bindings can be under way.
"""

from __future__ import annotations

from controlplane.api.types import Object
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo


class Cache:
    """Single-threaded: a decision reads the live sums, there is no snapshot to take."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self._placed: dict[str, str] = {}
        self._assumed: set[str] = set()

    def available_nodes(self) -> list[NodeInfo]:
        """The nodes that exist, in the order in which they came."""
        return [node for node in self.nodes.values() if node.exists]

    def set_node(self, node: Object) -> None:
        self._node(node["metadata"]["name"]).set_node(node)

    def remove_node(self, name: str) -> None:
        """Forgets a node; pods still bound to it are kept in case it comes back."""
        node = self.nodes.get(name)
        if node is not None:
            node.exists = False
            self._drop_if_empty(node)

    def assume(self, pod: PodInfo, node: str) -> None:
        """Counts `pod` on `node` before its binding is written."""
        self._place(pod, node)
        self._assumed.add(pod.uid)

    def forget(self, uid: str) -> None:
        """Takes an assumption back: the binding failed."""
        if uid in self._assumed:
            self.remove_pod(uid)

    def set_pod(self, pod: PodInfo, node: str) -> None:
        """Counts a pod where the API says it is."""
        self._assumed.discard(pod.uid)
        self._place(pod, node)

    def remove_pod(self, uid: str) -> None:
        self._assumed.discard(uid)
        placed = self._placed.pop(uid, None)
        if placed is not None:
            node = self.nodes[placed]
            node.remove(uid)
            self._drop_if_empty(node)

    def is_placed(self, uid: str) -> bool:
        """Whether the pod has a node already, be it only assumed."""
        return uid in self._placed

    def _place(self, pod: PodInfo, name: str) -> None:
        self.remove_pod(pod.uid)
        self._node(name).add(pod)
        self._placed[pod.uid] = name

    def _node(self, name: str) -> NodeInfo:
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = NodeInfo(name)
        return node

    def _drop_if_empty(self, node: NodeInfo) -> None:
        if not node.exists and not node.pods:
            del self.nodes[node.name]
