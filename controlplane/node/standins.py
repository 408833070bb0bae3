"""Keeps the servers of a pod's stand-ins listening where Services send to, also to those made after the pod."""

from __future__ import annotations

import signal

from controlplane.api.types import Object
from controlplane.node import standin_ports
from controlplane.node.images.standin import write_config
from controlplane.node.parts import NodeParts
from controlplane.node.state import PodState


def concerns(service: Object, state: PodState) -> bool:
    """Whether the Service selects the pod."""
    selector = service["spec"].get("selector")
    if not selector or service["metadata"]["namespace"] != state.namespace:
        return False
    return bool(selector.items() <= (state.pod["metadata"].get("labels") or {}).items())


async def update(state: PodState, parts: NodeParts) -> None:
    """Tells the running servers of a pod their ports, where those have changed; OSError if a bundle is broken."""
    if state.sandbox is None:
        return
    for container in list(state.containers.values()):
        current = container.current
        if current is None or not current.running or container.spec.get("ports"):
            continue
        if not standin_ports.is_server(container.spec, current.record.image_id):
            continue
        address = state.sandbox.addresses[0]
        wanted = standin_ports.config_of(state.pod, container.spec, address, parts.config, parts.services)
        if await parts.spawner.files(write_config, current.bundle, wanted):
            parts.runtime.kill(current, signal.SIGHUP)
