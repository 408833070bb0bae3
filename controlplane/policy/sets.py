"""Address sets as values, and ipset's commands that turn the sets that are there into those that shall be.

Every member carries the name of the pod that has the address, so `ipset list` reads like a list of pods.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from controlplane.policy import names

LONGEST_COMMENT = 255


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set as ipset knows it. `members` are entries in ipset's words, such as "10.44.1.2,tcp:80", with comments."""

    kind: str
    members: Mapping[str, str] = field(default_factory=dict)
    counters: bool = False

    def create(self, name: str) -> str:
        """The command that makes it, empty."""
        return f"create {name} {self.kind} family inet{' counters' if self.counters else ''} comment"


Sets = Mapping[str, AddressSet]


def block_members(cidr: str, excepts: Iterable[str]) -> dict[str, str]:
    """The entries of a hash:net set for a range without parts; such a set has no /0, so that is two halves."""
    network = IPv4Network(cidr)
    left_out = [str(IPv4Network(each)) for each in excepts]
    halves = [str(half) for half in network.subnets()] if network.prefixlen == 0 else [cidr]
    members = {half: "" for half in halves if half not in left_out}
    return members | {f"{each} nomatch": "" for each in left_out if each not in halves}


def created(before: Sets, wanted: Sets, *, empty: tuple[str, ...]) -> list[str]:
    """Commands for the sets that are not there yet, with their members; those whose names begin with one of `empty`
    without."""
    lines = []
    for name, wanted_set in wanted.items():
        if name not in before:
            lines.append(wanted_set.create(name))
            if not name.startswith(empty):
                lines += [_add(name, entry, comment) for entry, comment in wanted_set.members.items()]
    return lines


def filled(before: Sets, wanted: Sets) -> list[str]:
    """Commands that bring the members of all sets of `wanted`, which are there, to what they should be. What comes is
    before what goes, so that a pod that changes sets is never in none."""
    coming, going = [], []
    for name, wanted_set in wanted.items():
        old = before[name].members if name in before else {}
        coming += [_add(name, e, c) for e, c in wanted_set.members.items() if e not in old or old[e] != c]
        going += [f"del {name} {entry.removesuffix(' nomatch')}" for entry in old if entry not in wanted_set.members]
    return [*coming, *going]


def destroyed(before: Sets, wanted: Sets) -> list[str]:
    """Commands that remove the sets which nobody wants any more."""
    return [f"destroy {name}" for name in before if name not in wanted]


def parse(saved: str) -> dict[str, AddressSet]:
    """Our sets in the output of `ipset save`, without counters."""
    found: dict[str, AddressSet] = {}
    members: dict[str, dict[str, str]] = {}
    for line in saved.splitlines():
        command, _, rest = line.partition(" ")
        name, _, options = rest.partition(" ")
        if not name.startswith(names.PREFIX):
            continue
        if command == "create":
            members[name] = {}
            found[name] = AddressSet(options.split(" ", 1)[0], members[name], " counters" in options)
        elif command == "add":
            entry, comment, _ = parse_member(options)
            members[name][entry] = comment
    return found


def parse_member(options: str) -> tuple[str, str, int]:
    """Entry, comment and packets of what stands after "add NAME" in ipset's output."""
    words = shlex.split(options)
    entry = words[0] + (" nomatch" if "nomatch" in words else "")
    values = dict(itertools.pairwise(words))
    return entry, values.get("comment", ""), int(values.get("packets", 0))


def _add(name: str, entry: str, comment: str) -> str:
    said = f' comment "{comment[:LONGEST_COMMENT]}"' if comment else ""
    # An entry that is there under another comment, of a pod that had the address before, is taken over.
    address, _, option = entry.partition(" ")
    return f"add -exist {name} {address}{said}{' ' + option if option else ''}"
