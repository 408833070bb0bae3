"""What a text has to be like; shared by the conditions that look at texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.labs.ground import Unmet


def require_text(
    what: str,
    text: str,
    *,
    equals: str = "",
    contains: Sequence[str] = (),
    lacks: Sequence[str] = (),
    matches: Sequence[str] = (),
) -> None:
    """Raises `Unmet` that begins with `what` if the text is not so. `matches` are regular expressions, line by line."""
    if equals and text.strip() != equals:
        raise Unmet(f"{what}: is {text.strip() or 'empty'!r}, and not what it has to be")
    for part in contains:
        if part not in text:
            raise Unmet(f"{what}: there is nothing with {part!r}")
    for part in lacks:
        if part in text:
            raise Unmet(f"{what}: there still is {part!r}")
    for pattern in matches:
        if not re.search(pattern, text, re.MULTILINE):
            raise Unmet(f"{what}: no line is as it has to be")
