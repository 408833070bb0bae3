"""What the failure of a Job's pod means: podFailurePolicy, backoffLimit and deadline; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from controlplane.api.types import Object
from controlplane.controllers.job_pods import parse_indexes
from controlplane.controllers.meta import parse_time
from controlplane.controllers.pods import phase

Rule = Mapping[str, Any]


class Reason(NamedTuple):
    """Why a Job ends: the reason and message of its condition."""

    reason: str
    message: str


COMPLETED = Reason("CompletionsReached", "Reached expected number of succeeded pods")
BACKOFF_LIMIT = Reason("BackoffLimitExceeded", "Job has reached the specified backoff limit")
MAX_FAILED_INDEXES = Reason(
    "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
)
FAILED_INDEXES = Reason("FailedIndexes", "Job has failed indexes")
DEADLINE = Reason("DeadlineExceeded", "Job was active longer than specified deadline")


def verdict(job: Object, pod: Object) -> tuple[str, str]:
    """The action of the first rule that fits a failed pod ("Count" for none), and the message for FailJob."""
    policy = job["spec"].get("podFailurePolicy") or {}
    for index, rule in enumerate(policy.get("rules", ())):
        found = _match(rule, pod)
        if found:
            return rule["action"], f"{found} matching {rule['action']} rule at index {index}"
    return "Count", ""


def success_rule(job: Object, completed: Collection[int]) -> Reason | None:
    """Why the indexes that succeeded are enough by successPolicy; None if they are not."""
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules", ())):
        text, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        wanted = parse_indexes(text) if text is not None else None
        done = len(completed) if wanted is None else len(wanted.intersection(completed))
        needed = count if count is not None else len(wanted or ())
        if done >= needed:
            return Reason("SuccessPolicy", f"Matched rules at index {number}")
    return None


def _match(rule: Rule, pod: Object) -> str:
    """What of the pod fits the rule, in words; "" for nothing."""
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    codes = rule.get("onExitCodes")
    if codes is not None:
        for container, code in _exit_codes(pod, codes.get("containerName")):
            if (code in codes["values"]) == (codes["operator"] == "In"):
                return f"Container {container} for pod {name} failed with exit code {code}"
    present = {(entry["type"], entry["status"]) for entry in (pod.get("status") or {}).get("conditions") or ()}
    for pattern in rule.get("onPodConditions") or ():
        if (pattern["type"], pattern["status"]) in present:
            return f"Pod {name} has condition {pattern['type']}"
    return ""


def _exit_codes(pod: Object, only: str | None) -> Iterator[tuple[str, int]]:
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(field) or ():
            terminated = (container.get("state") or {}).get("terminated")
            if terminated and terminated.get("exitCode") and only in (None, container["name"]):
                yield container["name"], terminated["exitCode"]


def restarts_exceed(job: Object, pods: Iterable[Object]) -> bool:
    """Whether pods that restart their own containers have done so as often as backoffLimit allows."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in pods:
        if phase(pod) in ("Running", "Pending"):
            status = pod.get("status") or {}
            for field in ("containerStatuses", "initContainerStatuses"):
                restarts += sum(one.get("restartCount", 0) for one in status.get(field) or ())
    limit = job["spec"].get("backoffLimit", 6)
    return restarts > 0 if limit == 0 else restarts >= limit


def deadline_in(job: Object, start: str | None, now: float) -> float | None:
    """The seconds until the Job is past its deadline, negative when it is; None without one."""
    seconds = job["spec"].get("activeDeadlineSeconds")
    if seconds is None or start is None or job["spec"].get("suspend"):
        return None
    return float(parse_time(start) + seconds - now)
