"""The CronJob controller on a real API, with a time of the test's own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import CRON_JOB, JOB
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.cronjob import CronJobController
from tests.api.controllers.conftest import World, pod_spec


def cron_job(schedule: str = "* * * * *", name: str = "tick", **spec: Any) -> Object:
    job = {"spec": {"template": {"spec": pod_spec(restartPolicy="Never")}}}
    return {"metadata": {"name": name}, "spec": {"schedule": schedule, "jobTemplate": job, **spec}}


class Ticking:
    """A world whose time goes on by minutes, when the test says so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = time.time() // 60 * 60 + 30
        self._passes = 0

    def clock(self) -> float:
        return self.now

    async def make(self, **spec: Any) -> Object:
        return await self.world.client.create(CRON_JOB, cron_job(**spec), "default")

    async def minutes(self, count: float = 1) -> int:
        """Lets time pass, has the controller look, and returns the number in the name of the Job of that minute."""
        self.now += count * 60
        self._passes += 1
        body = {"metadata": {"annotations": {"pass": str(self._passes)}}}
        await self.world.client.patch(CRON_JOB, "tick", "default", body=body)
        return int(self.now) // 60

    async def jobs(self, names: Iterable[int]) -> list[Object]:
        """The Jobs, once they are those of these minutes, oldest first."""
        wanted = [f"tick-{number}" for number in names]

        async def observe() -> list[Object]:
            jobs = sorted(await self.world.items(JOB, "default"), key=lambda job: job["metadata"]["name"])
            assert [job["metadata"]["name"] for job in jobs] == wanted
            return jobs or [{}]

        return await self.world.until(observe)

    async def active(self, count: int) -> dict[str, Any]:
        async def observe() -> dict[str, Any]:
            status: dict[str, Any] = (await self.world.client.get(CRON_JOB, "tick", "default"))["status"]
            assert len(status.get("active", ())) == count, status
            return status or {"": None}

        return await self.world.until(observe)

    async def finish(self, job: Object, type_: str = "Complete") -> None:
        stamp = timestamp(self.now)
        condition = {"type": type_, "status": "True", "lastTransitionTime": stamp, "lastProbeTime": stamp}
        status = {"conditions": [condition], "startTime": stamp}
        if type_ == "Complete":
            status["completionTime"] = stamp
        name = job["metadata"]["name"]
        await self.world.client.patch(JOB, name, "default", body={"status": status}, subresource="status")

    async def told(self, reason: str, *messages: str) -> None:
        async def observe() -> bool:
            found = await self.world.messages(reason)
            assert found == list(messages), found
            return True

        await self.world.until(observe)


@pytest.fixture
async def ticking(world: World) -> Ticking:
    ticking = Ticking(world)
    world.run(CronJobController(world.client, world.informers, clock=ticking.clock))
    return ticking


async def test_a_job_a_minute_and_a_history_of_three(ticking: Ticking) -> None:
    made = await ticking.make()
    spec = made["spec"]
    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Allow", False)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 1)
    numbers = []
    for _ in range(4):
        numbers.append(await ticking.minutes())
        jobs = await ticking.jobs(numbers)
        await ticking.active(1)
        await ticking.finish(jobs[-1])
        status = await ticking.active(0)
    first = jobs[0]
    owner = first["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("CronJob", "tick", True)
    scheduled = timestamp(numbers[0] * 60)
    assert first["metadata"]["annotations"] == {"batch.kubernetes.io/cronjob-scheduled-timestamp": scheduled}
    assert status["lastScheduleTime"] == timestamp(numbers[-1] * 60)
    assert status["lastSuccessfulTime"] == timestamp(ticking.now)
    await ticking.jobs(numbers[1:])
    await ticking.told("SuccessfulDelete", f"Deleted job tick-{numbers[0]}")
    await ticking.told("SuccessfulCreate", *(f"Created job tick-{number}" for number in numbers))
    done = [f"Saw completed job: tick-{number}, condition: Complete" for number in numbers]
    await ticking.told("SawCompletedJob", *done)


async def test_forbid_waits_for_the_running_one(ticking: Ticking) -> None:
    await ticking.make(concurrencyPolicy="Forbid")
    first = await ticking.minutes()
    jobs = await ticking.jobs([first])
    await ticking.active(1)
    second = await ticking.minutes()
    text = "Not starting job because prior execution is running and concurrency policy is Forbid"
    await ticking.told("JobAlreadyActive", text)
    await ticking.jobs([first])
    await ticking.finish(jobs[0], "Failed")
    await ticking.jobs([first, second])


async def test_replace_ends_the_running_one(ticking: Ticking) -> None:
    await ticking.make(concurrencyPolicy="Replace")
    first = await ticking.minutes()
    await ticking.jobs([first])
    await ticking.active(1)
    second = await ticking.minutes()
    await ticking.jobs([second])
    await ticking.told("SuccessfulDelete", f"Deleted job tick-{first}")

    async def replaced() -> bool:
        status = await ticking.active(1)
        return bool(status["active"][0]["name"] == f"tick-{second}")

    await ticking.world.until(replaced)


async def test_suspended_nothing_starts_and_of_what_was_missed_only_the_last(ticking: Ticking) -> None:
    await ticking.make(suspend=True)
    await ticking.minutes(3)
    await ticking.jobs([])
    await ticking.world.client.patch(CRON_JOB, "tick", "default", body={"spec": {"suspend": False}})
    await ticking.jobs([int(ticking.now) // 60])


async def test_what_is_too_late_is_missed(ticking: Ticking) -> None:
    await ticking.make(schedule="0 0 1 1 *", startingDeadlineSeconds=10)
    year = datetime.fromtimestamp(ticking.now, UTC).year + 1
    ticking.now = datetime(year, 1, 1, 0, 0, 30, tzinfo=UTC).timestamp()
    await ticking.minutes(0)
    ticking.now = datetime(year + 1, 1, 1, 0, 0, 5, tzinfo=UTC).timestamp()
    await ticking.minutes(0)
    await ticking.jobs([int(ticking.now) // 60])


async def test_many_missed_times_are_told_and_the_last_one_starts(ticking: Ticking) -> None:
    await ticking.make()
    number = await ticking.minutes(5000)
    await ticking.jobs([number])
    text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    await ticking.told("TooManyMissedTimes", text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (cron_job("* * *"), 'spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]'),
        (cron_job("TZ=UTC * * * * *"), "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        (
            cron_job(timeZone="Nowhere/Land"),
            'spec.timeZone: Invalid value: "Nowhere/Land": unknown time zone Nowhere/Land',
        ),
        (cron_job(timeZone="local"), "timeZone must be an explicit time zone"),
        (
            cron_job(concurrencyPolicy="Maybe"),
            'Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"',
        ),
        (cron_job(name="n" * 53), "must be no more than 52 characters"),
    ],
)
async def test_what_is_wrong_is_said(world: World, body: Object, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await world.client.create(CRON_JOB, body, "default")
    assert text in refused.value.message


async def test_the_template_of_the_jobs_is_judged_too(world: World) -> None:
    body = cron_job()
    body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(Invalid) as refused:
        await world.client.create(CRON_JOB, body, "default")
    assert "spec.jobTemplate.spec.template.spec.restartPolicy: Required value" in refused.value.message


async def test_a_zone_that_is_no_longer_known_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {**cron_job("*/5 * * * *"), "metadata": {"name": "report"}}
    body["spec"]["timeZone"] = "Europe/Berlin"
    await world.client.create(CRON_JOB, body, "default")
    monkeypatch.setattr("controlplane.controllers.cronjob.zone_named", lambda name: None)
    world.run(CronJobController(world.client, world.informers))

    async def told() -> bool:
        said = 'invalid timeZone: "Europe/Berlin": unknown time zone Europe/Berlin'
        return await world.messages("UnknownTimeZone") == [said]

    await world.until(told)
