"""The ServiceAccount `default` of every namespace, which pods run as unless they say otherwise."""

from __future__ import annotations

from controlplane.api.kinds import SERVICE_ACCOUNT
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.controllers.ensured import EnsuredInNamespaces

NAME = "default"


class ServiceAccountController(EnsuredInNamespaces):
    """Creates `default` where it is missing; what people add to it is theirs."""

    def __init__(self, client: Client, informers: Informers) -> None:
        wanted = {
            "apiVersion": SERVICE_ACCOUNT.api_version,
            "kind": SERVICE_ACCOUNT.name,
            "metadata": {"name": NAME},
        }
        super().__init__(client, informers, SERVICE_ACCOUNT, wanted, lambda present: True)
