"""The rules of a namespace by the handles that traces name them with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netsim import firewall, namespace

_TABLE = re.compile(r"table ip ([\w.-]+) \{")
_CHAIN = re.compile(r"\tchain ([\w-]+) \{")
_RULE = re.compile(r"\t\t(.+) # handle (\d+)$")
_HOOK = re.compile(r"\t\ttype \w+ hook (\w+) priority ([\w+\- ]+);")
_SAVED_TABLE, _SAVED_RULE = re.compile(r"\*(\w+)"), re.compile(r"-A (\S+) ")


@dataclass(frozen=True, slots=True)
class Rule:
    """`text` as `iptables-save` has it where the rule is iptables', else as nft has it."""

    table: str
    chain: str
    text: str
    iptables: bool


class RuleBook:
    """What was in a namespace at one moment; `saved` are iptables' rules as `iptables-save` has them."""

    def __init__(self, listing: str, saved: str) -> None:
        self.saved = saved
        self._rules: dict[tuple[str, int], Rule] = {}
        self._hooks: dict[tuple[str, str], str] = {}
        self._read(listing, _saved_rules(saved))

    @classmethod
    def of(cls, netns: Path) -> RuleBook:
        """Of a namespace, now."""
        with namespace.entered(netns):
            return cls(firewall.list_ruleset(), firewall.save())

    def find(self, table: str, handle: int) -> Rule | None:
        """The rule of that handle, or None if it came later."""
        return self._rules.get((table, handle))

    def hook(self, table: str, chain: str) -> str:
        """The hook that a base chain stands at; empty for one that is jumped to."""
        return self._hooks.get((table, chain), "")

    def _read(self, listing: str, saved: Mapping[tuple[str, str], list[str]]) -> None:
        table = chain = ""
        position = 0
        for line in listing.splitlines():
            if (match := _TABLE.match(line)) is not None:
                table = match[1]
            elif (match := _CHAIN.match(line)) is not None:
                chain, position = match[1], 0
            elif (match := _HOOK.match(line)) is not None:
                self._hooks[table, chain] = match[1]
            elif (match := _RULE.match(line)) is not None:
                known = saved.get((table, chain), [])
                ours = position < len(known)
                text = known[position] if ours else re.sub(r"counter packets \d+ bytes \d+ ", "", match[1])
                self._rules[table, int(match[2])] = Rule(table, chain, text, ours)
                position += 1


def _saved_rules(saved: str) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    table = ""
    for line in saved.splitlines():
        if (match := _SAVED_TABLE.match(line)) is not None:
            table = match[1]
        elif (match := _SAVED_RULE.match(line)) is not None:
            found.setdefault((table, match[1]), []).append(line)
    return found
