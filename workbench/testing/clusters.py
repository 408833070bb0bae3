"""The clusters of one test process: made when a test asks for one, named after the process, removed at its end.

The name says whose a cluster is: `pytest-PID-WORKER-NUMBER`. One whose process is gone was left by a run that died, and
is removed by any other. What is to be kept is called `kept-…`, and is removed by nobody.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from netsim.inventory import clusters
from workbench.testing.cluster import Cluster

_PASSING, _KEPT = "pytest", "kept"
_NAME = re.compile(rf"{_PASSING}-(\d+)-")


class Clusters:
    """Those of this process, by what was asked for."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._made: dict[tuple[Path | None, int | None], Cluster] = {}
        self._number = 0

    def get(self, config: Path | None = None, nodes: int | None = None) -> Cluster:
        """The session's cluster of that cluster.yaml, with so many nodes; three without either."""
        asked = (config and config.resolve(), nodes)
        if asked not in self._made:
            self._made[asked] = self.make(*asked)
        return self._made[asked]

    def make(self, config: Path | None = None, nodes: int | None = None) -> Cluster:
        """A new one, which the caller ends."""
        self._number += 1
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        cluster = Cluster(f"{_KEPT if self._keep else _PASSING}-{os.getpid()}-{worker}-{self._number}")
        try:
            cluster.up(config, nodes)
        except BaseException:
            # Interrupted on its way up it may be half there, and nobody has its name yet.
            cluster.down()
            raise
        return cluster

    def close(self) -> None:
        """Ends all that were shared."""
        while self._made:
            self.end(self._made.popitem()[1])

    def end(self, cluster: Cluster) -> None:
        """Removes one, unless it is to be kept."""
        if not self._keep:
            cluster.down()


def remove_left() -> None:
    """Removes what runs that died have left."""
    for name in clusters():
        match = _NAME.match(name)
        if match and not Path(f"/proc/{match[1]}").exists():
            Cluster(name).down()


def kept() -> set[str]:
    """The names of all clusters that any run has kept."""
    return {name for name in clusters() if name.startswith(f"{_KEPT}-")}
