"""The record of what faults have changed, one file a fault, by which a later process undoes it.

It is written before the kernel is changed and shortened behind it: an entry may be of something that was not done yet,
and nothing is done that has no entry. The files are in a runtime directory and go with the kernel's state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from netsim import files, namespace
from netsim.errors import NotFound
from netsim.faults.cut import Cut, NamesLost
from netsim.faults.links import LinkDown, SmallMtu
from netsim.faults.removed import RouteRemoved, RuleRemoved
from netsim.faults.shape import Shape
from netsim.faults.stopped import Stopped

Memory = dict[str, Any]
"""What an effect has to know to be undone, as JSON."""
_MODE = 0o600


class Effect(Protocol):
    """One change at one place. `ensure` may be repeated; `undo` leaves alone what others have changed meanwhile."""

    @property
    def netns(self) -> str:
        """The path of the namespace that it is in, "" for what is in none."""

    @property
    def place(self) -> str:
        """Where; a fault has one effect of a kind at a place."""

    def look(self, fault: str) -> Memory:
        """What is to be remembered, before the first `ensure`. In the namespace, as the others."""

    def ensure(self, fault: str, memory: Memory) -> None: ...

    def undo(self, fault: str, memory: Memory) -> None: ...


_KINDS: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (Cut, NamesLost, Shape, SmallMtu, LinkDown, RouteRemoved, RuleRemoved, Stopped)
}
_REPLACED = frozenset({Cut.__name__, NamesLost.__name__})
"""Those that write what is new over what was, in one transaction: nothing passes in between."""


class Book:
    """The faults of one cluster. Blocking; one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def faults(self) -> list[str]:
        """The names of those that have changed something."""
        return sorted(file.stem for file in self._directory.glob("*.json"))

    def bring_about(self, fault: str, wanted: Sequence[Effect]) -> None:
        """Makes the effects of a fault these, and no others; () heals it. Raises `NetsimError`."""
        entries = self._read(fault)
        keys = {_key(effect): effect for effect in wanted}
        for key, entry in list(entries.items()):
            if key in keys and _stands(entry, keys[key]):
                continue
            if key in keys and entry["kind"] in _REPLACED:
                entries[key] = _entry(fault, keys[key])
            else:
                _undo(fault, entry)
                del entries[key]
            self._write(fault, entries)
        for key, effect in keys.items():
            if key not in entries:
                entries[key] = _entry(fault, effect)
                self._write(fault, entries)
            _ensure(fault, effect, entries[key]["memory"])

    def _file(self, fault: str) -> Path:
        return self._directory / f"{fault}.json"

    def _read(self, fault: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._file(fault).read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, fault: str, entries: Mapping[str, Any]) -> None:
        if entries:
            self._directory.mkdir(parents=True, exist_ok=True)
            files.replace(self._file(fault), json.dumps(entries).encode(), mode=_MODE)
        else:
            self._file(fault).unlink(missing_ok=True)


def _stands(entry: Memory, effect: Effect) -> bool:
    return bool(entry["effect"] == _saved(effect) and entry["inode"] == _inode(effect))


def _key(effect: Effect) -> str:
    return f"{type(effect).__name__} {effect.netns} {effect.place}"


def _saved(effect: Effect) -> Any:
    return json.loads(json.dumps(asdict(effect)))  # type: ignore[call-overload]


def _inode(effect: Effect) -> int:
    """A namespace that was made anew under the same name has another."""
    try:
        return os.stat(effect.netns).st_ino if effect.netns else 0
    except FileNotFoundError:
        return 0


def _entry(fault: str, effect: Effect) -> Memory:
    if effect.netns:
        with namespace.entered(effect.netns):
            memory = effect.look(fault)
    else:
        memory = effect.look(fault)
    return {"kind": type(effect).__name__, "effect": _saved(effect), "inode": _inode(effect), "memory": memory}


def _ensure(fault: str, effect: Effect, memory: Memory) -> None:
    if not effect.netns:
        effect.ensure(fault, memory)
        return
    with namespace.entered(effect.netns):
        effect.ensure(fault, memory)


def _undo(fault: str, entry: Memory) -> None:
    effect = _KINDS[entry["kind"]].restored(entry["effect"])
    if not effect.netns:
        effect.undo(fault, entry["memory"])
        return
    if _inode(effect) != entry["inode"]:
        return
    try:
        with namespace.entered(effect.netns):
            effect.undo(fault, entry["memory"])
    except (NotFound, FileNotFoundError):
        # The namespace, or the link that it was about, is gone, and the effect with it.
        return
