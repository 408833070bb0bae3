"""Makes the parts of one node's agent and gives each those that it needs. Nothing is started or touched yet."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.kinds import SERVICE
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.node.config import NodeConfig
from controlplane.node.connection import Connection
from controlplane.node.images.library import ImageLibrary
from controlplane.node.images.local import LocalImages
from controlplane.node.images.standin import StandIn
from controlplane.node.images.store import ImageStore
from controlplane.node.network import CniNetwork, PodGuard, PodNetwork
from controlplane.node.parts import NodeParts
from controlplane.node.registration import Registration
from controlplane.node.runtime.container import Container, ContainerRuntime
from controlplane.node.runtime.spawner import shared_spawner
from controlplane.node.sandbox import Sandboxes
from controlplane.node.tokens import Tokens
from controlplane.node.values import Sources
from controlplane.node.volumes.outside import Outside
from controlplane.node.volumes.staging import Staging
from controlplane.node.volumes.storage import Storage


def assemble(
    client: Client,
    informers: Informers,
    config: NodeConfig,
    *,
    network: PodNetwork | None,
    guard: PodGuard | None,
    ended: Callable[[Container], None],
    back: Callable[[], None],
) -> NodeParts:
    """`ended` is called for each container that ends, `back` when the API server can be reached again."""
    spawner = shared_spawner(config.run_directory)
    recorder = EventRecorder(client, "kubelet", config.name)
    standin, local = StandIn(config.cache_directory), LocalImages(ImageLibrary())
    sandboxes = Sandboxes(config, network or CniNetwork(config))
    staging = Staging(config.run / "staged", config.stores, spawner)
    connection = Connection(lambda: sandboxes.executor, config.api_endpoint)
    return NodeParts(
        config=config,
        client=client,
        recorder=recorder,
        spawner=spawner,
        runtime=ContainerRuntime(config.cluster, config.run, spawner, ended),
        sandboxes=sandboxes,
        standin=standin,
        images=ImageStore((local,), standin, config.missing_image),
        sources=Sources(client, informers),
        tokens=Tokens(client),
        services=informers.of(SERVICE),
        storage=Storage.of(config.name, client, informers, staging, config.namespace),
        outside=Outside(config.name, spawner),
        registration=Registration(client, recorder, config, spawner, connection, back=back, images=local.listed),
        connection=connection,
        guard=guard,
    )
