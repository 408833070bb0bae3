"""Which PersistentVolume suits a claim; pure.

A volume suits by storage class, access modes, volume mode, size, labels and node; of several the smallest is taken. One
that names the claim already comes first, whatever its phase.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api.claims import capacity, class_of, requested
from controlplane.api.node_selectors import matches_terms
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object

DEFAULT_MODE = "Filesystem"


def names_claim(volume: Object, claim: Object) -> bool:
    """Whether the volume's claimRef is this very claim, or one of its name that somebody wrote without a uid."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    metadata = claim["metadata"]
    if (reference.get("namespace"), reference.get("name")) != (metadata["namespace"], metadata["name"]):
        return False
    return reference.get("uid") in (None, "", metadata["uid"])


def mode_of(obj: Object) -> str:
    """The volume mode of a claim or volume."""
    return str(obj["spec"].get("volumeMode") or DEFAULT_MODE)


def mismatch(volume: Object, claim: Object) -> str:
    """Why a volume that the claim asks for by name cannot be its, in upstream's words; "" if it can."""
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if (class_of(volume) or "") != (class_of(claim) or ""):
        return "storageClassName does not match"
    if mode_of(volume) != mode_of(claim):
        return "incompatible volumeMode"
    if not _has_modes(volume, claim):
        return "incompatible accessMode"
    return ""


def best(claim: Object, volumes: Iterable[Object], *, delayed: bool) -> Object | None:
    """The volume for a claim, None if none suits. `delayed`: only one that names the claim, for where the others may be
    depends on the pod that comes."""
    found: Object | None = None
    for volume in volumes:
        if names_claim(volume, claim):
            if capacity(volume) >= requested(claim) and mode_of(volume) == mode_of(claim):
                return volume
            continue
        is_smaller = found is None or capacity(volume) < capacity(found)
        if not delayed and is_smaller and is_free(volume) and suits(volume, claim):
            found = volume
    return found


def is_free(volume: Object) -> bool:
    """Whether a volume waits for a claim, any claim."""
    phase = (volume.get("status") or {}).get("phase")
    return phase == "Available" and not volume["spec"].get("claimRef") and "deletionTimestamp" not in volume["metadata"]


def suits(volume: Object, claim: Object) -> bool:
    """Whether a free volume is one that the claim could have."""
    if mismatch(volume, claim):
        return False
    selector = claim["spec"].get("selector")
    return selector is None or compile_selector(selector)(volume["metadata"].get("labels") or {})


def reaches(volume: Object, node: str, labels: Mapping[str, str]) -> bool:
    """Whether a node can have the volume, by the volume's node affinity."""
    required: Mapping[str, Any] | None = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return required is None or matches_terms(required.get("nodeSelectorTerms") or (), node, labels)


def _has_modes(volume: Object, claim: Object) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())
