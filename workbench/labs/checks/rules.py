"""`rules`: what iptables-save shows in a node, or another place."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.labs.building import said
from workbench.labs.checks.texts import require_text
from workbench.labs.ground import Ground


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one table, or of all."""

    place: str = said("in")
    table: str = ""
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if the rules are not so."""
        command = f"iptables-save -t {self.table}" if self.table else "iptables-save"
        require_text(
            f"the rules in {self.place}",
            ground.run(self.place, command),
            contains=self.contains,
            lacks=self.lacks,
            matches=self.matches,
        )
