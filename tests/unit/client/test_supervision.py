"""Components that fail are run again, those that fail at once each time ever later."""

from __future__ import annotations

import pytest

from controlplane import supervision
from controlplane.supervision import LONGEST_RESTART_SECONDS, RESTART_SECONDS, pause_after, supervise


class Failing:
    """Fails so many times, and ends then."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def run(self) -> None:
        if self.left:
            self.left -= 1
            raise ValueError("a mistake of ours")


async def test_what_fails_is_run_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(supervision, "RESTART_SECONDS", 0.001)
    component = Failing(3)
    await supervise(component)
    assert component.left == 0
    assert caplog.messages == ["component failed"] * 3


def test_the_pause_grows_until_it_has_worked_for_a_while() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(pause_after(pauses[-1], 0.5))
    assert pauses[1:] == [RESTART_SECONDS * factor for factor in (1, 2, 4, 8, 16)] + [LONGEST_RESTART_SECONDS] * 2
    assert pause_after(LONGEST_RESTART_SECONDS, LONGEST_RESTART_SECONDS + 1) == RESTART_SECONDS
