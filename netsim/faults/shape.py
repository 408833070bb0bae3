"""Packets that leave by a link slower, later or not at all: a class of the link's htb for each fault.

What a fault is about is found by filters of its own number; all other packets pass as they are. The htb comes with the
first fault of a link and goes with the last.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from netsim import firewall, htb, programs
from netsim.errors import CommandFailed, NetsimError, NotFound
from netsim.probe import require_netem

Memory = dict[str, Any]
_NO_LINK = "Cannot find device"
_CLASS = re.compile(r"^class htb 1:([0-9a-f]+) ", re.MULTILINE)
_ROOT = re.compile(r"^qdisc (\S+) ([0-9a-f]+): (?:dev \S+ )?root", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Match:
    """Packets from a range to a range; an empty one is every."""

    source: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link sends and one of `matches` takes: `rate` in bits a second, `delay` and `jitter` in microseconds,
    `loss` in percent; 0 changes nothing."""

    netns: str
    ifname: str
    matches: tuple[Match, ...]
    rate: int = 0
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0

    @property
    def place(self) -> str:
        return self.ifname

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Shape:
        return cls(**{**saved, "matches": tuple(Match(**each) for each in saved["matches"])})

    def look(self, fault: str) -> Memory:
        return {"class": htb.free_number_of(fault, self._classes())}

    def ensure(self, fault: str, memory: Memory) -> None:
        found = _ROOT.search(_tc("qdisc", "show", "dev", self.ifname))
        if found is not None and found[2] != "0" and (found[1], found[2]) != ("htb", "1"):
            raise NetsimError(f"link {self.ifname} has a queue of its own, {found[1]}, that a fault would displace")
        number = memory["class"]
        if number in self._classes():
            return
        rooted = found is not None and found[1] == "htb"
        lines = [] if rooted else [f"qdisc add dev {self.ifname} root handle 1: htb default 0"]
        _batch([*lines, *self._class(number), *self._filters(number)])

    def undo(self, fault: str, memory: Memory) -> None:
        number, classes = memory["class"], self._classes()
        if number not in classes:
            return
        lines = []
        if f"pref {number} " in _tc("filter", "show", "dev", self.ifname, "parent", "1:"):
            lines.append(f"filter del dev {self.ifname} parent 1: protocol ip pref {number}")
        lines.append(f"class del dev {self.ifname} classid 1:{number:x}")
        if len(classes) == 1:
            lines = [f"qdisc del dev {self.ifname} root"]
        _batch(lines)

    def _classes(self) -> set[int]:
        return {int(number, 16) for number in _CLASS.findall(_tc("class", "show", "dev", self.ifname))}

    def _class(self, number: int) -> list[str]:
        queue = htb.queue(rate=self.rate, delay=self.delay, jitter=self.jitter, loss=self.loss)
        return [
            f"class add dev {self.ifname} parent 1: classid 1:{number:x} htb {htb.limits(self.rate)}",
            f"qdisc add dev {self.ifname} parent 1:{number:x} {queue}",
        ]

    def _filters(self, number: int) -> list[str]:
        begin = f"filter add dev {self.ifname} parent 1: protocol ip pref {number} u32"
        return [f"{begin} {_terms(match)} flowid 1:{number:x}" for match in self.matches]


def require_shape(what: str, *, delay: int = 0, jitter: int = 0, loss: float = 0.0) -> None:
    """Raises `MissingRequirement`, which names the module, where such a fault is not to be had from this kernel."""
    if delay or jitter or loss:
        require_netem(what)


def _terms(match: Match) -> str:
    terms = [("src", match.source), ("dst", match.target)]
    given = [f"match ip {word} {IPv4Network(text, strict=False)}" for word, text in terms if text]
    return " ".join(given) or "match u32 0 0"


def _tc(*arguments: str) -> str:
    return _run([*arguments])


def _batch(lines: list[str]) -> None:
    _run(["-batch", "-"], "\n".join(lines) + "\n")


def _run(arguments: list[str], text: str = "") -> str:
    try:
        return firewall.run([programs.require("tc", "iproute2"), *arguments], text)
    except CommandFailed as error:
        if _NO_LINK in error.stderr:
            raise NotFound("shape a link", errno.ENODEV, error.stderr.strip()) from error
        raise
