"""Kinds of conditions, one a file. A kind is a dataclass of texts with `require(ground)`, which raises `Unmet`.

A condition is asked again and again while a lab is taken, and so changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from workbench.labs.building import build
from workbench.labs.checks.answer import Answer
from workbench.labs.checks.dns import Dns
from workbench.labs.checks.http import Http
from workbench.labs.checks.object import ObjectCondition
from workbench.labs.checks.output import Output
from workbench.labs.checks.packets import Packets
from workbench.labs.checks.reach import Reach
from workbench.labs.checks.rules import Rules
from workbench.labs.errors import BrokenLab
from workbench.labs.ground import Ground


class Condition(Protocol):
    """Something that holds or does not."""

    def require(self, ground: Ground) -> None:
        """Raises `Unmet` if it does not hold, and says what is not so."""


_KINDS: Mapping[str, type[Condition]] = {
    "answer": Answer,
    "dns": Dns,
    "http": Http,
    "object": ObjectCondition,
    "output": Output,
    "packets": Packets,
    "reach": Reach,
    "rules": Rules,
}
KINDS = tuple(_KINDS)


def condition(kind: str, document: Any, where: str) -> Condition:
    """A condition of that kind. Raises `BrokenLab`."""
    if kind not in _KINDS:
        raise BrokenLab(f"{where}: there is no kind of condition {kind!r}; there are {', '.join(KINDS)}")
    return build(_KINDS[kind], document, where)
