"""What controllers rely on in the informers that they share."""

from __future__ import annotations

import pytest

from controlplane.api.kinds import CONFIG_MAP
from controlplane.api.types import Object
from tests.api.controllers.conftest import World


async def test_a_handler_that_fails_is_told_of_and_blinds_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def failing(old: Object | None, new: Object | None) -> None:
        raise ValueError("no such thing")

    informer = world.informers.of(CONFIG_MAP)
    await informer.wait_synced()
    informer.add_handler(failing)
    informer.add_handler(lambda old, new: seen.append(new))
    for name in ("a", "b"):
        await world.client.create(CONFIG_MAP, {"metadata": {"name": name}}, "default")

    async def both() -> bool:
        return [obj["metadata"]["name"] for obj in seen if obj is not None] == ["a", "b"]

    await world.until(both)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["handler failed"] * 2
