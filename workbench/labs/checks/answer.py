"""`answer`: what was asked of who takes the lab, and what is right at this moment.

Not asked of the cluster but of what was typed, so the session puts `given` in.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.labs.building import said
from workbench.labs.ground import Ground, Unmet

_CLOSE = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """`as: text` ignores case; `number` takes 1 % more or less; `set` is words with commas or spaces, in any order."""

    name: str
    question: str
    equals: str
    form: str = said("as", "text")
    given: str = ""

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if there is no answer, or not this one."""
        if not self.given:
            raise Unmet(f"no answer yet: {self.question} Give it: --answer {self.name}=...")
        if not self._is_right():
            raise Unmet(f"{self.given!r} is not right: {self.question}")

    def _is_right(self) -> bool:
        if self.form == "number":
            return _is_close(self.given, self.equals)
        if self.form == "set":
            return _words(self.given) == _words(self.equals)
        return self.given.strip().lower() == self.equals.strip().lower()


def _is_close(given: str, wanted: str) -> bool:
    try:
        return abs(float(given) - float(wanted)) <= abs(float(wanted)) * _CLOSE
    except ValueError:
        return False


def _words(text: str) -> set[str]:
    return set(text.replace(",", " ").lower().split())
