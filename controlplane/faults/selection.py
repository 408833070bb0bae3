"""Whom a selection means at this moment: pods that have a network, nodes that run, ranges of addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from controlplane.api.kinds import NAMESPACE, NODE, POD, SERVICE
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.config import ResolvedCluster, ResolvedNode
from controlplane.directories import Directories
from controlplane.faults.model import Selection
from controlplane.sandboxes import netns_of
from netsim import namespace

_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PodPlace:
    """A pod with a network namespace of its own. `containers` are the ids of the running ones by name."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    netns: Path
    containers: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return f"pod/{self.name}" if self.namespace == "default" else f"{self.namespace}/pod/{self.name}"


@dataclass(frozen=True, slots=True)
class Places:
    """What a selection means. `nodes` may be switched off."""

    pods: tuple[PodPlace, ...] = ()
    nodes: tuple[ResolvedNode, ...] = ()
    cidrs: tuple[str, ...] = ()
    router: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, a node's with those of its pods."""
        own = [pod.address for pod in self.pods] + [str(node.address) for node in self.nodes]
        ranges = [str(node.pod_range) for node in self.nodes if node.pod_range is not None]
        return (*own, *ranges, *self.cidrs)

    @property
    def texts(self) -> list[str]:
        """For status and events."""
        named = [pod.text for pod in self.pods] + [f"node/{node.name}" for node in self.nodes]
        return sorted(named) + list(self.cidrs) + (["router"] if self.router else [])


class Selections:
    """Reads selections; `cluster` gives the configuration as it is now."""

    def __init__(self, informers: Informers, directories: Directories, cluster: Callable[[], ResolvedCluster]) -> None:
        self._directories = directories
        self._cluster = cluster
        self._pods = informers.of(POD)
        self._nodes = informers.of(NODE)
        self._services = informers.of(SERVICE)
        self._namespaces = informers.of(NAMESPACE)

    def listen(self, changed: Callable[[], None]) -> None:
        """`changed` is called when a selection may mean something else."""
        for informer in (self._pods, self._services, self._namespaces):
            informer.add_handler(lambda _old, _new: changed())

    async def wait_synced(self) -> None:
        for informer in (self._pods, self._nodes, self._services, self._namespaces):
            await informer.wait_synced()

    def read(self, selection: Selection) -> Places:
        """What it means now."""
        pods = {pod["metadata"]["uid"]: pod for pod in self._selected(selection)}
        found = (self._place(pod) for pod in pods.values())
        places = sorted(
            (place for place in found if place is not None), key=lambda place: (place.namespace, place.name)
        )
        return Places(
            tuple(places),
            tuple(self._nodes_of(selection)),
            tuple(selection.get("cidrs", ())),
            bool(selection.get("router")),
        )

    def _selected(self, selection: Selection) -> Iterable[Object]:
        own = selection.get("namespace") or "default"
        if "podSelector" in selection or "namespaceSelector" in selection:
            matches = compile_selector(selection.get("podSelector", {}))
            namespaces = self._in(selection, own)
            for pod in self._pods.list():
                if pod["metadata"]["namespace"] in namespaces and matches(pod["metadata"].get("labels") or {}):
                    yield pod
        for name in selection.get("pods", ()):
            named = self._pods.get(name, own)
            if named is not None:
                yield named
        for name in selection.get("services", ()):
            service = self._services.get(name, own)
            wanted = (service["spec"].get("selector") if service else None) or {}
            for pod in self._pods.list(own) if wanted else ():
                if wanted.items() <= (pod["metadata"].get("labels") or {}).items():
                    yield pod

    def _in(self, selection: Selection, own: str) -> set[str]:
        if "namespaceSelector" not in selection:
            return {own}
        matches = compile_selector(selection["namespaceSelector"])
        found = (each["metadata"] for each in self._namespaces.list())
        return {metadata["name"] for metadata in found if matches(metadata.get("labels") or {})}

    def _nodes_of(self, selection: Selection) -> Iterable[ResolvedNode]:
        names = set(selection.get("nodes", ()))
        if "nodeSelector" in selection:
            matches = compile_selector(selection["nodeSelector"])
            found = (each["metadata"] for each in self._nodes.list())
            names |= {metadata["name"] for metadata in found if matches(metadata.get("labels") or {})}
        return [node for node in self._cluster().nodes if node.name in names]

    def _place(self, pod: Object) -> PodPlace | None:
        """None of a pod that has no network yet or any more, is going, or is on its node's network."""
        metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
        if spec.get("hostNetwork") or not status.get("podIP") or status.get("phase") in _ENDED:
            return None
        if "deletionTimestamp" in metadata:
            return None
        name = netns_of(self._directories, spec["nodeName"], metadata["uid"])
        if not name:
            return None
        running = [
            (each["name"], each["containerID"].rpartition("://")[2])
            for each in status.get("containerStatuses", ())
            if "running" in (each.get("state") or {})
        ]
        return PodPlace(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            spec["nodeName"],
            status["podIP"],
            namespace.namespace_path(name),
            tuple(running),
        )
