"""The ReplicaSet that a Deployment's present template calls for, and its annotations; pure."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api.kinds import REPLICA_SET
from controlplane.api.types import Object
from controlplane.controllers.meta import controller_reference
from controlplane.controllers.rollout import (
    DESIRED_REPLICAS,
    LONGEST_HISTORY,
    MAX_REPLICAS,
    NOT_COPIED,
    REVISION,
    REVISION_HISTORY,
    TEMPLATE_HASH,
    max_surge,
    replicas,
    revision,
    template_hash,
)


def new_annotations(deployment: Object, new: Object, next_revision: int) -> dict[str, str]:
    """The annotations that the new ReplicaSet should have: the Deployment's own and its revision."""
    present: dict[str, str] = new["metadata"].get("annotations") or {}
    wanted = dict(present)
    handed_down = deployment["metadata"].get("annotations") or {}
    wanted.update((name, value) for name, value in handed_down.items() if name not in NOT_COPIED)
    if revision(new) < next_revision:
        wanted[REVISION] = str(next_revision)
        if REVISION in present:
            history = [*filter(None, present.get(REVISION_HISTORY, "").split(",")), present[REVISION]]
            while len(",".join(history)) > LONGEST_HISTORY:
                history.pop(0)
            wanted[REVISION_HISTORY] = ",".join(history)
    return wanted


def new_replica_set(deployment: Object, next_revision: int) -> Object:
    """The ReplicaSet of the Deployment's present template, with no replicas yet."""
    spec, metadata = deployment["spec"], deployment["metadata"]
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    digest = template_hash(spec["template"], collisions)
    template_metadata = spec["template"].get("metadata") or {}
    labels = {**(template_metadata.get("labels") or {}), TEMPLATE_HASH: digest}
    selector = spec["selector"]
    handed_down = metadata.get("annotations") or {}
    annotations = {name: value for name, value in handed_down.items() if name not in NOT_COPIED}
    annotations.update(size_annotations(deployment), **{REVISION: str(next_revision)})
    rs_spec = {
        "replicas": 0,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: digest}},
        "template": {**spec["template"], "metadata": {**template_metadata, "labels": labels}},
    }
    if spec.get("minReadySeconds"):
        rs_spec["minReadySeconds"] = spec["minReadySeconds"]
    return {
        "apiVersion": REPLICA_SET.api_version,
        "kind": REPLICA_SET.name,
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": rs_spec,
    }


def size_annotations(deployment: Object) -> dict[str, str]:
    """What a scaled ReplicaSet notes of its Deployment's size."""
    desired = replicas(deployment)
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + max_surge(deployment))}


def next_revision_of(olds: Sequence[Object]) -> int:
    """The revision that follows those of the old ReplicaSets."""
    return max((revision(rs) for rs in olds), default=0) + 1
