"""`output`: what a command prints in the network namespace of a pod, a node, the router or the host."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.labs.building import said
from workbench.labs.checks.texts import require_text
from workbench.labs.ground import Ground


@dataclass(frozen=True, slots=True)
class Output:
    """A command that only looks."""

    run: str
    place: str = said("in")
    equals: str = ""
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if it prints something else."""
        require_text(
            f"`{self.run}` in {self.place}",
            ground.run(self.place, self.run),
            equals=self.equals,
            contains=self.contains,
            lacks=self.lacks,
            matches=self.matches,
        )
