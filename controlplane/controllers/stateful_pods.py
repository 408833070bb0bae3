"""The pods of a StatefulSet, each with a name of its own, and the next step towards all of them; pure.

`plan` follows upstream's order: pods that are missing or have ended, then pods beyond the size, then
pods of old templates. In an ordered set each step waits for the one before to be done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from controlplane.api.types import Object
from controlplane.controllers.meta import is_deleting
from controlplane.controllers.pod_control import pod_of_template
from controlplane.controllers.pods import available_in, is_ready, phase
from controlplane.controllers.revisions import HASH_LABEL
from controlplane.controllers.rollout import scaled
from controlplane.controllers.stateful_claims import with_claims

POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)")


class Step(NamedTuple):
    """Ordinals of pods to create, and pods to delete, each in the order in which it is to be done."""

    create: list[int]
    delete: list[Object]


class View(NamedTuple):
    """What a step is taken on: the pods by ordinal, the revisions of old and new pods, the present time."""

    sts: Object
    pods: Mapping[int, Object]
    current: Object
    update: Object
    now: float

    @property
    def ordinals(self) -> range:
        """The ordinals of the pods that there should be."""
        start = (self.sts["spec"].get("ordinals") or {}).get("start", 0)
        return range(start, start + self.sts["spec"].get("replicas", 1))

    @property
    def is_ordered(self) -> bool:
        return bool(self.sts["spec"].get("podManagementPolicy") != "Parallel")

    def is_available(self, pod: Object | None) -> bool:
        """Whether a pod runs, is ready for long enough, and is not on its way out."""
        if pod is None or is_deleting(pod) or phase(pod) != "Running":
            return False
        return available_in(pod, self.sts["spec"].get("minReadySeconds", 0), self.now) == 0


def ordinal_of(sts: Object, pod: Object) -> int | None:
    """The number in the name of a pod of the set; None for a pod that is none of its."""
    match = _NAME.fullmatch(pod["metadata"]["name"])
    return int(match[2]) if match and match[1] == sts["metadata"]["name"] else None


def is_member(sts: Object, pod: Object) -> bool:
    """Whether the pod's name is one that the set gives."""
    return ordinal_of(sts, pod) is not None


def revision_of(pod: Object) -> str:
    """The name of the revision that the pod was made from."""
    name: str = (pod["metadata"].get("labels") or {}).get(HASH_LABEL, "")
    return name


def identity(sts: Object, ordinal: int) -> dict[str, str]:
    """The labels by which a pod of the set is told from the others."""
    return {POD_NAME: f"{sts['metadata']['name']}-{ordinal}", POD_INDEX: str(ordinal)}


def stateful_pod(view: View, ordinal: int) -> Object:
    """The pod of one ordinal, of the old template where the update has not come that far."""
    revision = view.current if _is_held_back(view, ordinal) else view.update
    template = {name: value for name, value in revision["data"]["spec"]["template"].items() if name != "$patch"}
    pod = pod_of_template({**view.sts, "spec": {**view.sts["spec"], "template": template}})
    name = f"{view.sts['metadata']['name']}-{ordinal}"
    metadata: dict[str, Any] = pod["metadata"]
    metadata["name"] = name
    labels = {**metadata.get("labels", {}), **identity(view.sts, ordinal)}
    metadata["labels"] = {**labels, HASH_LABEL: revision["metadata"]["name"]}
    service = view.sts["spec"].get("serviceName")
    spec = {**pod["spec"], "hostname": name, **({"subdomain": service} if service else {})}
    return {**pod, "spec": with_claims(spec, view.sts, ordinal)}


def _is_held_back(view: View, ordinal: int) -> bool:
    strategy = view.sts["spec"].get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return False
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        held: int = (view.sts.get("status") or {}).get("currentReplicas", 0)
    else:
        held = rolling.get("partition", 0)
    return ordinal < view.ordinals.start + held


def plan(view: View) -> Step:
    """The next step."""
    step = Step([], [])
    if _fill(view, step) or _shrink(view, step):
        return step
    strategy = view.sts["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "RollingUpdate":
        _roll(view, strategy.get("rollingUpdate") or {}, step)
    return step


def _fill(view: View, step: Step) -> bool:
    """Pods that are missing or have ended; returns whether the rest has to wait."""
    for ordinal in view.ordinals:
        pod = view.pods.get(ordinal)
        if pod is None:
            step.create.append(ordinal)
        elif phase(pod) in ("Failed", "Succeeded"):
            if not is_deleting(pod):
                step.delete.append(pod)
        elif view.is_available(pod):
            continue
        if view.is_ordered:
            return True
    return False


def _shrink(view: View, step: Step) -> bool:
    """Pods beyond the size, the highest first; returns whether the rest has to wait."""
    condemned = sorted((ordinal for ordinal in view.pods if ordinal not in view.ordinals), reverse=True)
    unavailable = [ordinal for ordinal in sorted(condemned) if not view.is_available(view.pods[ordinal])]
    for ordinal in condemned:
        pod = view.pods[ordinal]
        if not is_deleting(pod):
            if view.is_ordered and ordinal in unavailable[1:]:
                return True
            step.delete.append(pod)
        if view.is_ordered:
            return True
    return False


def _roll(view: View, rolling: Mapping[str, Any], step: Step) -> None:
    """Pods of an old template down to the partition, as many as may be unavailable, the highest first."""
    size = len(view.ordinals)
    allowed = max(1, scaled(rolling.get("maxUnavailable", 1), size, up=True))
    allowed -= sum(not view.is_available(view.pods.get(ordinal)) for ordinal in view.ordinals)
    for ordinal in reversed(view.ordinals[rolling.get("partition", 0) :]):
        pod = view.pods.get(ordinal)
        if allowed <= 0:
            return
        if pod is None or is_deleting(pod) or pod in step.delete:
            continue
        if revision_of(pod) != view.update["metadata"]["name"]:
            step.delete.append(pod)
            allowed -= 1


def stateful_status(view: View) -> dict[str, Any]:
    """The status that describes the pods; a rolling update that is done makes the new revision the current one."""
    sts, current, update = view.sts, view.current["metadata"]["name"], view.update["metadata"]["name"]
    pods = list(view.pods.values())
    ready = [pod for pod in pods if phase(pod) == "Running" and is_ready(pod)]
    min_ready = sts["spec"].get("minReadySeconds", 0)
    living = [revision_of(pod) for pod in pods if not is_deleting(pod)]
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": living.count(current),
        "updatedReplicas": living.count(update),
    }
    size = len(view.ordinals)
    is_rolling = (sts["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate"
    if is_rolling and counts["updatedReplicas"] == len(ready) == len(pods) == size:
        current, counts["currentReplicas"] = update, counts["updatedReplicas"]
    return {
        "replicas": len(pods),
        "availableReplicas": sum(1 for pod in ready if available_in(pod, min_ready, view.now) == 0),
        "observedGeneration": sts["metadata"].get("generation", 0),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": (sts.get("status") or {}).get("collisionCount", 0),
        **{name: count for name, count in counts.items() if count},
    }
