"""Which stand-ins are servers, and on which ports those listen: those that the manifest declares, else the usual
ones and those that Services send to."""

from __future__ import annotations

import shutil

from controlplane.api.types import Object
from controlplane.client.informer import Informer
from controlplane.node.config import NodeConfig
from controlplane.node.images import applets
from controlplane.node.images.standin import DEFAULT_PORTS, StandInConfig
from controlplane.node.runtime.oci import DEFAULT_PATH


def is_server(container: Object, image_id: str) -> bool:
    """Whether the container runs the stand-in server."""
    return image_id.startswith("standin://") and not runs_program(container)


def runs_program(container: Object) -> bool:
    """Whether the manifest says which program runs: by `command`, or by `args` whose first word is one of the host's.

    `kubectl run NAME --image=busybox -- sleep 60` gives args alone, which an image without an entrypoint executes;
    what an image with one would make of them, a stand-in cannot know. Who asks for standard input wants a shell, or
    the program that he names, and is told when there is none.
    """
    arguments = container.get("args") or []
    if container.get("command") or not arguments:
        return bool(container.get("command") or container.get("stdin"))
    if container.get("stdin") and not arguments[0].startswith("-"):
        return True
    return shutil.which(arguments[0], path=DEFAULT_PATH) is not None or arguments[0] in applets.applets()


def config_of(pod: Object, container: Object, address: str, config: NodeConfig, services: Informer) -> StandInConfig:
    """What the server of this container is told."""
    metadata = pod["metadata"]
    declared = container.get("ports") or []
    tcp = tuple(port["containerPort"] for port in declared if port.get("protocol", "TCP") == "TCP")
    udp = tuple(port["containerPort"] for port in declared if port.get("protocol") == "UDP")
    maybe: tuple[int, ...] = ()
    if not declared:
        taken = _declared_by_others(pod, container)
        wanted = (*DEFAULT_PORTS, *_service_targets(pod, services))
        maybe = tuple(port for port in dict.fromkeys(wanted) if port not in taken)
    return StandInConfig(
        image=container["image"],
        pod=metadata["name"],
        namespace=metadata["namespace"],
        node=config.name,
        address=address,
        tcp=tcp,
        udp=udp,
        maybe=maybe,
    )


def _declared_by_others(pod: Object, container: Object) -> set[int]:
    spec = pod["spec"]
    others = [c for c in (*spec["containers"], *(spec.get("initContainers") or [])) if c["name"] != container["name"]]
    return {port["containerPort"] for c in others for port in c.get("ports") or []}


def _service_targets(pod: Object, services: Informer) -> list[int]:
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    found = []
    for service in services.list(metadata["namespace"]):
        selector = service["spec"].get("selector")
        if not selector or not selector.items() <= labels.items():
            continue
        for port in service["spec"].get("ports") or []:
            target = port.get("targetPort", port["port"])
            if port.get("protocol", "TCP") == "TCP" and isinstance(target, int):
                found.append(target)
    return found
