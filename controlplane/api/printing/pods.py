"""The row of a pod: readiness, the status in one word, restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from controlplane.api.printing.cells import AGE, NAME, NONE, age, human_duration, seconds_of
from controlplane.api.types import Column, Object

COLUMNS = (
    NAME,
    Column("Ready", description="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", description="The aggregate status of the containers in this pod."),
    Column("Restarts", description="The number of times the containers in this pod have been restarted."),
    AGE,
    Column("IP", priority=1, description="IP address allocated to the pod."),
    Column("Node", priority=1, description="The node that the pod runs on."),
    Column("Nominated Node", priority=1, description="The node for which preemption makes room."),
    Column("Readiness Gates", priority=1, description="Readiness gates that are true, of all."),
)

Status = Mapping[str, Any]


class Summary(NamedTuple):
    """What the containers of a pod come to; `restarted` is epoch seconds of the last restart, 0 for none."""

    reason: str
    ready: int
    total: int
    restarts: int
    restarted: float


def row(obj: Object, now: float) -> list[Any]:
    """The cells of one pod."""
    spec, status = obj.get("spec", {}), obj.get("status", {})
    summary = summarize(obj)
    restarts = str(summary.restarts)
    if summary.restarts and summary.restarted:
        restarts += f" ({human_duration(now - summary.restarted)} ago)"
    return [
        obj["metadata"]["name"],
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age(obj, now),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(spec, status),
    ]


def summarize(pod: Object) -> Summary:
    """The status word, counts and restarts that upstream's printer shows for `pod`."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    summary = _summarize_init(spec, status)
    initializing = summary.reason.startswith("Init:")
    if not initializing or _condition(status, "Initialized"):
        summary = _summarize_containers(status, summary)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return summary._replace(reason="Unknown")
        if status.get("phase") not in ("Succeeded", "Failed"):
            return summary._replace(reason="Terminating")
    return summary


def _phase(status: Status) -> str:
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return str(status.get("reason") or status.get("phase", ""))


def _summarize_init(spec: Status, status: Status) -> Summary:
    """Init containers alone. While one holds the pod up the reason starts with "Init:" and restarts
    are theirs; afterwards only those of sidecars count."""
    containers = spec.get("initContainers", ())
    sidecars = {one.get("name") for one in containers if one.get("restartPolicy") == "Always"}
    total = len(spec.get("containers", ())) + len(sidecars)
    ready, restarts, restarted = 0, [0, 0], [0.0, 0.0]
    for index, one in enumerate(status.get("initContainerStatuses", ())):
        sidecar = one.get("name") in sidecars
        for counter in (0, 1) if sidecar else (0,):
            restarts[counter] += one.get("restartCount", 0)
            restarted[counter] = max(restarted[counter], _last_end(one))
        state = one.get("state", {})
        if state.get("terminated", {}).get("exitCode") == 0:
            continue
        if sidecar and one.get("started"):
            ready += bool(one.get("ready"))
            continue
        reason = _init_reason(state, index, len(containers))
        return Summary(reason, ready, total, restarts[0], restarted[0])
    return Summary(_phase(status), ready, total, restarts[1], restarted[1])


def _init_reason(state: Status, index: int, count: int) -> str:
    terminated, waiting = state.get("terminated"), state.get("waiting", {}).get("reason")
    if terminated is not None:
        return f"Init:{_ended(terminated)}"
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{count}"


def _summarize_containers(status: Status, summary: Summary) -> Summary:
    reason = summary.reason
    ready, restarts, restarted, running = summary.ready, summary.restarts, summary.restarted, False
    for one in reversed(status.get("containerStatuses", ())):
        restarts += one.get("restartCount", 0)
        restarted = max(restarted, _last_end(one))
        state = one.get("state", {})
        if state.get("waiting", {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = _ended(state["terminated"])
        elif one.get("ready") and "running" in state:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if _condition(status, "Ready") else "NotReady"
    return Summary(reason, ready, summary.total, restarts, restarted)


def _ended(terminated: Status) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _last_end(container: Status) -> float:
    return seconds_of(container.get("lastState", {}).get("terminated", {}).get("finishedAt")) or 0.0


def _condition(status: Status, type_: str) -> bool:
    return any(one.get("type") == type_ and one.get("status") == "True" for one in status.get("conditions", ()))


def _readiness_gates(spec: Status, status: Status) -> str:
    gates = spec.get("readinessGates", ())
    if not gates:
        return NONE
    return f"{sum(_condition(status, gate.get('conditionType', '')) for gate in gates)}/{len(gates)}"
