"""`packets`: how many packets pass a place while something is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from netsim.trace.probe import Protocol
from workbench.labs.building import said
from workbench.labs.ground import Ground, Unmet


@dataclass(frozen=True, slots=True)
class Packets:
    """`at`, `point` and `filter` are those of `netsim capture`. `count: 0` means none; else so many at least.

    What is sent is a packet or a connection `from` there `to` there.
    """

    at: tuple[str, ...]
    filter_text: str = said("filter")
    source: str = said("from")
    target: str = said("to")
    protocol: str = "tcp"
    point: tuple[str, ...] = ()
    count: str = "1"

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if there are fewer, or any where there must be none."""
        found = ground.count(self.at, self.point, self.filter_text, lambda: self._send(ground))
        wanted, where = int(self.count), ", ".join(self.at)
        if wanted == 0 and found:
            raise Unmet(f"{found} packets of {self.filter_text!r} pass at {where} from {self.source} to {self.target}")
        if found < wanted:
            raise Unmet(
                f"{found} packets of {self.filter_text!r} pass at {where} when {self.source} sends to {self.target}"
            )

    def _send(self, ground: Ground) -> None:
        ground.probe(self.source, self.target, cast("Protocol", self.protocol), timeout=0.5)
