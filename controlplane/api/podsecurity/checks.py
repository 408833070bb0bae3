"""What the checks of all levels are made of: containers, names in quotes, one or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Fields = Mapping[str, Any]


class Violation(NamedTuple):
    """One thing that is forbidden: what kind of thing, and where it is."""

    reason: str
    detail: str = ""


Check = Callable[[Fields, Fields], Violation | None]
"""Given metadata and spec of a pod, what is wrong with them."""


def containers(spec: Fields) -> Iterator[Fields]:
    """Every container of every sort, in upstream's order."""
    for name in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(name, ())


def context(owner: Fields) -> Fields:
    """The security context of a pod spec or container."""
    found: Fields = owner.get("securityContext") or {}
    return found


def failing(spec: Fields, wrong: Callable[[Fields], bool]) -> list[str]:
    """Names of the containers of which `wrong` holds."""
    return [str(one.get("name", "")) for one in containers(spec) if wrong(one)]


def quoted(names: Iterable[str]) -> str:
    """Names in double quotes, with commas."""
    return ", ".join(f'"{name}"' for name in names)


def plural(word: str, count: int) -> str:
    """`word`, with an s unless it is one."""
    return word if count == 1 else f"{word}s"


def named(names: list[str]) -> str:
    """The containers of those names: 'container "web"'."""
    return f"{plural('container', len(names))} {quoted(names)}"


def linux(spec: Fields) -> bool:
    """Whether what only Linux has is checked."""
    return bool(spec.get("os", {}).get("name") != "windows")
