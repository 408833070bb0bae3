"""`http`: what a server answers; a stand-in tells its pod, its node and whom it sees as its client."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.labs.building import said
from workbench.labs.checks.texts import require_text
from workbench.labs.ground import Ground


@dataclass(frozen=True, slots=True)
class Http:
    """One GET of `/`."""

    source: str = said("from")
    target: str = said("to")
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if nothing answers, or something else."""
        require_text(
            f"what {self.target} answers {self.source}",
            ground.get(self.source, self.target),
            contains=self.contains,
            lacks=self.lacks,
            matches=self.matches,
        )
