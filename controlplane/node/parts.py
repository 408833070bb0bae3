"""What the workers of one node share."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.client.informer import Informer
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.node.config import NodeConfig
from controlplane.node.connection import Connection
from controlplane.node.images.standin import StandIn
from controlplane.node.images.store import ImageStore
from controlplane.node.network import PodGuard
from controlplane.node.registration import Registration
from controlplane.node.runtime.container import ContainerRuntime
from controlplane.node.runtime.spawner import Spawner
from controlplane.node.sandbox import Sandboxes
from controlplane.node.tokens import Tokens
from controlplane.node.values import Sources
from controlplane.node.volumes.outside import Outside
from controlplane.node.volumes.storage import Storage
from netsim.namespace import NamespaceExecutor


@dataclass(frozen=True, slots=True)
class NodeParts:
    """The parts of a node agent; `services` is the shared informer of Services."""

    config: NodeConfig
    client: Client
    recorder: EventRecorder
    spawner: Spawner
    runtime: ContainerRuntime
    sandboxes: Sandboxes
    standin: StandIn
    images: ImageStore
    sources: Sources
    tokens: Tokens
    services: Informer
    storage: Storage
    outside: Outside
    registration: Registration
    connection: Connection
    guard: PodGuard | None

    @property
    def executor(self) -> NamespaceExecutor:
        """The thread in the node's namespace; only while the agent runs."""
        return self.sandboxes.executor
