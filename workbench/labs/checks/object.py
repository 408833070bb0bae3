"""`object`: what the API says of an object, by kubectl's JSONPath."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.labs.checks.texts import require_text
from workbench.labs.ground import Ground, Unmet

_EXISTS = "{.metadata.name}"


@dataclass(frozen=True, slots=True)
class ObjectCondition:
    """`get` is what follows `kubectl get`. Without a path: that it is there. `absent: yes`: that it is not."""

    get: str
    path: str = _EXISTS
    equals: str = ""
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    absent: str = ""

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if it is not so."""
        if self.absent:
            if ground.kubectl("get", *self.get.split(), "--ignore-not-found", "-o", "name").strip():
                raise Unmet(f"{self.get} is still there")
            return
        text = ground.kubectl("get", *self.get.split(), "-o", f"jsonpath={self.path}")
        if not text.strip() and not self.lacks:
            raise Unmet(f"{self.get}: {self.path} is empty, or there is none")
        require_text(
            f"{self.get}, {self.path}",
            text,
            equals=self.equals,
            contains=self.contains,
            lacks=self.lacks,
            matches=self.matches,
        )
