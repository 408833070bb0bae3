"""How many ways Python's engine may try to match a regular expression: whether it is quick, for a text's length."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from controlplane.api.custom.linear import Node, parser

QUICK_WAYS = 1_000_000
"""What the engine tries in a moment, about 20 ms."""

_ANCHORS = ("AT_BEGINNING", "AT_BEGINNING_STRING")


class Growth(NamedTuple):
    """What the ways that Python's engine may try multiply to: repeats without an end, largest numbers of lengths of
    others, and alternatives."""

    endless: int = 0
    bounded: tuple[int, ...] = ()
    alternatives: int = 1

    def ways(self, length: int) -> int:
        """For a text of that length."""
        most = length + 1
        ways: int = self.alternatives * most**self.endless * math.prod(min(one, most) for one in self.bounded)
        return ways


@lru_cache(maxsize=512)
def growth(pattern: str) -> Growth | None:
    """The growth of a pattern; None where there is no bound: a repeat of any of several lengths is repeated itself.

    ValueError for what RE2 does not have.
    """
    parsed = parser.parse(pattern, re.ASCII)
    anchored = len(parsed) > 0 and str(parsed[0][1]) in _ANCHORS and not parsed.state.flags & re.MULTILINE
    found = _grown(parsed, inside=False)
    return found if found is None or anchored else found._replace(endless=found.endless + 1)


def is_quick(pattern: str, length: int) -> bool:
    """Whether Python's engine takes no more than a moment for any text of that length."""
    found = growth(pattern)
    return found is not None and found.ways(length) <= QUICK_WAYS


def _grown(nodes: Iterable[Node], *, inside: bool) -> Growth | None:
    """Of a sequence; `inside` a repeat."""
    found = Growth()
    for operator, argument in nodes:
        one = _growth_of(str(operator), argument, inside=inside)
        if one is None:
            return None
        alternatives = found.alternatives * one.alternatives
        found = Growth(found.endless + one.endless, found.bounded + one.bounded, alternatives)
    return found


def _growth_of(operator: str, argument: Any, *, inside: bool) -> Growth | None:
    match operator:
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, inner = argument
            if inside and least != most:
                return None
            found = _grown(inner, inside=inside or most > 1)
            if found is None or least == most:
                return found
            if most == parser.MAXREPEAT:
                return found._replace(endless=found.endless + 1)
            return found._replace(bounded=(*found.bounded, most - least + 1))
        case "SUBPATTERN":
            return _grown(argument[3], inside=inside)
        case "BRANCH":
            # Two ways to the same place, again and again, are as many as two lengths.
            ways = [way for one in argument[1] if (way := _grown(one, inside=inside)) is not None]
            if inside or len(ways) < len(argument[1]):
                return None
            bounded = tuple(one for way in ways for one in way.bounded)
            return Growth(max(way.endless for way in ways), bounded, sum(way.alternatives for way in ways))
        case "POSSESSIVE_REPEAT" | "ATOMIC_GROUP":
            raise ValueError("invalid nested repetition operator")
    return Growth()
