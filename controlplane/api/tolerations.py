"""Which taints a pod's tolerations cover: what the scheduler and the controllers ask alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Taint = Mapping[str, Any]
Toleration = Mapping[str, Any]


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether any of the tolerations covers the taint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration], effects: Sequence[str]) -> list[Taint]:
    """The taints with one of `effects` that no toleration covers."""
    return [taint for taint in taints if taint["effect"] in effects and not tolerates(tolerations, taint)]


def _covers(toleration: Toleration, taint: Taint) -> bool:
    effect, key = toleration.get("effect"), toleration.get("key")
    if effect and effect != taint["effect"]:
        return False
    if key and key != taint["key"]:
        return False
    value, given = toleration.get("value") or "", taint.get("value") or ""
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return value == given
        case "Gt":
            return _number(given) is not None and _number(value) is not None and int(given) > int(value)
        case "Lt":
            return _number(given) is not None and _number(value) is not None and int(given) < int(value)
    return False


def _number(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdigit() else None
