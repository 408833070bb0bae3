"""Reconcilers: failures are retried and logged, except where a namespace goes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from controlplane.api.errors import ApiError, Forbidden, NotFound
from controlplane.api.kinds import ENDPOINTS, NAMESPACE
from controlplane.client import workqueue
from controlplane.client.workqueue import Reconciler
from controlplane.server.assembly import open_registry
from controlplane.server.requests import DeleteOptions, WriteOptions


async def attempts(error: ApiError, count: int, *, seconds: float = 30.0) -> list[float]:
    """When a reconcile that fails with `error` runs, until it has run `count` times or the time is over."""
    made: list[float] = []
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    async def reconcile(_key: str) -> None:
        made.append(loop.time())
        if len(made) == count:
            enough.set()
        raise error

    reconciler = Reconciler("test", reconcile)
    reconciler.queue.add("a")
    running = asyncio.ensure_future(reconciler.run())
    try:
        async with asyncio.timeout(seconds):
            await enough.wait()
    except TimeoutError:
        pass
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return made


async def refusal(directory: Path, *, gone: bool) -> ApiError:
    """What a create gets in a namespace that goes or, with `gone`, is not there any more."""
    async with open_registry(directory / "state.db") as registry:
        if not gone:
            await registry.create(NAMESPACE, "", {"metadata": {"name": "team"}}, WriteOptions())
            await registry.delete(NAMESPACE, "team", "", DeleteOptions())
        with pytest.raises(ApiError) as refused:
            await registry.create(ENDPOINTS, "team", {"metadata": {"name": "web"}}, WriteOptions())
        return refused.value


@pytest.mark.parametrize("gone", [False, True])
async def test_a_namespace_that_goes_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    error = await refusal(tmp_path, gone=gone)
    assert error.message == (
        'namespaces "team" not found'
        if gone
        else 'endpoints "web" is forbidden: unable to create new content in namespace team '
        "because it is being terminated"
    )
    assert len(await attempts(error, 2, seconds=1.0)) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_other_failures_are_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    assert len(await attempts(Forbidden("no"), 3)) == 3
    assert "reconcile failed" in caplog.messages


async def test_what_has_gone_meanwhile_is_worth_a_line_only_if_it_stays_so(caplog: pytest.LogCaptureFixture) -> None:
    def told() -> int:
        return len([record for record in caplog.records if record.levelno >= logging.WARNING])

    assert len(await attempts(NotFound("no pod"), 1)) == 1
    assert told() == 0
    assert len(await attempts(NotFound("no pod"), 3)) == 3
    assert told() == 2


async def test_a_key_may_fail_for_days(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(workqueue, "LONGEST_RETRY_SECONDS", 0.0)
    caplog.set_level(logging.ERROR)
    made, enough = 0, asyncio.Event()

    async def reconcile(_key: str) -> None:
        nonlocal made
        made += 1
        if made == 1100:
            enough.set()
        await asyncio.sleep(0)
        raise OSError

    reconciler = Reconciler("test", reconcile)
    reconciler.queue.add("a")
    running = asyncio.ensure_future(reconciler.run())
    waiting = asyncio.ensure_future(enough.wait())
    done, _ = await asyncio.wait((running, waiting), timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
    assert done == {waiting}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
