"""What goes wrong with expressions.

CelError          an evaluation has no value
  CelCost         it takes more steps than it may
CelSyntaxError    the text is no expression
CelUnsupported    it is one, and uses what is not implemented here
"""

from __future__ import annotations


class CelError(Exception):
    """An evaluation has no value; the text is upstream's where it has one."""


class CelCost(CelError):
    """An evaluation takes more steps than it may; `of_all` is whether all together do, and not it alone."""

    def __init__(self, *, of_all: bool = False) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")
        self.of_all = of_all


class CelSyntaxError(ValueError):
    """The text is no expression."""


class CelUnsupported(ValueError):
    """The expression uses a function that is not implemented here."""
