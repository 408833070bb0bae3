"""Cron schedules of five fields, and when they are due next.

The grammar, its errors and the handling of clock changes are those of robfig/cron's standard parser,
which upstream uses: a time that a clock change leaves out is not made up for, one that comes twice is
due twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

YEARS_AHEAD = 5

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:h|ms|us|ns|m|s))+")


class CronError(ValueError):
    """A schedule that cannot be read; the text says why."""


class Field(NamedTuple):
    """The values of one field that are due, and whether it was written as a star."""

    values: frozenset[int]
    star: bool


class Schedule(NamedTuple):
    """A parsed schedule: five fields, or `every` so many seconds."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    every: float = 0.0

    def after(self, seconds: float, zone: ZoneInfo | None = None) -> float | None:
        """The first time after `seconds` (since the epoch) at which it is due; None within five years."""
        if self.every:
            return float(int(seconds) + self.every)
        now = datetime.fromtimestamp(int(seconds) // 60 * 60 + 60, UTC)
        limit = now.year + YEARS_AHEAD
        while now.year <= limit:
            local = now.astimezone(zone or UTC)
            if local.month not in self.month.values:
                now = _next_month(local, now)
            elif not self._is_due_on(local):
                now = _midnight_after(local, now)
            elif local.hour not in self.hour.values:
                now += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minute.values:
                now += timedelta(minutes=1)
            else:
                return now.timestamp()
        return None

    def _is_due_on(self, local: datetime) -> bool:
        day, weekday = local.day in self.day.values, local.isoweekday() % 7 in self.weekday.values
        return day and weekday if self.day.star or self.weekday.star else day or weekday


def parse_schedule(text: str) -> Schedule:
    """The schedule that `text` describes; CronError where it describes none."""
    if not text:
        raise CronError("empty spec string")
    if text.startswith("@"):
        return _descriptor(text)
    fields = text.split()
    if len(fields) != 5:
        raise CronError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    return Schedule(
        _field(fields[0], 0, 59, {}),
        _field(fields[1], 0, 23, {}),
        _field(fields[2], 1, 31, {}),
        _field(fields[3], 1, 12, _MONTHS),
        _field(fields[4], 0, 6, _DAYS),
    )


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of that name, None when the host knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _descriptor(text: str) -> Schedule:
    if text in _DESCRIPTORS:
        return parse_schedule(_DESCRIPTORS[text])
    if not text.startswith("@every "):
        raise CronError(f"unrecognized descriptor: {text}")
    duration = text.removeprefix("@every ")
    if not _DURATION.fullmatch(duration):
        raise CronError(f'failed to parse duration {text}: time: invalid duration "{duration}"')
    parts = re.findall(r"(\d+(?:\.\d*)?)(h|ms|us|ns|m|s)", duration)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    everything = Field(frozenset(), star=True)
    return Schedule(everything, everything, everything, everything, everything, float(max(1, int(seconds))))


def _field(text: str, low: int, high: int, names: dict[str, int]) -> Field:
    parts = [_range(part, low, high, names) for part in text.split(",") if part]
    return Field(frozenset().union(*(values for values, _ in parts)), any(star for _, star in parts))


def _range(text: str, low: int, high: int, names: dict[str, int]) -> tuple[frozenset[int], bool]:
    span, *steps = text.split("/")
    first, *lasts = span.split("-")
    star = first in ("*", "?")
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    if star:
        start, end = low, high
    else:
        if len(lasts) > 1:
            raise CronError(f"too many hyphens: {text}")
        start = _number(first, names)
        end = _number(lasts[0], names) if lasts else high if steps else start
    step = _number(steps[0], {}) if steps else 1
    if start < low:
        raise CronError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise CronError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise CronError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")
    return frozenset(range(start, end + 1, step)), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise CronError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


def _next_month(local: datetime, now: datetime) -> datetime:
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return max(datetime(year, month, 1, tzinfo=local.tzinfo).astimezone(UTC), now + timedelta(minutes=1))


def _midnight_after(local: datetime, now: datetime) -> datetime:
    day = (local.replace(hour=12, minute=0) + timedelta(days=1)).date()
    return max(datetime(day.year, day.month, day.day, tzinfo=local.tzinfo).astimezone(UTC), now + timedelta(minutes=1))
