"""The claims of a StatefulSet's pods: made before their pod, found again by the next, and kept or not as the set says.

A claim is named after template, set and ordinal, so a pod that comes back has its volume back. Whether it goes with the
set or with a pod that is scaled away is written into its owner references, and garbage collection does the rest.
"""

from __future__ import annotations

from typing import Any

from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME_CLAIM, POD, STATEFUL_SET
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.controllers.meta import is_deleting, with_metadata

_OWNED = "owned"


def _owned_in(claim: Object) -> tuple[str, ...]:
    """The namespace of a claim that goes with something else."""
    return (claim["metadata"]["namespace"],) if claim["metadata"].get("ownerReferences") else ()


def claim_names(sts: Object, ordinal: int) -> dict[str, str]:
    """The claims of one pod, by the name of their template."""
    name = sts["metadata"]["name"]
    templates = sts["spec"].get("volumeClaimTemplates") or ()
    return {one["metadata"]["name"]: f"{one['metadata']['name']}-{name}-{ordinal}" for one in templates}


def with_claims(spec: dict[str, Any], sts: Object, ordinal: int) -> dict[str, Any]:
    """The spec of a pod with its claims among its volumes; they go before volumes of the same name."""
    names = claim_names(sts, ordinal)
    if not names:
        return spec
    kept = [volume for volume in spec.get("volumes") or () if volume["name"] not in names]
    made = [{"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in sorted(names.items())]
    return {**spec, "volumes": [*made, *kept]}


def claim_of(sts: Object, template: Object, ordinal: int) -> Object:
    """The claim of one template for one pod."""
    given = template["metadata"]
    labels = {**(given.get("labels") or {}), **((sts["spec"].get("selector") or {}).get("matchLabels") or {})}
    return {
        "apiVersion": PERSISTENT_VOLUME_CLAIM.api_version,
        "kind": PERSISTENT_VOLUME_CLAIM.name,
        "metadata": {
            "name": claim_names(sts, ordinal)[given["name"]],
            "namespace": sts["metadata"]["namespace"],
            **({"labels": labels} if labels else {}),
            **({"annotations": given["annotations"]} if given.get("annotations") else {}),
        },
        "spec": template.get("spec") or {},
    }


def owners(sts: Object, pod: Object | None, claim: Object, *, scaled_away: bool) -> list[dict[str, Any]]:
    """The owner references that the claim should have, by the set's retention policy."""
    policy = sts["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    name, ordinal_pod = sts["metadata"]["name"], pod["metadata"]["name"] if pod is not None else ""
    kept = [
        one
        for one in claim["metadata"].get("ownerReferences") or ()
        if not (one["kind"] == STATEFUL_SET.name and one["name"] == name)
        and not (one["kind"] == POD.name and one["name"] == ordinal_pod)
    ]
    if policy.get("whenScaled") == "Delete" and scaled_away:
        if pod is not None:
            kept.append(_reference(POD.api_version, POD.name, pod))
    elif policy.get("whenDeleted") == "Delete":
        kept.append(_reference(STATEFUL_SET.api_version, STATEFUL_SET.name, sts))
    return kept


def _reference(version: str, kind: str, owner: Object) -> dict[str, Any]:
    metadata = owner["metadata"]
    return {"apiVersion": version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}


class StatefulClaims:
    """Makes the claims of pods, and keeps their owners right."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder
        self.informer = informers.of(PERSISTENT_VOLUME_CLAIM)
        self.informer.add_index(_OWNED, _owned_in)

    async def ensure(self, sts: Object, ordinal: int) -> None:
        """Makes the claims of one pod that are missing; raises ApiError."""
        for template in sts["spec"].get("volumeClaimTemplates") or ():
            claim = claim_of(sts, template, ordinal)
            name = claim["metadata"]["name"]
            if self.informer.get(name, sts["metadata"]["namespace"]) is not None:
                continue
            wanted = owners(sts, None, claim, scaled_away=False)
            try:
                await self._client.create(
                    PERSISTENT_VOLUME_CLAIM,
                    with_metadata(claim, ownerReferences=wanted or None),
                    sts["metadata"]["namespace"],
                )
            except AlreadyExists:
                continue
            where = f"Claim {name} Pod {sts['metadata']['name']}-{ordinal} in StatefulSet {sts['metadata']['name']}"
            self._recorder.event(sts, "Normal", "SuccessfulCreate", f"create {where} success")

    async def keep_owners(self, sts: Object, ordinal: int, pod: Object, *, scaled_away: bool) -> None:
        """Has each claim of a pod owned as the retention policy says."""
        if not sts["spec"].get("volumeClaimTemplates"):
            return
        policy = sts["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        keeps = "Delete" not in policy.values()
        if keeps and not self.informer.by_index(_OWNED, sts["metadata"]["namespace"]):
            return
        for name in claim_names(sts, ordinal).values():
            claim = self.informer.get(name, sts["metadata"]["namespace"])
            if claim is None or is_deleting(claim):
                continue
            wanted = owners(sts, pod, claim, scaled_away=scaled_away)
            if wanted == (claim["metadata"].get("ownerReferences") or []):
                continue
            try:
                await self._client.update(PERSISTENT_VOLUME_CLAIM, with_metadata(claim, ownerReferences=wanted or None))
            except NotFound:
                continue
