"""The pods of a Job: how they are made, told apart by index, and judged when they end; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.meta import is_deleting, parse_time
from controlplane.controllers.pod_control import pod_of_template
from controlplane.controllers.pods import phase

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer that holds a pod until its end is counted."""

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
"""How often the index of a pod had failed when the pod was made; of Jobs that limit that."""


def is_indexed(job: Object) -> bool:
    """Whether each pod of the Job has an index of its own."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_tracked(pod: Object) -> bool:
    """Whether the end of the pod is still to be counted."""
    return TRACKING in pod["metadata"].get("finalizers", ())


def replaces_only_failed(job: Object) -> bool:
    """Whether a pod is replaced when it has ended, and not already when it is being deleted."""
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def has_failed(job: Object, pod: Object) -> bool:
    """Whether the pod counts as failed; one that is deleted may never come to say so itself."""
    if phase(pod) == "Failed":
        return True
    return is_deleting(pod) and phase(pod) != "Succeeded" and not replaces_only_failed(job)


def index_of(pod: Object) -> int | None:
    """The completion index of a pod, None for one without."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdigit() else None


def parse_indexes(text: str) -> set[int]:
    """The numbers in a text such as "1,3-5,7"."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """The reverse of `parse_indexes`: ranges of three and more are written with "-", two as "3,4"."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(
        str(first) if first == last else f"{first},{last}" if last == first + 1 else f"{first}-{last}"
        for first, last in runs
    )


def free_indexes(job: Object, taken: Collection[int], count: int) -> list[int]:
    """The lowest `count` indexes that are neither done nor taken."""
    free: list[int] = []
    for index in range(job["spec"].get("completions", 0)):
        if len(free) == count:
            break
        if index not in taken:
            free.append(index)
    return free


def limits_each_index(job: Object) -> bool:
    """Whether the failures of each index are limited, and not those of the Job."""
    return is_indexed(job) and job["spec"].get("backoffLimitPerIndex") is not None


def failures_of(pod: Object) -> int:
    """How often the index of a failed pod has failed, this time included."""
    text = (pod["metadata"].get("annotations") or {}).get(FAILURES, "")
    return 1 + (int(text) if text.isdigit() else 0)


def failed_at(pod: Object, default: float) -> float:
    """When the last container of a failed pod ended, in epoch seconds."""
    ends = []
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        finished = ((container.get("state") or {}).get("terminated") or {}).get("finishedAt")
        if finished:
            ends.append(parse_time(finished))
    return max(ends, default=default)


def job_pod(job: Object, index: int | None, failures: int = 0) -> Object:
    """A pod of the Job, for one index of an Indexed one, without a name yet; that index has failed so often before."""
    pod = pod_of_template(job)
    metadata: dict[str, Any] = pod["metadata"]
    metadata["finalizers"] = [*metadata.get("finalizers", ()), TRACKING]
    if index is None:
        return pod
    name = job["metadata"]["name"]
    metadata["generateName"] = f"{name}-{index}-"
    for field in ("labels", "annotations"):
        metadata[field] = {**metadata.get(field, {}), INDEX: str(index)}
    if limits_each_index(job):
        metadata["annotations"][FAILURES] = str(failures)
    spec = {**pod["spec"], "hostname": f"{name}-{index}"}
    for field in ("containers", "initContainers"):
        if field in spec:
            spec[field] = [_with_index(container) for container in spec[field]]
    return {**pod, "spec": spec}


def _with_index(container: Mapping[str, Any]) -> dict[str, Any]:
    env = container.get("env") or []
    if any(one.get("name") == "JOB_COMPLETION_INDEX" for one in env):
        return dict(container)
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*env, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]}
