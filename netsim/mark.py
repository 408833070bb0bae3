"""Ownership marks: how a namespace or a link says to which cluster it belongs.

The mark is the ifalias of a link (of `lo` for a namespace), so it lives and dies with what it marks and
needs no state file. Nothing is ever removed for its name alone; it has to carry a mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "netsim:"
LONGEST = 255
"""The kernel keeps at most this many characters of an ifalias."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose a kernel object is, what part it plays, and what it is called.

    `note` carries what must be known to undo a change, such as a sysctl's value from before it.
    """

    cluster: str
    role: str
    name: str
    note: str = ""

    def __post_init__(self) -> None:
        for word in (self.cluster, self.role, self.name):
            if not _WORD.fullmatch(word):
                raise ValueError(f"{word!r} cannot be part of a mark: letters, digits, '.', '_', '/' and '-' can")
        if len(self.alias()) > LONGEST:
            raise ValueError(f"the mark is longer than {LONGEST} characters: {self.alias()}")

    def alias(self) -> str:
        """The text that goes into the ifalias."""
        text = f"{PREFIX}cluster={self.cluster},role={self.role},name={self.name}"
        return f"{text},note={self.note}" if self.note else text

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        """The mark in an ifalias, or None if that is not one of ours."""
        if not text or not text.startswith(PREFIX):
            return None
        # The note comes last because it may hold commas.
        pairs = dict(part.split("=", 1) for part in text.removeprefix(PREFIX).split(",", 3) if "=" in part)
        try:
            return cls(pairs["cluster"], pairs["role"], pairs["name"], pairs.get("note", ""))
        except (KeyError, ValueError):
            return None
