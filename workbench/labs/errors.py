"""What goes wrong with a lab, in words for who takes it or writes it.

UserError
└── LabError            told as it is, with the remedy
    └── BrokenLab       the lab's own files are wrong; for who writes it
"""

from __future__ import annotations

from workbench.cli.errors import UserError


class LabError(UserError):
    """It cannot be done; the message says why."""


class BrokenLab(LabError):
    """A lab's files say what cannot be; the message names the file and the place in it."""
