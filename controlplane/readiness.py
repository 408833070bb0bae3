"""Waiting for nodes to be Ready, as the API says it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from controlplane.api.kinds import NODE
from controlplane.api.types import Object
from controlplane.client.informer import Informers

Count = Callable[[int, int], None]
"""Told how many of how many are Ready."""


class NodesNotReady(Exception):
    """Some nodes did not become Ready in time; `late` are their names."""

    def __init__(self, late: Collection[str], seconds: float) -> None:
        super().__init__(f"not Ready within {seconds:.0f} s: {', '.join(sorted(late))}")
        self.late = late


class ReadyNodes:
    """The names of the nodes that are Ready now."""

    def __init__(self, informers: Informers) -> None:
        self.names: set[str] = set()
        self._changed = asyncio.Event()
        informers.of(NODE).add_handler(self._note)

    def _note(self, old: Object | None, new: Object | None) -> None:
        if new is not None and _is_ready(new):
            self.names.add(new["metadata"]["name"])
        elif (node := new or old) is not None:
            self.names.discard(node["metadata"]["name"])
        self._changed.set()

    async def wait(self, wanted: Collection[str], *, seconds: float, count: Count) -> None:
        """Returns when all of `wanted` are Ready, telling `count` meanwhile; raises NodesNotReady."""
        names = set(wanted)
        try:
            async with asyncio.timeout(seconds):
                while not names <= self.names:
                    count(len(names & self.names), len(names))
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise NodesNotReady(names - self.names, seconds) from error
        count(len(names), len(names))


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
