"""Pod status: a pure function of what the agent knows, with the kubelet's phases, conditions and reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controlplane.api.rules.qos import qos_class
from controlplane.api.types import Object
from controlplane.node.config import NodeConfig
from controlplane.node.runtime.container import Container
from controlplane.node.state import OWN_CONDITIONS, ContainerState, PodState

ROUNDING_SECONDS = 2.0
ENDED_PHASES = ("Succeeded", "Failed")


def timestamp(seconds: float) -> str:
    """Epoch seconds as the API writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deletion_began(pod: Object, now: float) -> float:
    """When the grace period of a pod that is being deleted began: before this daemon, maybe."""
    metadata = pod["metadata"]
    if not metadata.get("deletionTimestamp"):
        return now
    end = datetime.fromisoformat(metadata["deletionTimestamp"]).timestamp()
    began = end - float(metadata.get("deletionGracePeriodSeconds") or 0)
    # The timestamp has whole seconds: what is as good as now is not cut short by them.
    return began if now - began > ROUNDING_SECONDS else now


def build(state: PodState, config: NodeConfig, now: float) -> Object:
    """The whole status of a pod; transition times are kept where nothing changed."""
    pod, old = state.pod, state.written or state.pod.get("status") or {}
    phase = phase_of(state)
    status: Object = {
        "phase": phase,
        "observedGeneration": pod["metadata"].get("generation", 1),
        "conditions": _conditions(state, old, phase, timestamp(now)),
        "hostIP": config.address,
        "hostIPs": [{"ip": config.address}],
        "startTime": state.start_time,
        "qosClass": old.get("qosClass") or qos_class(pod["spec"]),
        "containerStatuses": [_container(c, state) for c in sorted(state.of_role("main"), key=lambda c: c.name)],
    }
    if state.sandbox is not None and state.sandbox.addresses:
        status["podIP"] = state.sandbox.addresses[0]
        status["podIPs"] = [{"ip": address} for address in state.sandbox.addresses]
    elif old.get("podIP"):
        status |= {"podIP": old["podIP"], "podIPs": old["podIPs"]}
    if state.of_role("init", "sidecar"):
        status["initContainerStatuses"] = [_container(c, state) for c in state.of_role("init", "sidecar")]
    if state.of_role("ephemeral"):
        status["ephemeralContainerStatuses"] = [_ephemeral(c, state, old) for c in state.of_role("ephemeral")]
    for key in ("reason", "message", "nominatedNodeName"):
        if old.get(key):
            status[key] = old[key]
    if state.failure is not None and phase == "Failed":
        status["reason"], status["message"] = state.failure
    return status


def initialized(state: PodState) -> bool:
    """All init containers have done their work, and the sidecars have started."""
    return all(c.succeeded if c.role == "init" else c.running and c.started for c in state.of_role("init", "sidecar"))


def may_restart(container: ContainerState, policy: str) -> bool:
    """Whether an ended container begins again: by its rules, its own restartPolicy, or else `policy`, its pod's."""
    if container.role == "sidecar" or _rule_matches(container):
        return True
    policy = container.spec.get("restartPolicy") or policy
    if container.role == "init":
        return policy != "Never" and not container.succeeded
    return policy == "Always" or (policy == "OnFailure" and not container.succeeded)


def _rule_matches(container: ContainerState) -> bool:
    """Whether one of its restartPolicyRules, whose only action is Restart, speaks of the status it ended with."""
    if container.current is None or container.current.exit is None:
        return False
    for rule in container.spec.get("restartPolicyRules") or []:
        wanted = rule.get("exitCodes") or {}
        if (container.current.exit.code in (wanted.get("values") or [])) == (wanted.get("operator") == "In"):
            return True
    return False


def phase_of(state: PodState) -> str:
    """The phase: what its containers say, unless it has reached its last one already."""
    before = (state.written or state.pod.get("status") or {}).get("phase")
    if before in ENDED_PHASES and not state.alive:
        return str(before)
    if state.failure is not None and not state.alive:
        return "Failed"
    if state.ended:
        return "Succeeded" if all(c.succeeded for c in state.of_role("main")) else "Failed"
    policy = state.pod["spec"].get("restartPolicy", "Always")
    began = any(c.current is not None for c in state.of_role("main"))
    for container in state.of_role("init"):
        failed = container.current is not None and container.current.exit is not None and not container.succeeded
        if failed and not may_restart(container, policy):
            return "Failed"
        if not container.succeeded and not began:
            return "Pending"
    mains = state.of_role("main")
    if any(c.current is None or (c.current.started is None and c.current.exit is None) for c in mains):
        return "Pending"
    if any(c.running for c in mains) or any(may_restart(c, policy) for c in mains):
        return "Running"
    return "Succeeded" if all(c.succeeded for c in mains) else "Failed"


def _conditions(state: PodState, old: Object, phase: str, now: str) -> list[Object]:
    before = {c["type"]: c for c in old.get("conditions") or []} | {
        c["type"]: c
        for c in (state.pod.get("status") or {}).get("conditions") or []
        if c["type"] not in OWN_CONDITIONS or c["type"] == "PodScheduled"
    }
    generation = state.pod["metadata"].get("generation", 1)
    ready, containers_ready = _readiness(state, phase, before)
    sandbox = state.sandbox is not None and bool(state.sandbox.addresses)
    wanted = [
        ("PodReadyToStartContainers", sandbox, "", ""),
        _initialized_condition(state, phase),
        ("Ready", *ready),
        ("ContainersReady", *containers_ready),
        ("PodScheduled", True, "", ""),
    ]
    found = []
    for kind, true, reason, message in wanted:
        condition: Object = {
            "type": kind,
            "observedGeneration": generation,
            "status": "True" if true else "False",
            "lastTransitionTime": now,
        }
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        previous = before.get(kind)
        if previous is not None and previous["status"] == condition["status"] and previous.get("lastTransitionTime"):
            condition["lastTransitionTime"] = previous["lastTransitionTime"]
        found.append(condition)
    return found + [condition for kind, condition in before.items() if kind not in OWN_CONDITIONS]


def _initialized_condition(state: PodState, phase: str) -> tuple[str, bool, str, str]:
    began = any(c.current is not None for c in state.of_role("main"))
    if phase == "Succeeded" or began or initialized(state):
        return "Initialized", True, "PodCompleted" if phase == "Succeeded" else "", ""
    left = [c.name for c in state.of_role("init", "sidecar") if not (c.succeeded or (c.running and c.started))]
    return "Initialized", False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(left)}]"


_Verdict = tuple[bool, str, str]


def _readiness(state: PodState, phase: str, conditions: dict[str, Object]) -> tuple[_Verdict, _Verdict]:
    if phase in ("Succeeded", "Failed"):
        verdict = (False, "PodCompleted" if phase == "Succeeded" else "PodFailed", "")
        return verdict, verdict
    unready = [c.name for c in state.of_role("sidecar", "main") if not is_ready(c)]
    if unready:
        verdict = (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
        return verdict, verdict
    for gate in state.pod["spec"].get("readinessGates") or []:
        kind = gate["conditionType"]
        if kind not in conditions:
            why = f'corresponding condition of pod readiness gate "{kind}" does not exist.'
        elif conditions[kind]["status"] != "True":
            why = f'the status of pod readiness gate "{kind}" is not "True", but {conditions[kind]["status"]}'
        else:
            continue
        return (False, "ReadinessGatesNotReady", why), (True, "", "")
    return (True, "", ""), (True, "", "")


def is_ready(container: ContainerState) -> bool:
    """Running, started, and its readiness probe, if any, says yes."""
    return container.running and container.started and container.ready and container.stopping is None


def _container(container: ContainerState, state: PodState) -> Object:
    current = container.current
    status: Object = {
        "name": container.name,
        "state": _state(container, state),
        "lastState": {},
        "ready": is_ready(container) if container.role != "init" else container.succeeded,
        "restartCount": current.record.attempt if current is not None else _next_attempt(container),
        "image": container.spec["image"],
        "imageID": "",
        "started": container.running and container.started,
    }
    shown = current or container.previous
    if shown is not None:
        status["image"], status["imageID"] = shown.record.image or status["image"], shown.record.image_id
        status["containerID"] = f"{shown.record.runtime}://{shown.record.id}"
        if shown.record.user:
            uid, gid, *groups = shown.record.user
            status["user"] = {"linux": {"uid": uid, "gid": gid, "supplementalGroups": groups}}
    if container.resources:
        status["allocatedResources"] = container.resources.get("requests") or {}
        status["resources"] = container.resources
    last = container.previous
    if current is not None and current.exit is not None and container.waiting is not None:
        last = current
    if last is not None and last.exit is not None:
        status["lastState"] = {"terminated": terminated(last)}
    return status


def _ephemeral(container: ContainerState, state: PodState, old: Object) -> Object:
    """One that an earlier boot of the host ran is not begun again, and has only what was said of it then."""
    if container.current is None and container.waiting is None:
        for said in old.get("ephemeralContainerStatuses") or []:
            if said["name"] == container.name:
                return dict(said)
    status = _container(container, state)
    del status["started"]
    return status | {"ready": False}


def _next_attempt(container: ContainerState) -> int:
    return container.previous.record.attempt + 1 if container.previous is not None else 0


def _state(container: ContainerState, state: PodState) -> Object:
    current = container.current
    if container.waiting is not None and not container.running:
        reason, message = container.waiting
        return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
    if current is not None and current.exit is not None:
        return {"terminated": terminated(current)}
    if current is not None and current.started is not None:
        return {"running": {"startedAt": timestamp(current.started)}}
    return {"waiting": {"reason": "PodInitializing" if state.of_role("init", "sidecar") else "ContainerCreating"}}


def terminated(container: Container) -> Object:
    """The `terminated` state of an attempt that has ended."""
    if container.exit is None:
        return {}
    reason = "Completed" if container.exit.code == 0 else "Error"
    if container.exit.oom:
        reason = "OOMKilled"
    if container.start_error:
        reason = "StartError"
    found: dict[str, Any] = {
        "exitCode": container.exit.code,
        "reason": reason,
        "startedAt": timestamp(container.started or 0.0),
        "finishedAt": timestamp(container.exit.finished),
        "containerID": f"{container.record.runtime}://{container.record.id}",
    }
    message = container.start_error or container.message
    if message:
        found["message"] = message
    return found
