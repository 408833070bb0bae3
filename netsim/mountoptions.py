"""Mount options in the words of mount(8), as flags of mount(2) and what is left for the file system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_FLAGS = {
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "sync": 16,
    "dirsync": 128,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
    "lazytime": 1 << 25,
}
_OPPOSITES = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "atime": "noatime"}
_WITHOUT_MEANING = frozenset({"defaults", "auto", "noauto", "user", "nouser", "_netdev", "bind"})


@dataclass(frozen=True, slots=True)
class MountOptions:
    """`flags` of mount(2), and `data`, the options that only the file system knows."""

    flags: int = 0
    data: tuple[str, ...] = ()


def parse(options: Iterable[str]) -> MountOptions:
    """Reads options, each one word or several joined by commas; the last of two that contradict counts."""
    flags, data = 0, []
    for option in (word.strip() for text in options for word in text.split(",")):
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option in _OPPOSITES:
            flags &= ~_FLAGS[_OPPOSITES[option]]
        elif option and option not in _WITHOUT_MEANING:
            data.append(option)
    return MountOptions(flags, tuple(data))


def flag_words(options: Iterable[str]) -> tuple[str, ...]:
    """The options that are flags of each mount, and get lost when it is bound elsewhere without them."""
    words = (word.strip() for text in options for word in text.split(","))
    return tuple(word for word in words if word in _FLAGS and word != "ro")
