"""What only the running cluster knows: an address that a pod got, the name of a link. Asked each time it is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.labs.building import build, said
from workbench.labs.ground import Ground, Unmet
from workbench.labs.values import Look, fill


@dataclass(frozen=True, slots=True)
class Fact:
    """One of: `object` with `path`; `link`, the node's end of a pod's link; `run` with `in`, a command.

    `match` is a regular expression whose first group is taken. `several: yes` takes all that match.
    """

    get: str = said("object", "")
    path: str = ""
    link: str = ""
    run: str = ""
    place: str = said("in", "host")
    match: str = ""
    several: str = ""

    def value(self, ground: Ground) -> str:
        """Raises `Unmet` if it is not there."""
        text = self._text(ground).strip()
        if not self.match:
            return text
        found = re.findall(self.match, text, re.MULTILINE)
        if not found:
            raise Unmet(f"{self.run or self.get}: what a check asks for is not there")
        return " ".join(found) if self.several else str(found[0])

    def _text(self, ground: Ground) -> str:
        if self.link:
            return ground.veth_of(self.link)
        if self.run:
            return ground.run(self.place, self.run)
        return ground.kubectl("get", *self.get.split(), "-o", f"jsonpath={self.path}")


def looking(values: Mapping[str, str], facts: Mapping[str, Any], ground: Ground) -> Look:
    """Looks up a value, which may have facts in it, or asks for a fact; each only once."""
    known: dict[str, str] = {}

    def look(name: str) -> str:
        if name not in known:
            known[name] = fill(values[name], look) if name in values else asked(name)
        return known[name]

    def asked(name: str) -> str:
        return build(Fact, fill(facts[name], look), f"facts.{name}").value(ground)

    return look
