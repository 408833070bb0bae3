"""The status of a pod as a function of what runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.types import Object
from controlplane.node.config import NodeConfig
from controlplane.node.runtime.container import Container, Exit
from controlplane.node.runtime.record import Record
from controlplane.node.sandbox import Sandbox
from controlplane.node.state import PodState, container_states
from controlplane.node.status import build, deletion_began

CONFIG = NodeConfig(
    name="node-1",
    cluster="unit",
    address="10.128.0.11",
    pod_cidr="10.44.1.0/24",
    namespace=Path("/none"),
    state_directory=Path("/none"),
    run_directory=Path("/none"),
)
NOW = 1795326156.0


def pod(*names: str, init: tuple[str, ...] = (), **spec: Any) -> PodState:
    manifest = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {
            "containers": [{"name": name, "image": "img"} for name in names],
            "initContainers": [{"name": name, "image": "img"} for name in init],
            "restartPolicy": "Always",
            **spec,
        },
        "status": {"phase": "Pending"},
    }
    return PodState(manifest, container_states(manifest), start_time="2026-11-22T05:42:36Z")


def run(state: PodState, name: str, *, code: int | None = None, ready: bool = True, attempt: int = 0) -> None:
    """Puts a container into the state: running, or ended with `code`."""
    record = Record(
        id=f"{name}{attempt}",
        pod_uid="u",
        pod_namespace="shop",
        pod_name="web",
        container=name,
        attempt=attempt,
        init=False,
        image="img",
        image_id="standin://img",
        created=NOW,
        cgroup="",
        log_path="",
        data_dir="",
        termination_path="",
        spec_hash="",
    )
    made, place = Container(record, Path("/none"), 1), state.containers[name]
    made.started = NOW
    if code is not None:
        made.exit = Exit(code, NOW)
    place.previous, place.current = place.current, made
    place.started = place.ready = ready and code is None
    state.sandbox = Sandbox("u", "u", "shop", "web", "ns", "web", "/none", NOW, ("10.44.1.2",))


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in status["conditions"]}


def test_before_anything_runs() -> None:
    status = build(pod("c"), CONFIG, NOW)
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert conditions(status) == {
        "PodReadyToStartContainers": ("False", ""),
        "Initialized": ("True", ""),
        "Ready": ("False", "ContainersNotReady"),
        "ContainersReady": ("False", "ContainersNotReady"),
        "PodScheduled": ("True", ""),
    }


def test_running_and_ready() -> None:
    state = pod("c")
    run(state, "c")
    status = build(state, CONFIG, NOW)
    assert (status["phase"], status["podIP"], status["hostIP"]) == ("Running", "10.44.1.2", "10.128.0.11")
    assert {status for status, _ in conditions(status).values()} == {"True"}
    assert status["containerStatuses"][0]["containerID"] == "crun://c0"


def test_one_of_two_unready_is_named() -> None:
    state = pod("a", "b")
    run(state, "a")
    run(state, "b", ready=False)
    ready = next(c for c in build(state, CONFIG, NOW)["conditions"] if c["type"] == "Ready")
    assert ready["message"] == "containers with unready status: [b]"


def test_init_containers_hold_the_others_back() -> None:
    state = pod("c", init=("i",))
    run(state, "i")
    status = build(state, CONFIG, NOW)
    assert status["phase"] == "Pending"
    assert conditions(status)["Initialized"] == ("False", "ContainersNotInitialized")
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_phases_of_the_end_follow_the_restart_policy() -> None:
    for policy, code, phase in [
        ("Always", 0, "Running"),
        ("OnFailure", 1, "Running"),
        ("OnFailure", 0, "Succeeded"),
        ("Never", 0, "Succeeded"),
        ("Never", 1, "Failed"),
    ]:
        state = pod("c", restartPolicy=policy)
        run(state, "c", code=code)
        assert build(state, CONFIG, NOW)["phase"] == phase, (policy, code)


def test_a_restarted_container_tells_of_its_last_end() -> None:
    state = pod("c")
    run(state, "c", code=3)
    run(state, "c", attempt=1)
    container = build(state, CONFIG, NOW)["containerStatuses"][0]
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert "running" in container["state"]


def test_transition_times_stay_where_nothing_changed() -> None:
    state = pod("c")
    run(state, "c")
    state.written = build(state, CONFIG, NOW)
    assert build(state, CONFIG, NOW + 60) == state.written
    state.containers["c"].ready = False
    later = {c["type"]: c["lastTransitionTime"] for c in build(state, CONFIG, NOW + 60)["conditions"]}
    assert later["Ready"] != later["Initialized"]


def test_readiness_gates_count() -> None:
    state = pod("c", readinessGates=[{"conditionType": "example.com/gate"}])
    run(state, "c")
    assert conditions(build(state, CONFIG, NOW))["Ready"] == ("False", "ReadinessGatesNotReady")
    state.pod["status"]["conditions"] = [{"type": "example.com/gate", "status": "True"}]
    status = build(state, CONFIG, NOW)
    assert conditions(status)["Ready"] == ("True", "")
    assert conditions(status)["example.com/gate"] == ("True", "")


def test_the_node_ends_a_pod_with_its_reason_and_the_phase_is_final() -> None:
    state = pod("app")
    run(state, "app")
    state.failure = ("DeadlineExceeded", "too long")
    assert build(state, CONFIG, NOW)["phase"] == "Running", "until its containers have ended"
    run(state, "app", code=0)
    status = build(state, CONFIG, NOW)
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", "too long")
    again = pod("app")
    again.pod["status"], again.ended = status, True
    run(again, "app", code=0)
    assert build(again, CONFIG, NOW)["phase"] == "Failed", "for an agent that knows only what is stored"


@pytest.mark.parametrize(
    ("metadata", "began"),
    [
        ({"deletionTimestamp": "2026-11-22T06:00:30Z", "deletionGracePeriodSeconds": 30}, -40.0),
        ({"deletionTimestamp": "2026-11-22T06:01:09Z", "deletionGracePeriodSeconds": 30}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_grace_period_goes_on_where_an_earlier_daemon_was(metadata: Object, began: float) -> None:
    now = datetime.fromisoformat("2026-11-22T06:00:40Z").timestamp()
    assert deletion_began({"metadata": metadata}, now) - now == began
