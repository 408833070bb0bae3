"""A lab as its folder describes it: plain data, nothing done yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """What has to hold: `conditions` are pairs of a kind and what it is told; all of them count."""

    name: str
    says: str
    conditions: Sequence[tuple[str, Any]]

    @property
    def question(self) -> str:
        """What is asked of who takes the lab, if this is about an answer."""
        return next((str(document["question"]) for kind, document in self.conditions if kind == "answer"), "")


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a lab: a text, what is done when it begins, what has to hold at its end, and the ways there."""

    name: str
    title: str
    text: str
    checks: Sequence[Check]
    hints: Sequence[str]
    start: Sequence[Any]
    solution: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab. `digest` changes with any of its files."""

    name: str
    folder: Path
    digest: str
    title: str
    minutes: int
    text: str
    namespace: str
    variables: Mapping[str, Any]
    facts: Mapping[str, Any]
    start: Sequence[Any]
    stages: Sequence[Stage]


@dataclass(slots=True)
class Finding:
    """What a check came to; `missing` says what is not so yet, empty if it passed."""

    name: str
    says: str
    missing: str = ""

    @property
    def passed(self) -> bool:
        return not self.missing
