"""Keeps as many pods as a ReplicationController asks for: the ReplicaSet controller for the older kind."""

from __future__ import annotations

import time

from controlplane.api.kinds import REPLICATION_CONTROLLER
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.controllers.meta import Clock
from controlplane.controllers.replicaset import ReplicaSetController


class ReplicationControllerManager(ReplicaSetController):
    """Reconciles ReplicationControllers; `clock` gives the present time for minReadySeconds."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        super().__init__(
            client, informers, kind=REPLICATION_CONTROLLER, component="replication-controller", clock=clock
        )
