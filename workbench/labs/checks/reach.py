"""`reach`: whether a real packet, or connection, is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from netsim.trace.probe import Protocol
from workbench.labs.building import said
from workbench.labs.ground import Ground, Unmet

_WORDS = {
    "answered": "is answered",
    "refused": "is refused",
    "silence": "gets no answer at all",
    "unreachable": "is told that it is unreachable",
    "unsent": "cannot even be sent",
}


@dataclass(frozen=True, slots=True)
class Reach:
    """`expect` is `answered`, `refused`, `silence`, `unreachable`, or `unanswered`, which is all but the first."""

    source: str = said("from")
    target: str = said("to")
    protocol: str = "tcp"
    expect: str = "answered"

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if something else becomes of it."""
        outcome = ground.probe(self.source, self.target, cast("Protocol", self.protocol), _timeout(self.expect))
        wanted = self.expect
        if outcome.result == wanted or (wanted == "unanswered" and outcome.result != "answered"):
            return
        raise Unmet(f"{self.protocol} from {self.source} to {self.target} {_WORDS[outcome.result]}")


def _timeout(expect: str) -> float:
    return 1.0 if expect == "answered" else 0.5
