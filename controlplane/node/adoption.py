"""Taking over what an earlier daemon left of a node's pods: sandboxes, containers, files.

The kernel and the node's directories tell what there is; nothing of it was only in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from controlplane.api.types import Object
from controlplane.node import pause
from controlplane.node.parts import NodeParts
from controlplane.node.runtime.container import Container
from controlplane.node.state import ContainerState, PodState


async def adopt(parts: NodeParts, present: Mapping[str, PodState]) -> dict[str, PodState]:
    """Gives the pods that are present, by uid, what there is of them.

    Returns the states of others, which are no more: a worker removes what they have left, and tries again.
    """
    config, orphans = parts.config, dict[str, PodState]()

    def owner(uid: str, namespace: str = "", name: str = "") -> PodState:
        state = present.get(uid) or orphans.get(uid)
        if state is None:
            state = orphans[uid] = _orphan(uid, namespace, name or uid, config.name)
        return state

    for sandbox in await parts.sandboxes.adopt(present):
        owner(sandbox.pod_uid, sandbox.pod_namespace, sandbox.pod_name).sandbox = sandbox
    for container in parts.runtime.adopt():
        record = container.record
        state = owner(record.pod_uid, record.pod_namespace, record.pod_name)
        if not pause.adopted(state, container):
            _place(state, container)
    # Each place on its own: a kill between two of them leaves one without the other.
    for uid in (
        *await parts.storage.staging.adopt(),
        *_directories(config.pods),
        *_directories(config.run / "volumes"),
    ):
        owner(uid)
    return orphans


def _orphan(uid: str, namespace: str, name: str, node: str) -> PodState:
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"uid": uid, "namespace": namespace, "name": name},
        "spec": {"containers": [], "nodeName": node},
    }
    return PodState(pod, {}, gone=True)


def _place(state: PodState, container: Container) -> None:
    """Gives an adopted container its place: the newest attempt is the current one."""
    record = container.record
    place = state.containers.get(record.container)
    if place is None:
        place = state.containers[record.container] = ContainerState({"name": record.container, "image": ""}, "main")
    others = sorted(
        (c for c in (place.current, place.previous, container) if c is not None), key=lambda c: c.record.attempt
    )
    place.current = others[-1]
    place.previous = others[-2] if len(others) > 1 else None
    place.started = place.current.running and not place.spec.get("startupProbe")
    place.ready = place.current.running and not place.spec.get("readinessProbe")


def _directories(place: Path) -> list[str]:
    """The names of the directories in a place, which need not be there."""
    return [entry.name for entry in place.iterdir() if entry.is_dir()] if place.is_dir() else []
