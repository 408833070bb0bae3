"""Errors that a person reads, each with what to do about it.

UserError           exit status 1, printed as `netsim: error: <what>` and, below it, the remedy
└── NeedsRoot       the command changes or reads what only root may
"""

from __future__ import annotations

import os

from workbench.cli.typed import typed_again


class UserError(Exception):
    """What went wrong in the user's words, and the remedy; the command ends with status 1."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class NeedsRoot(UserError):
    """Only root can do this."""


def require_root(command: str) -> None:
    """NeedsRoot unless the effective user is root; `command` is what was typed after `netsim`."""
    if os.geteuid() != 0:
        raise NeedsRoot(f"`netsim {command}` needs root", f"run it as: {typed_again()}")
