"""Indexed Jobs whose indexes fail and succeed on their own: backoffLimitPerIndex, maxFailedIndexes, successPolicy."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.types import Object
from controlplane.controllers.job_pods import FAILURES, INDEX
from tests.api.controllers.conftest import World
from tests.api.controllers.test_job import active, end, job, make, running, status_with

__all__ = ["running"]


def indexed(completions: int, **spec: Any) -> Object:
    return job(completions=completions, parallelism=completions, completionMode="Indexed", **spec)


def at(pods: list[Object], index: int) -> Object:
    return next(pod for pod in pods if pod["metadata"]["annotations"][INDEX] == str(index))


async def test_an_index_that_fails_too_often_fails_alone(running: World) -> None:
    made = await make(running, indexed(3, backoffLimitPerIndex=1))
    assert made["spec"]["backoffLimit"] == 2**31 - 1
    first = await active(running, 3)
    assert at(first, 1)["metadata"]["annotations"][FAILURES] == "0"
    await end(running, at(first, 1), "Failed", 1)
    again = at(await active_again(running, first), 1)
    assert again["metadata"]["annotations"][FAILURES] == "1"
    await end(running, again, "Failed", 1)
    left = await active(running, 2)
    for index in (0, 2):
        await end(running, at(left, index), "Succeeded")
    status = await status_with(running, "Failed")
    assert (status["reason"], status["message"]) == ("FailedIndexes", "Job has failed indexes")
    assert (status["failedIndexes"], status["completedIndexes"], status["failed"]) == ("1", "0,2", 2)


async def active_again(world: World, before: list[Object]) -> list[Object]:
    """The running pods once one is there that was not before."""
    known = {pod["metadata"]["uid"] for pod in before}

    async def observe() -> list[Object]:
        pods = await active(world, len(before))
        return pods if {pod["metadata"]["uid"] for pod in pods} - known else []

    return await world.until(observe)


async def test_too_many_failed_indexes_end_the_job(running: World) -> None:
    await make(running, indexed(4, backoffLimitPerIndex=0, maxFailedIndexes=1))
    pods = await active(running, 4)
    await end(running, at(pods, 3), "Failed", 1)
    await active(running, 3)
    await end(running, at(pods, 0), "Failed", 1)
    status = await status_with(running, "Failed")
    assert status["reason"] == "MaxFailedIndexesExceeded"
    assert status["message"] == "Job has exceeded the specified maximal number of failed indexes"
    assert status["failedIndexes"] == "0,3"


async def test_a_rule_fails_an_index_at_once(running: World) -> None:
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}
    await make(running, indexed(2, backoffLimitPerIndex=5, podFailurePolicy={"rules": [rule]}))
    pods = await active(running, 2)
    await end(running, at(pods, 0), "Failed", 42)
    (left,) = await active(running, 1)
    await end(running, left, "Succeeded")
    status = await status_with(running, "Failed")
    assert (status["reason"], status["failedIndexes"]) == ("FailedIndexes", "0")


async def test_a_job_succeeds_by_the_rule_of_its_own(running: World) -> None:
    rules = [{"succeededIndexes": "0,2-3", "succeededCount": 2}, {"succeededCount": 4}]
    await make(running, indexed(5, successPolicy={"rules": rules}))
    pods = await active(running, 5)
    await end(running, at(pods, 1), "Succeeded")
    await end(running, at(pods, 3), "Succeeded")
    await active(running, 3)
    await end(running, at(pods, 0), "Succeeded")
    status = await status_with(running, "Complete")
    assert [one["type"] for one in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert (status["reason"], status["message"]) == ("SuccessPolicy", "Matched rules at index 0")
    assert (status["succeeded"], status["completedIndexes"]) == (3, "0,1,3")
    assert "failed" not in status


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"maxFailedIndexes": 1}, "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"),
        (
            {"backoffLimitPerIndex": 1, "maxFailedIndexes": 9},
            "spec.maxFailedIndexes: Invalid value: 9: must be less than or equal to completions",
        ),
        (
            {"successPolicy": {"rules": [{}]}},
            "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes",
        ),
        ({"successPolicy": {"rules": [{"succeededIndexes": "3,1"}]}}, "error parsing succeededIndexes"),
        ({"successPolicy": {"rules": [{"succeededCount": 9}]}}, "must be less than or equal to 2"),
        (
            {"podFailurePolicy": {"rules": [{"action": "FailIndex", "onPodConditions": [{"type": "X"}]}]}},
            'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex',
        ),
    ],
)
async def test_what_is_wrong_is_said(world: World, spec: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await make(world, indexed(2, **spec))
    assert text in refused.value.message
