"""Cron schedules: what they mean, what is wrong with those that mean nothing, and clock changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controlplane.api.cron import CronError, parse_schedule, zone_named


def after(schedule: str, time: str, zone: str = "UTC") -> str:
    """The next time after `time`, both in UTC and to the second."""
    start = datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
    found = parse_schedule(schedule).after(start, zone_named(zone))
    assert found is not None
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("schedule", "time", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
        ("* * * * *", "2026-01-01T00:00:59", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:46:00", "2026-01-01T01:00:00"),
        ("5/20 * * * *", "2026-01-01T00:26:00", "2026-01-01T00:45:00"),
        ("0 9-17/4 * * mon-fri", "2026-01-02T17:30:00", "2026-01-05T09:00:00"),
        ("30 6 1,15 * *", "2026-01-01T06:30:00", "2026-01-15T06:30:00"),
        ("0 0 13 * fri", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("0 0 13 * *", "2026-01-01T00:00:00", "2026-01-13T00:00:00"),
        ("0 0 29 feb ?", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 31 12 *", "2026-12-31T00:00:00", "2027-12-31T00:00:00"),
        ("@hourly", "2026-01-01T00:00:00", "2026-01-01T01:00:00"),
        ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("@every 1h30m", "2026-01-01T00:00:00", "2026-01-01T01:30:00"),
    ],
)
def test_the_next_time(schedule: str, time: str, expected: str) -> None:
    assert after(schedule, time) == expected


def test_time_zones_and_clock_changes() -> None:
    assert after("0 9 * * *", "2026-01-01T00:00:00", "Asia/Kolkata") == "2026-01-01T03:30:00"
    # In Berlin, 2026-03-29 has no 02:30, and 2026-10-25 has it twice.
    assert after("30 2 * * *", "2026-03-28T12:00:00", "Europe/Berlin") == "2026-03-30T00:30:00"
    assert after("30 2 * * *", "2026-10-24T12:00:00", "Europe/Berlin") == "2026-10-25T00:30:00"
    assert after("30 2 * * *", "2026-10-25T00:30:00", "Europe/Berlin") == "2026-10-25T01:30:00"
    assert after("0 0 * * *", "2026-10-24T22:00:00", "Europe/Berlin") == "2026-10-25T23:00:00"
    assert zone_named("Nowhere/Land") is None
    assert zone_named("../etc/passwd") is None


def test_a_day_that_never_comes() -> None:
    assert parse_schedule("0 0 30 2 *").after(0.0) is None


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ("", "empty spec string"),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ],
)
def test_what_is_wrong_is_said(schedule: str, text: str) -> None:
    with pytest.raises(CronError) as refused:
        parse_schedule(schedule)
    assert str(refused.value) == text
