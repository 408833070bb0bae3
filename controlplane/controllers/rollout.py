"""The arithmetic of a Deployment's rollout: pure functions from what is to the next numbers.

Rounding, order and proportions are those of upstream's pkg/controller/deployment/util: surge is
rounded up, unavailability down, and both never become zero together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from controlplane.api.meta import GENERATED_ALPHABET
from controlplane.api.types import Object
from controlplane.controllers.meta import annotation, created_at, is_deleting

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
TEMPLATE_HASH = "pod-template-hash"

NOT_COPIED = frozenset({LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS})
"""Annotations that a Deployment does not hand down to its ReplicaSets."""

NO_DEADLINE = 2**31 - 1
LONGEST_HISTORY = 2000


def replicas(obj: Object) -> int:
    """The replicas that a Deployment or ReplicaSet asks for."""
    wanted: int = obj["spec"].get("replicas", 1)
    return wanted


def status_count(obj: Object, field: str) -> int:
    count: int = (obj.get("status") or {}).get(field, 0)
    return count


def is_rolling(deployment: Object) -> bool:
    return strategy_type(deployment) == "RollingUpdate"


def strategy_type(deployment: Object) -> str:
    kind: str = (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    return kind


def scaled(value: int | str, total: int, *, up: bool) -> int:
    """An IntOrString of `total`: "25%" rounded up or down, a number as it is."""
    if isinstance(value, int):
        return value
    part = int(value.removesuffix("%")) * total
    return -(-part // 100) if up else part // 100


def fenceposts(deployment: Object) -> tuple[int, int]:
    """How many pods may be surplus, and how many may be missing, during a rolling update."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    desired = replicas(deployment)
    surge = scaled(rolling.get("maxSurge", "25%"), desired, up=True)
    unavailable = scaled(rolling.get("maxUnavailable", "25%"), desired, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def max_surge(deployment: Object) -> int:
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    if not is_rolling(deployment) or replicas(deployment) == 0:
        return 0
    return min(fenceposts(deployment)[1], replicas(deployment))


def template_hash(template: Object, collisions: int) -> str:
    """The `pod-template-hash`: FNV-1a over the template and the collision count, in safe letters.

    Same form and length as upstream's; the digits differ, because upstream hashes a dump of its Go structure.
    """
    digest = 2166136261
    for byte in orjson.dumps([template, collisions], option=orjson.OPT_SORT_KEYS):
        digest = ((digest ^ byte) * 16777619) & 0xFFFFFFFF
    return "".join(GENERATED_ALPHABET[ord(digit) % len(GENERATED_ALPHABET)] for digit in str(digest))


def same_template(one: Object, other: Object) -> bool:
    """Whether two pod templates are equal but for the hash label that the controller adds."""
    return one.get("spec") == other.get("spec") and _comparable(one) == _comparable(other)


def _comparable(template: Object) -> dict[str, Any]:
    metadata = {name: value for name, value in (template.get("metadata") or {}).items() if value}
    labels = {name: value for name, value in metadata.pop("labels", {}).items() if name != TEMPLATE_HASH}
    metadata.pop("creationTimestamp", None)
    return {**metadata, "labels": labels}


def by_age(sets: Iterable[Object]) -> list[Object]:
    """Oldest first, then by name."""
    return sorted(sets, key=lambda rs: (created_at(rs), rs["metadata"]["name"]))


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The oldest ReplicaSet that carries the Deployment's present template."""
    template = deployment["spec"]["template"]
    return next((rs for rs in by_age(sets) if same_template(rs["spec"]["template"], template)), None)


def revision(obj: Object) -> int:
    """The revision annotated on a ReplicaSet or Deployment; 0 where there is none or no number."""
    text = annotation(obj, REVISION)
    return int(text) if text and text.isdigit() else 0


def active(sets: Iterable[Object]) -> list[Object]:
    return [rs for rs in sets if replicas(rs) > 0]


def total_replicas(sets: Iterable[Object]) -> int:
    return sum(replicas(rs) for rs in sets)


def new_replicas(deployment: Object, sets: Sequence[Object], new: Object) -> int:
    """How many replicas the new ReplicaSet may have now (upstream's NewRSNewReplicas)."""
    if not is_rolling(deployment):
        return replicas(deployment)
    ceiling = replicas(deployment) + max_surge(deployment)
    current = total_replicas(sets)
    if current >= ceiling:
        return replicas(new)
    return replicas(new) + min(ceiling - current, replicas(deployment) - replicas(new))


def is_scaling_event(deployment: Object, sets: Iterable[Object]) -> bool:
    """Whether the Deployment's replicas changed since its ReplicaSets were last scaled."""
    desired = str(replicas(deployment))
    return any((annotation(rs, DESIRED_REPLICAS) or desired) != desired for rs in active(sets))


def is_saturated(deployment: Object, new: Object | None) -> bool:
    """Whether the new ReplicaSet alone is what the Deployment wants."""
    if new is None:
        return False
    desired = replicas(deployment)
    annotated = annotation(new, DESIRED_REPLICAS)
    return replicas(new) == desired and annotated == str(desired) and status_count(new, "availableReplicas") == desired


def active_or_latest(new: Object | None, olds: Sequence[Object]) -> Object | None:
    """The only active ReplicaSet, or the newest if none is; None when several are."""
    everything = [*olds, new] if new is not None else list(olds)
    running = active(everything)
    if len(running) > 1:
        return None
    if running:
        return running[0]
    if new is not None:
        return new
    return by_age(olds)[-1] if olds else None


def proportional(deployment: Object, sets: Sequence[Object]) -> list[tuple[Object, int]]:
    """The sizes that spread a scaling over several active ReplicaSets in proportion."""
    desired = replicas(deployment)
    allowed = desired + max_surge(deployment) if desired > 0 else 0
    to_add = allowed - total_replicas(sets)
    # The biggest first; on a tie the newer when growing and the older when shrinking.
    age = 1 if to_add <= 0 else -1
    ordered = sorted(sets, key=lambda rs: (-replicas(rs), age * created_at(rs)))
    sizes = []
    added = 0
    for rs in ordered:
        share = _share(deployment, rs, to_add - added) if to_add and replicas(rs) else 0
        sizes.append(replicas(rs) + share)
        added += share
    if to_add and sizes:
        sizes[0] = max(0, sizes[0] + to_add - added)
    return list(zip(ordered, sizes, strict=True))


def _share(deployment: Object, rs: Object, allowed: int) -> int:
    if allowed == 0:
        return 0
    fraction = _fraction(deployment, rs)
    return min(fraction, allowed) if allowed > 0 else max(fraction, allowed)


def _fraction(deployment: Object, rs: Object) -> int:
    if replicas(deployment) == 0:
        return -replicas(rs)
    before = int(annotation(rs, MAX_REPLICAS) or 0) or status_count(deployment, "replicas")
    if before == 0:
        return 0
    size = replicas(rs) * (replicas(deployment) + max_surge(deployment)) / before
    return math.floor(size + 0.5) - replicas(rs)


def cleanup_unhealthy(olds: Sequence[Object], limit: int) -> list[tuple[Object, int]]:
    """Which old ReplicaSets shrink by pods that are not available anyway, `limit` at most."""
    changes = []
    for rs in by_age(olds):
        if limit <= 0:
            break
        unhealthy = min(limit, replicas(rs) - status_count(rs, "availableReplicas"))
        if replicas(rs) == 0 or unhealthy <= 0:
            continue
        changes.append((rs, replicas(rs) - unhealthy))
        limit -= unhealthy
    return changes


def shrink_olds(
    deployment: Object, sets: Sequence[Object], olds: Sequence[tuple[Object, int]]
) -> list[tuple[Object, int]]:
    """How far old ReplicaSets, given with their present sizes, may shrink without breaking availability."""
    minimum = replicas(deployment) - max_unavailable(deployment)
    available = sum(status_count(rs, "availableReplicas") for rs in sets)
    spare = available - minimum
    changes = []
    for rs, size in sorted(olds, key=lambda pair: created_at(pair[0])):
        if spare <= 0:
            break
        if size == 0:
            continue
        step = min(size, spare)
        changes.append((rs, size - step))
        spare -= step
    return changes


def old_scale_down(deployment: Object, new: Object, olds: Sequence[Object]) -> dict[str, int]:
    """The new sizes of the old ReplicaSets, by name; empty when nothing may go now."""
    sets = [*olds, new]
    if total_replicas(olds) == 0:
        return {}
    minimum = replicas(deployment) - max_unavailable(deployment)
    unavailable_new = replicas(new) - status_count(new, "availableReplicas")
    limit = total_replicas(sets) - minimum - unavailable_new
    if limit <= 0:
        return {}
    sizes = {rs["metadata"]["name"]: size for rs, size in cleanup_unhealthy(olds, limit)}
    current = [(rs, sizes.get(rs["metadata"]["name"], replicas(rs))) for rs in active(olds)]
    sizes.update((rs["metadata"]["name"], size) for rs, size in shrink_olds(deployment, sets, current))
    return sizes


def expendable(deployment: Object, olds: Iterable[Object]) -> list[Object]:
    """The old, empty ReplicaSets beyond revisionHistoryLimit, lowest revision first."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    alive = sorted((rs for rs in olds if not is_deleting(rs)), key=lambda rs: (revision(rs), created_at(rs)))
    return [rs for rs in alive[: max(0, len(alive) - limit)] if _is_empty_and_observed(rs)]


def _is_empty_and_observed(rs: Object) -> bool:
    observed = status_count(rs, "observedGeneration") >= rs["metadata"].get("generation", 0)
    return observed and replicas(rs) == 0 and status_count(rs, "replicas") == 0
