"""Where two JSON values differ, for messages that say what may not change."""

from __future__ import annotations

from typing import Any

from controlplane.api.field import shown

_ABSENT = object()


def difference(before: Any, after: Any, path: str = "") -> list[str]:
    """Lines such as "-  nodeName: "a"" and "+  nodeName: "b"", one pair for each place that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        lines: list[str] = []
        for key in sorted(before.keys() | after.keys()):
            inner = f"{path}.{key}" if path else key
            lines += difference(before.get(key, _ABSENT), after.get(key, _ABSENT), inner)
        return lines
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for index, pair in enumerate(zip(before, after, strict=True))
            for line in difference(*pair, f"{path}[{index}]")
        ]
    if before == after:
        return []
    signs = (("-", before), ("+", after))
    return [f"{sign}  {path}: {shown(value)}" for sign, value in signs if value is not _ABSENT]
