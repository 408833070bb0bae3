"""Packets that are dropped: between addresses, or because they ask for a name.

Each fault has an nft table of its own, so that one comes and goes without the others noticing. The table is in a
node's namespace, where what its pods send has been through the Service rules: both ends are seen as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netsim import firewall, sysctl

TABLE_PREFIX = "netsim-fault-"
_BEFORE_TRANSLATION = -150
_HOOKS = ("input", "forward", "output")
_LONGEST_COMMENT = 120
_CHUNK = 16
"""Bytes that one expression of nft compares."""
_NAME_BEGINS = 20
"""Bytes from the beginning of the UDP header to the first name of a DNS query."""
_CASE = 0x20
"""The bit of a letter that says which case it has."""
_BRIDGED = "net.bridge.bridge-nf-call-iptables"
Memory = dict[str, Any]


def table_of(fault: str) -> str:
    """The name of a fault's table."""
    return TABLE_PREFIX + fault


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes from any of the first addresses of a pair to any of the second is dropped.

    Addresses are ranges or single ones; no second ones stand for all that are not among the first, and likewise.
    """

    netns: str
    pairs: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    why: str = "partition"

    @property
    def place(self) -> str:
        return "addresses"

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Cut:
        pairs = tuple((tuple(sources), tuple(targets)) for sources, targets in saved["pairs"])
        return cls(saved["netns"], pairs, saved["why"])

    def look(self, fault: str) -> Memory:
        return {}

    def ensure(self, fault: str, memory: Memory) -> None:
        if sysctl.find(_BRIDGED) is not None:
            # Else what one pod sends to another through the bridge passes no rule.
            sysctl.ensure(_BRIDGED, 1)
        comment = _comment(fault, self.why)
        rules = [f"{_pair(*pair)} counter drop {comment}" for pair in self.pairs]
        _write(fault, {hook: ("filter", hook, 0, rules) for hook in _HOOKS})

    def undo(self, fault: str, memory: Memory) -> None:
        _remove(fault)


@dataclass(frozen=True, slots=True)
class NamesLost:
    """DNS queries from these addresses for names that begin with these labels get no answer; "*" is every name.

    In whatever case: resolvers that mix it to be sure of whose answer they get ask for the same name.
    """

    netns: str
    sources: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def place(self) -> str:
        return "names"

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> NamesLost:
        return cls(saved["netns"], tuple(saved["sources"]), tuple(saved["names"]))

    def look(self, fault: str) -> Memory:
        return {}

    def ensure(self, fault: str, memory: Memory) -> None:
        comment = _comment(fault, "dnsFailure")
        source = _any_of("saddr", self.sources)
        rules = [f"{source} {query} counter drop {comment}" for name in self.names for query in _queries(name)]
        chains = {hook: ("filter", hook, _BEFORE_TRANSLATION, rules) for hook in ("prerouting", "output")}
        _write(fault, chains)

    def undo(self, fault: str, memory: Memory) -> None:
        _remove(fault)


def _pair(sources: tuple[str, ...], targets: tuple[str, ...]) -> str:
    if not targets:
        return f"{_any_of('saddr', sources)} {_any_of('daddr', sources, no=True)}"
    if not sources:
        return f"{_any_of('saddr', targets, no=True)} {_any_of('daddr', targets)}"
    return f"{_any_of('saddr', sources)} {_any_of('daddr', targets)}"


def _any_of(field: str, addresses: Iterable[str], *, no: bool = False) -> str:
    return f"ip {field} {'!= ' if no else ''}{{ {', '.join(sorted(set(addresses)))} }}"


def _queries(name: str) -> list[str]:
    """The matches for a name's queries; names that search domains are added to begin the same."""
    if name == "*":
        return ["udp dport 53", "tcp dport 53"]
    labels = [label.encode() for label in name.upper().rstrip(".").split(".")]
    wire = b"".join(bytes([len(label)]) + label for label in labels)
    if name.endswith("."):
        wire += b"\0"
    starts = range(0, len(wire), _CHUNK)
    return [
        f"udp dport 53 {' '.join(_bytes_at(_NAME_BEGINS + start, wire[start : start + _CHUNK]) for start in starts)}"
    ]


def _bytes_at(offset: int, upper: bytes) -> str:
    """The match for bytes behind the beginning of the UDP header, letters of which may be of either case."""
    # The length of a label, up to 63, may look like a character, but not like a letter: those begin at 65.
    mask = bytes(~_CASE & 0xFF if chr(byte).isalpha() else 0xFF for byte in upper)
    return f"@th,{offset * 8},{len(upper) * 8} & 0x{mask.hex()} == 0x{upper.hex()}"


def _comment(fault: str, why: str) -> str:
    return f'comment "{f"fault {fault}: {why}"[:_LONGEST_COMMENT]}"'


def _write(fault: str, chains: Mapping[str, tuple[str, str, int, list[str]]]) -> None:
    """Puts the table in place of the one that is there, if it differs, in one transaction."""
    table = table_of(fault)
    digest = hashlib.sha256(repr(chains).encode()).hexdigest()[:32]
    if f'comment "{digest}"' in (firewall.find_nft_table("ip", table) or ""):
        return
    lines = [f"table ip {table} {{ }}", f"delete table ip {table}", f"table ip {table} {{", f'  comment "{digest}"']
    for name, (kind, hook, priority, rules) in chains.items():
        lines += [f"  chain {name} {{", f"    type {kind} hook {hook} priority {priority}; policy accept;"]
        lines += [f"    {rule}" for rule in rules]
        lines.append("  }")
    firewall.nft("\n".join([*lines, "}", ""]))


def _remove(fault: str) -> None:
    firewall.nft(f"table ip {table_of(fault)} {{ }}\ndelete table ip {table_of(fault)}\n")
