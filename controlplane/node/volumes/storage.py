"""What the volumes of one node share: claims and volumes as the API has them, and what is mounted on the node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controlplane.api.claims import BY_CLAIM, BY_OWN_DISK, BY_PLACE, attached_volume, by_claim, by_own_disk, by_place
from controlplane.api.kinds import NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, VOLUME_ATTACHMENT
from controlplane.api.types import Object
from controlplane.client.informer import Informer, Informers
from controlplane.client.interface import Client
from controlplane.node.volumes.staging import Staging


@dataclass(frozen=True, slots=True)
class Storage:
    """`network` is the node's network namespace, in which file servers are asked."""

    node: str
    client: Client
    staging: Staging
    pods: Informer
    claims: Informer
    volumes: Informer
    attachments: Informer
    nodes: Informer
    network: Path

    @classmethod
    def of(cls, node: str, client: Client, informers: Informers, staging: Staging, network: Path) -> Storage:
        """With its informers registered."""
        pods = informers.of(POD)
        pods.add_index(BY_CLAIM, by_claim)
        pods.add_index(BY_OWN_DISK, by_own_disk)
        attachments = informers.of(VOLUME_ATTACHMENT)
        attachments.add_index(BY_PLACE, by_place)
        return cls(
            node,
            client,
            staging,
            pods,
            informers.of(PERSISTENT_VOLUME_CLAIM),
            informers.of(PERSISTENT_VOLUME),
            attachments,
            informers.of(NODE),
            network,
        )

    def node_labels(self) -> dict[str, str]:
        """The labels of the node, which say what volumes it can have."""
        node = self.nodes.get(self.node)
        return (node["metadata"].get("labels") or {}) if node is not None else {}

    def attachment(self, volume: str) -> Object | None:
        """The attachment of a PersistentVolume to this node, if there is one."""
        return next(iter(self.attachments.by_index(BY_PLACE, f"{self.node}/{volume}")), None)

    def concerned(self, obj: Object) -> Iterator[str]:
        """The uids of the pods of this node that wait for, or use, a claim, volume or attachment."""
        spec = obj.get("spec") or {}
        if "attacher" in spec:
            if spec["nodeName"] != self.node:
                return
            name = attached_volume(obj)
            yield from self._of_this_node(BY_OWN_DISK, name)
            volume = self.volumes.get(name)
            claim = (volume or {}).get("spec", {}).get("claimRef")
        else:
            claim = spec.get("claimRef") if "namespace" not in obj["metadata"] else obj["metadata"]
        if claim is None:
            return
        yield from self._of_this_node(BY_CLAIM, f"{claim['namespace']}/{claim['name']}")

    def _of_this_node(self, index: str, key: str) -> Iterator[str]:
        for pod in self.pods.by_index(index, key):
            if pod["spec"].get("nodeName") == self.node:
                yield pod["metadata"]["uid"]
