"""What goes wrong with expressions.

CelError          an evaluation has no value
CelSyntaxError    the text is no expression
CelUnsupported    it is one, and uses what is not implemented here
"""

from __future__ import annotations


class CelError(Exception):
    """An evaluation has no value; the text is upstream's where it has one."""


class CelSyntaxError(ValueError):
    """The text is no expression."""


class CelUnsupported(ValueError):
    """The expression uses a function that is not implemented here."""
