"""When a CronJob is due; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.cron_schedule import SCHEDULED, due, job_for


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-01-{text}").replace(tzinfo=UTC).timestamp()


def cron_job(schedule: str, last: str = "", **spec: Any) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "n", "uid": "c", "creationTimestamp": "2026-01-01T00:00:30Z"},
        "spec": {"schedule": schedule, "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {}}, **spec},
        "status": {"lastScheduleTime": last} if last else {},
    }


def test_the_last_missed_time_counts() -> None:
    assert due(cron_job("* * * * *"), at("01T00:00:45")) == (None, 0, at("01T00:01:00"))
    assert due(cron_job("* * * * *"), at("01T00:01:00")) == (at("01T00:01:00"), 1, at("01T00:02:00"))
    assert due(cron_job("* * * * *"), at("01T00:05:10")) == (at("01T00:05:00"), 5, at("01T00:06:00"))
    started = cron_job("* * * * *", last="2026-01-01T00:05:00Z")
    assert due(started, at("01T00:05:10")) == (None, 0, at("01T00:06:00"))


def test_a_starting_deadline_ends_the_looking_back() -> None:
    found = due(cron_job("0 0 * * *", startingDeadlineSeconds=60), at("03T00:10:00"))
    assert found == (None, 0, at("04T00:00:00"))


def test_very_many_missed_times_are_not_looked_at_one_by_one() -> None:
    found = due(cron_job("* * * * *"), at("31T12:00:30"))
    assert found.last == at("31T12:00:00")
    assert 1000 < found.missed < 1200
    assert found.next == at("31T12:01:00")


def test_the_job_says_its_time_in_the_zone_of_the_schedule() -> None:
    made = job_for(cron_job("0 9 * * *", timeZone="Asia/Kolkata"), at("01T03:30:00"))
    assert made["metadata"]["annotations"] == {SCHEDULED: "2026-01-01T09:00:00+05:30"}
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["name"] == f"tick-{int(at('01T03:30:00')) // 60}"
