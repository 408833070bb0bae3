"""Which events become one, by client-go's rules."""

from __future__ import annotations

import pytest

from controlplane.client import correlator as module
from controlplane.client.correlator import (
    BURST,
    COMBINED,
    REFILL_SECONDS,
    SIMILAR_SECONDS,
    Correlator,
    Event,
    Remembered,
)


def event(message: str, *, reason: str = "Failed", uid: str = "1", path: str = "") -> Event:
    return Event(uid, "Pod", "default", "web", "Warning", reason, message, path)


def test_the_same_event_is_one() -> None:
    correlator = Correlator()
    first, second = (correlator.correlate(event("a"), now) for now in (0.0, 1.0))
    assert first is not None
    assert first == second
    other = correlator.correlate(event("a", path="spec.containers{c}"), 2.0)
    assert other is not None
    assert other.key != first.key


def test_many_that_are_alike_become_one() -> None:
    correlator = Correlator()
    found = [correlator.correlate(event(f"message {n}"), float(n)) for n in range(15)]
    messages = [one.message for one in found if one is not None]
    assert messages[:9] == [f"message {n}" for n in range(9)]
    assert messages[9:] == [f"{COMBINED}message {n}" for n in range(9, 15)]
    assert len({one.key for one in found if one is not None}) == 10
    other = correlator.correlate(event("message 99", reason="Other"), 15.0)
    assert other is not None
    assert other.message == "message 99"


def test_messages_that_are_far_apart_are_not_alike() -> None:
    correlator = Correlator()
    found = [correlator.correlate(event(f"message {n}"), n * (SIMILAR_SECONDS + 1)) for n in range(15)]
    assert [one.message for one in found if one is not None] == [f"message {n}" for n in range(15)]


def test_too_many_about_one_object_are_dropped() -> None:
    correlator = Correlator()
    kept = [correlator.correlate(event("a"), 0.0) is not None for _ in range(BURST + 5)]
    assert kept == [True] * BURST + [False] * 5
    assert correlator.correlate(event("a", uid="2"), 0.0) is not None
    assert correlator.correlate(event("b"), REFILL_SECONDS - 1) is None
    assert correlator.correlate(event("b"), 2 * REFILL_SECONDS) is not None


def test_what_says_nothing_any_more_is_forgotten() -> None:
    remembered: Remembered[str] = Remembered(10.0)
    for number in range(100):
        remembered.keep(number, "x", float(number))
    assert len(remembered) == 11
    assert remembered.get(0) is None
    remembered.keep(89, "y", 99.0)
    remembered.keep(100, "x", 105.0)
    assert (remembered.get(89), remembered.get(94), len(remembered)) == ("y", None, 7)


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    remembered: Remembered[int] = Remembered(10.0)
    for number in (1, 2, 3, 1, 4):
        remembered.keep(number, number, 0.0)
    assert [remembered.get(number) for number in (1, 2, 3, 4)] == [1, None, 3, 4]
