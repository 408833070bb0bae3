"""What the agent knows of one pod in memory. All of it can be had again from the kernel and the run directory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from controlplane.api.kinds import CONFIG_MAP, SECRET
from controlplane.api.types import Kind, Object
from controlplane.node.errors import ImageFailure
from controlplane.node.images.store import Image, ImageSource
from controlplane.node.probes import ProbeSet
from controlplane.node.runtime.container import Container
from controlplane.node.sandbox import Sandbox
from controlplane.node.volumes.mounted import Mounted

Role = Literal["init", "sidecar", "main", "ephemeral"]
OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
"""The conditions of a pod that the node writes."""


@dataclass(slots=True)
class ImageWait:
    """How far a container is with an image: `task` pulls it, `found` came of that, or it is tried again at `until`."""

    reference: str
    task: asyncio.Task[None] | None = None
    found: tuple[Image, ImageSource] | None = None
    failure: ImageFailure | None = None
    delay: float = 0.0
    until: float = 0.0


@dataclass(slots=True)
class ContainerState:
    """One container of the manifest: its newest attempt, the one before, and why it waits if it does.

    `retry_at` and `delay` are the back-off (loop-independent epoch seconds and seconds). `ready` and `started` are
    the verdicts of the probes; without probes a running container is both.
    """

    spec: Object
    role: Role
    current: Container | None = None
    previous: Container | None = None
    waiting: tuple[str, str] | None = None
    failure: str = ""
    retry_at: float = 0.0
    delay: float = 0.0
    image: ImageWait | None = None
    ready: bool = False
    started: bool = False
    probes: ProbeSet | None = None
    post_start: asyncio.Task[None] | None = None
    stopping: asyncio.Task[None] | None = None
    resources: Object | None = None
    """What limits it now, in the manifest's terms; None where that is not known."""

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def running(self) -> bool:
        return self.current is not None and self.current.running

    @property
    def succeeded(self) -> bool:
        """Its newest attempt ended with status 0."""
        return self.current is not None and self.current.exit is not None and self.current.exit.code == 0


@dataclass(slots=True)
class PodState:
    """One pod of this node, by uid. `pod` is the newest object seen; a `static` one has its manifest's digest for uid;
    `gone` once it left the API; `failure` is the reason and message for which the node ends it;
    `volumes_due` when what its volumes show may have changed, `standins_due` likewise for the ports of stand-ins;
    `mounting_since` when the wait for volumes that are not there began, 0 while there is none."""

    pod: Object
    containers: dict[str, ContainerState]
    static: bool = False
    sandbox: Sandbox | None = None
    files_written: bool = False
    pause: Container | None = None
    admitted: bool = False
    start_time: str = ""
    gone: bool = False
    failure: tuple[str, str] | None = None
    ended: bool = False
    volumes: dict[str, Mounted] = field(default_factory=dict)
    volumes_due: bool = True
    mounting_since: float = 0.0
    standins_due: bool = False
    written: Object | None = None
    written_version: int = 0
    stopping: asyncio.Task[None] | None = None
    stop_began: float = 0.0
    deadline: float = 0.0

    def overwritten(self, pod: Object) -> bool:
        """Whether somebody else has changed the node's own conditions since they were written."""
        if self.written is None or int(pod["metadata"].get("resourceVersion", 0)) <= self.written_version:
            return False
        return _own_conditions(pod.get("status") or {}) != _own_conditions(self.written)

    def renew(self, pod: Object) -> None:
        """Takes a newer version of the object over."""
        self.pod = pod
        self.volumes_due = True
        for name, container in container_states(pod).items():
            known = self.containers.get(name)
            if known is not None:
                if known.image is not None and known.image.reference != container.spec["image"]:
                    # Another image has a back-off of its own.
                    known.retry_at = 0.0
                known.spec = container.spec
            elif container.role == "ephemeral":
                self.containers[name] = container

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def api_uid(self) -> str | None:
        """The uid of the object in the API; None for whichever has the name now."""
        return None if self.static else self.uid

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def alive(self) -> list[ContainerState]:
        """The containers whose process has not ended."""
        return [c for c in self.containers.values() if c.current is not None and c.current.exit is None]

    def of_role(self, *roles: Role) -> list[ContainerState]:
        return [c for c in self.containers.values() if c.role in roles]


def _own_conditions(status: Object) -> dict[str, str]:
    return {c["type"]: c["status"] for c in status.get("conditions") or [] if c["type"] in OWN_CONDITIONS}


def uses_source(pod: Object, kind: Kind, name: str) -> bool:
    """Whether a volume of the pod shows the ConfigMap or Secret of that name."""
    for volume in pod["spec"].get("volumes") or []:
        for part in (volume, *((volume.get("projected") or {}).get("sources") or [])):
            if kind is CONFIG_MAP and (part.get("configMap") or {}).get("name") == name:
                return True
            secret = part.get("secret") or {}
            if kind is SECRET and name in (secret.get("secretName"), secret.get("name")):
                return True
    return False


def container_states(pod: Object) -> dict[str, ContainerState]:
    """A fresh state for every container of the manifest: init containers first, in their order."""
    spec, found = pod["spec"], {}
    for container in spec.get("initContainers") or []:
        role: Role = "sidecar" if container.get("restartPolicy") == "Always" else "init"
        found[container["name"]] = ContainerState(container, role)
    for container in spec["containers"]:
        found[container["name"]] = ContainerState(container, "main")
    for container in spec.get("ephemeralContainers") or []:
        found[container["name"]] = ContainerState(container, "ephemeral")
    return found
