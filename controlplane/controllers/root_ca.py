"""The ConfigMap `kube-root-ca.crt` of every namespace, by which pods trust the API server."""

from __future__ import annotations

from controlplane.api.kinds import CONFIG_MAP
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.controllers.ensured import EnsuredInNamespaces

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the"
    " internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of"
    " Kubernetes clusters."
)


class RootCAController(EnsuredInNamespaces):
    """`ca_bundle` is PEM text."""

    def __init__(self, client: Client, informers: Informers, ca_bundle: str) -> None:
        wanted = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.name,
            "metadata": {"name": NAME, "annotations": {"kubernetes.io/description": DESCRIPTION}},
            "data": {KEY: ca_bundle},
        }
        super().__init__(client, informers, CONFIG_MAP, wanted, lambda present: present.get("data") == wanted["data"])
