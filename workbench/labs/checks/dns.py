"""`dns`: what the cluster's DNS answers, asked from a pod."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.labs.building import said
from workbench.labs.ground import Ground, Unmet


@dataclass(frozen=True, slots=True)
class Dns:
    """`name` is whole, without the last dot. `answers` are all records; `count` is how many; `status: NXDOMAIN`."""

    name: str
    source: str = said("from")
    kind: str = said("type", "A")
    status: str = "NOERROR"
    answers: tuple[str, ...] = ()
    count: str = ""

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if the answer is another."""
        status, found = ground.resolve(self.source, self.name, self.kind)
        if status != self.status:
            raise Unmet(f"asked for {self.name}, the DNS says {status}")
        if self.count and len(found) != int(self.count):
            raise Unmet(f"{self.name} has {len(found)} records of type {self.kind}, not {self.count}")
        if self.answers and found != sorted(word for text in self.answers for word in text.split()):
            shown = ", ".join(found) or "nothing"
            raise Unmet(f"{self.name} leads to {shown}, and not where it has to")
