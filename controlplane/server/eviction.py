"""Evictions: a pod is deleted if the PodDisruptionBudget that covers it allows it (upstream's registry/core/pod).

The budget's count is taken down in the same step of the loop in which it is read, so that two evictions never take
the same one; the controller counts anew when the pod has gone.
"""

from __future__ import annotations

from dataclasses import replace

from controlplane.api.errors import ApiError, BadRequest, Forbidden, InternalError, TooManyRequests
from controlplane.api.kinds import POD, POD_DISRUPTION_BUDGET
from controlplane.api.meta import timestamp
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.server import deletion, wording
from controlplane.server.registry import Registry
from controlplane.server.requests import DeleteOptions, User, WriteOptions

RETRY_SECONDS = 10
MOST_DISRUPTED = 2000
UNGUARDED = ("Pending", "Succeeded", "Failed")
"""Phases of pods that no budget holds."""

WOULD_VIOLATE = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


async def evict(registry: Registry, pod: Object, eviction: Object, options: WriteOptions) -> None:
    """Deletes `pod` with the eviction's own delete options; TooManyRequests while its budget does not allow it."""
    metadata, wanted = pod["metadata"], eviction.get("deleteOptions", {})
    name, namespace = metadata["name"], metadata["namespace"]
    if eviction.get("metadata", {}).get("name", name) != name:
        raise BadRequest("name in URL does not match name in Eviction object")
    dry_run = options.dry_run or bool(wanted.get("dryRun"))
    delete = _delete_options(wanted, options.user, dry_run=dry_run)
    deletion.check_preconditions(POD, pod, delete)
    budget = _budget(registry, pod)
    write = WriteOptions(user=options.user, dry_run=dry_run)
    if budget is not None and not _is_free(pod, budget):
        await registry.modify(
            POD_DISRUPTION_BUDGET,
            budget["metadata"]["name"],
            namespace,
            lambda latest: _take_one(latest, name),
            write,
        )
    if not dry_run:
        marked = await registry.modify(POD, name, namespace, lambda latest: _mark(latest, delete), write)
        # What was asked for has been checked, and the mark has made another version of the pod.
        delete = replace(delete, resource_version=delete.resource_version and str(marked.number))
    await registry.delete(POD, name, namespace, delete)


def _delete_options(wanted: Object, user: User, *, dry_run: bool) -> DeleteOptions:
    preconditions = wanted.get("preconditions", {})
    return DeleteOptions(
        user=user,
        dry_run=dry_run,
        grace_period_seconds=wanted.get("gracePeriodSeconds"),
        propagation_policy=wanted.get("propagationPolicy"),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


def _budget(registry: Registry, pod: Object) -> Object | None:
    """The budget that covers a pod which one can hold; an error for several, as upstream's."""
    metadata = pod["metadata"]
    if pod.get("status", {}).get("phase", "Pending") in UNGUARDED or "deletionTimestamp" in metadata:
        return None
    labels = metadata.get("labels")
    if not labels:
        return None
    budgets = [one.document for one in registry.list(POD_DISRUPTION_BUDGET, metadata["namespace"]).revisions]
    found = [budget for budget in budgets if compile_selector(budget["spec"].get("selector"))(labels)]
    if len(found) > 1:
        raise InternalError(SEVERAL)
    return found[0] if found else None


def _is_free(pod: Object, budget: Object) -> bool:
    """Whether an unhealthy pod may go without being counted."""
    conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", ())}
    if conditions.get("Ready") == "True":
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    desired = status.get("desiredHealthy", 0)
    return bool(status.get("currentHealthy", 0) >= desired > 0)


def _take_one(budget: Object, pod: str) -> None:
    metadata, status = budget["metadata"], budget.setdefault("status", {})
    name = metadata["name"]
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", RETRY_SECONDS)
    if status.get("disruptionsAllowed", 0) < 0:
        raise _forbidden(name, "pdb disruptions allowed is negative")
    disrupted = status.setdefault("disruptedPods", {})
    if len(disrupted) > MOST_DISRUPTED:
        raise _forbidden(name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if status.get("disruptionsAllowed", 0) == 0:
        raise _refused(_why(name, status))
    status["disruptionsAllowed"] -= 1
    disrupted[pod] = timestamp()


def _why(name: str, status: Object) -> str:
    for condition in status.get("conditions", ()):
        if (condition["type"], condition.get("reason")) == ("DisruptionAllowed", "SyncFailed"):
            failed = condition.get("message", "")
            return (
                f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {failed}"
            )
    needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    return f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"


def _refused(why: str, seconds: int = 0) -> ApiError:
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    return TooManyRequests(WOULD_VIOLATE, details=details | ({"retryAfterSeconds": seconds} if seconds else {}))


def _forbidden(name: str, why: str) -> Forbidden:
    return wording.forbidden(POD_DISRUPTION_BUDGET, name, why)


def _mark(pod: Object, delete: DeleteOptions) -> None:
    """Says in the pod's status why it goes, if it is still the pod that was meant."""
    deletion.check_preconditions(POD, pod, delete)
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": timestamp(),
    }
    status = pod.setdefault("status", {})
    status["conditions"] = [one for one in status.get("conditions", []) if one["type"] != "DisruptionTarget"]
    status["conditions"].append(condition)
