"""The output of `iptables-save -c` as lines that can be asked what they are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

_RULE = re.compile(r"^(?:\[(\d+):(\d+)\] )?-A (\S+)(?: (.*))?$")
_COMMENT = re.compile(r'--comment ("(?:[^"\\]|\\.)*"|\S+)')
_TARGET = re.compile(r" -[jg] (\S+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One rule. `text` is the line without its counters; `number` counts from 1 within the chain."""

    table: str
    chain: str
    text: str
    number: int = 0
    packets: int = 0
    bytes: int = 0

    @property
    def target(self) -> str:
        """Where it sends a packet: a chain or a verdict; "" for a rule that only counts."""
        found = _TARGET.search(self.text)
        return found.group(1) if found else ""

    @property
    def comment(self) -> str:
        found = _COMMENT.search(self.text)
        return found.group(1).strip('"') if found else ""

    def option(self, name: str) -> str:
        """The word after an option such as "--probability", or ""."""
        words = shlex.split(self.text)
        return next((after for word, after in zip(words, words[1:], strict=False) if word == name), "")  # noqa: RUF007

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"target": self.target}


def parse(saved: str) -> list[Line]:
    """Every rule, in the order in which a packet would meet those of one chain."""
    found: list[Line] = []
    table, numbers = "", dict[tuple[str, str], int]()
    for raw in saved.splitlines():
        if raw.startswith("*"):
            table = raw[1:]
        line = parse_line(raw, table)
        if line is not None:
            number = numbers[table, line.chain] = numbers.get((table, line.chain), 0) + 1
            found.append(Line(table, line.chain, line.text, number, line.packets, line.bytes))
    return found


def parse_line(raw: str, table: str = "") -> Line | None:
    """One line as people paste it, with or without counters; None if it is no rule."""
    match = _RULE.match(raw.strip())
    if match is None:
        return None
    packets, size, chain, rest = match.groups()
    return Line(table, chain, f"-A {chain} {rest or ''}".rstrip(), 0, int(packets or 0), int(size or 0))


def chains_of(saved: str) -> dict[str, list[str]]:
    """The chains of each table."""
    found: dict[str, list[str]] = {}
    table = ""
    for raw in saved.splitlines():
        if raw.startswith("*"):
            table = raw[1:]
            found[table] = []
        elif raw.startswith(":"):
            found[table].append(raw[1:].split(" ", 1)[0])
    return found


def same_rule(one: str, other: str) -> bool:
    """Whether two lines are the same rule, whatever the order of their matches."""
    return sorted(_words(one)) == sorted(_words(other))


def _words(text: str) -> Iterable[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
