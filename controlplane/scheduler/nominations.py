"""The nodes that were promised to pods for which others have to go first (`status.nominatedNodeName`)."""

from __future__ import annotations

from controlplane.scheduler.pod_info import PodInfo


class Nominations:
    """A promise holds against pods of lower priority until the pod is placed, goes, or is promised another node."""

    def __init__(self) -> None:
        self._promises: dict[str, tuple[PodInfo, str]] = {}

    def set(self, pod: PodInfo, node: str) -> None:
        self._promises[pod.uid] = pod, node

    def remove(self, uid: str) -> None:
        self._promises.pop(uid, None)

    def node_of(self, uid: str) -> str:
        """The node that the pod was promised, "" if none was."""
        promise = self._promises.get(uid)
        return promise[1] if promise is not None else ""

    def against(self, pod: PodInfo) -> dict[str, list[PodInfo]]:
        """The pods whose promises `pod` has to respect, by node."""
        found: dict[str, list[PodInfo]] = {}
        for other, node in self._promises.values():
            if other.uid != pod.uid and other.priority >= pod.priority:
                found.setdefault(node, []).append(other)
        return found

    def lower(self, node: str, priority: int) -> list[PodInfo]:
        """The pods of lower priority that were promised a node."""
        return [other for other, promised in self._promises.values() if promised == node and other.priority < priority]
