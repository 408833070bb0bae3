"""Jobs: indexes, the meaning of failures, and the count; pure."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.types import Object
from controlplane.controllers.job_pods import TRACKING, format_indexes, free_indexes, job_pod, parse_indexes
from controlplane.controllers.job_policy import deadline_in, restarts_exceed, verdict
from controlplane.controllers.job_tally import Tally


def job(**spec: Any) -> Object:
    template = {"spec": {"containers": [{"name": "main"}], "restartPolicy": "Never"}}
    metadata = {"name": "work", "namespace": "default", "uid": "j"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}


def pod(uid: str, phase: str, *, tracked: bool = True, **status: Any) -> Object:
    metadata = {"name": uid, "namespace": "default", "uid": uid, "finalizers": [TRACKING] if tracked else []}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, **status}}


def exited(name: str, code: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": 0, "state": {"terminated": {"exitCode": code}}, **more}


@pytest.mark.parametrize(
    ("text", "indexes"),
    [("", set()), ("3", {3}), ("0,1", {0, 1}), ("0-2", {0, 1, 2}), ("1,3-5,7", {1, 3, 4, 5, 7})],
)
def test_indexes_are_written_as_ranges(text: str, indexes: set[int]) -> None:
    assert parse_indexes(text) == indexes
    assert format_indexes(indexes) == text


def test_free_indexes() -> None:
    assert free_indexes(job(completions=5), {0, 2}, 2) == [1, 3]
    assert free_indexes(job(completions=2), {0, 1}, 2) == []


def test_a_pod_of_an_index_keeps_the_template_as_it_is() -> None:
    one = job(completions=2)
    made = job_pod(one, 1)
    assert made["spec"]["hostname"] == "work-1"
    assert made["metadata"]["generateName"] == "work-1-"
    assert "env" not in one["spec"]["template"]["spec"]["containers"][0]


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "side", "operator": "In", "values": [2]}},
    ]
    one = job(podFailurePolicy={"rules": rules})
    assert verdict(one, pod("a", "Failed", containerStatuses=[exited("main", 3)]))[0] == "Count"
    disrupted = pod("a", "Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    assert verdict(one, disrupted)[0] == "Ignore"
    action, message = verdict(one, pod("a", "Failed", containerStatuses=[exited("main", 2), exited("side", 2)]))
    assert action == "FailJob"
    assert message == "Container side for pod default/a failed with exit code 2 matching FailJob rule at index 2"
    assert verdict(one, pod("a", "Failed", containerStatuses=[exited("main", 0)])) == ("Count", "")


def test_restarts_count_only_where_containers_restart() -> None:
    restarted = pod("a", "Running", containerStatuses=[exited("main", 1, restartCount=2)])
    one = job(backoffLimit=2)
    assert not restarts_exceed(one, [restarted])
    one["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    assert restarts_exceed(one, [restarted])
    one["spec"]["backoffLimit"] = 3
    assert not restarts_exceed(one, [restarted])


def test_deadline() -> None:
    assert deadline_in(job(activeDeadlineSeconds=60), "1970-01-01T00:00:10Z", 30.0) == 40.0
    assert deadline_in(job(activeDeadlineSeconds=60, suspend=True), "1970-01-01T00:00:10Z", 30.0) is None
    assert deadline_in(job(), "1970-01-01T00:00:10Z", 30.0) is None


def test_an_end_is_counted_when_the_finalizer_is_gone_and_once() -> None:
    one = job(completions=2)
    tally = Tally(one, [pod("a", "Succeeded"), pod("b", "Failed")])
    assert (tally.succeeded, tally.failed) == (1, 1)
    one["status"] = tally.status(0, 0)
    assert one["status"] == {
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["b"]},
    }
    again = Tally(one, [pod("a", "Succeeded", tracked=False), pod("b", "Failed")])
    assert (again.succeeded, again.failed) == (1, 1)
    assert [found["metadata"]["uid"] for found in again.to_release] == ["b"]
    again.count_released({"b"})
    assert again.status(0, 0)["succeeded"] == again.status(0, 0)["failed"] == 1
    assert again.status(0, 0)["uncountedTerminatedPods"] == {}
