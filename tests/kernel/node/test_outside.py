"""Work on files that hang: what waits is refused and does not pile up, and goes on when they answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from controlplane.node.errors import VolumeFailure
from controlplane.node.runtime.spawner import Spawner
from controlplane.node.volumes import outside
from controlplane.node.volumes.outside import Outside

LONGEST = 300.0


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


async def test_tries_do_not_pile_up_behind_one_that_hangs(spawner: Spawner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "LIMIT_SECONDS", 0.1)
    answers, tried = threading.Event(), list[int]()
    made = Outside("node-1", spawner)
    try:
        with pytest.raises(VolumeFailure, match="/hung does not answer"):
            await made.run("/hung", lambda: answers.wait(LONGEST))
        for number in range(5):
            with pytest.raises(VolumeFailure, match="/other does not answer"):
                await made.run("/other", lambda number=number: tried.append(number))  # type: ignore[misc]
        assert made._thread is not None
        assert made._thread._work_queue.qsize() == 0
        answers.set()
        monkeypatch.setattr(outside, "LIMIT_SECONDS", 30.0)
        await made.run("/other", lambda: tried.append(5))
        assert tried == [5], "what was given up is not done any more"
    finally:
        answers.set()
        made.close()


async def test_an_error_is_the_callers(spawner: Spawner) -> None:
    made = Outside("node-1", spawner)

    def fail() -> None:
        raise VolumeFailure("no such file")

    try:
        for _ in range(2):
            with pytest.raises(VolumeFailure, match="no such file"):
                await made.run("/none", fail)
    finally:
        made.close()
