"""What the expressions for one object may cost together: they are evaluated between two requests, and all wait.

A step takes about 2 µs: one pass through a comprehension, or as much work in a function. Upstream counts in
the same way and finer, and forbids at once what might cost too much; here only what does cost too much fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.cel.errors import CelCost

RULE_STEPS = 100_000
OBJECT_STEPS = 200_000

LETTERS_A_STEP = 4096
ITEMS_A_STEP = 4
PAIRS_A_STEP = 4
_PAIRED = frozenset(("contains", "distinct", "equivalent", "intersects"))
"""Functions that compare each item of a list with each of a list."""


class Budget:
    """The steps that are left for the rules of one object; each rule may take a part of them."""

    def __init__(self) -> None:
        self._left = OBJECT_STEPS
        self._of_rule = RULE_STEPS

    @property
    def spent(self) -> bool:
        """Whether no further rule is to be run."""
        return self._left < 0

    def begin(self) -> None:
        """The next rule's part."""
        self._of_rule = RULE_STEPS

    def spend(self, steps: int) -> None:
        """Takes steps; CelCost where there are no more."""
        self._left -= steps
        self._of_rule -= steps
        if self._of_rule < 0 or self._left < 0:
            whole, self._left = self._left < 0, -1
            raise CelCost(of_all=whole)


def cost(function: str, arguments: Sequence[Any]) -> int:
    """The steps of a function's call."""
    lists = [len(one) for one in arguments if isinstance(one, list | dict)]
    letters = sum(len(one) for one in arguments if isinstance(one, str | bytes))
    if function in _PAIRED and lists:
        return lists[0] * lists[-1] // PAIRS_A_STEP
    return sum(lists) // ITEMS_A_STEP + letters // LETTERS_A_STEP


def size(value: Any) -> int:
    """How many values a list or a map holds, with all that they hold."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1
