"""One answer of a probe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """Whether the host has `name`: what was found, what is needed, and what to do if that is less.

    Without what is `required` no cluster comes up; without the rest something works less well.
    """

    name: str
    ok: bool
    found: str
    needed: str
    remedy: str
    required: bool = True
