"""Where to look: a link in a namespace, and the words by which people know it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Point:
    """`netns` is the path of the namespace; `name` and `comment` go into the file, as those of the interface."""

    netns: Path
    ifname: str
    name: str
    comment: str = ""
