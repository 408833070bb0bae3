"""Routes and iptables rules that are taken away, and put back where they were unless somebody else has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from typing import Any

from netsim import firewall, route
from netsim.errors import NetsimError
from netsim.netlink import Netlink
from netsim.route import Route, RouteType

Memory = dict[str, Any]
_DEFAULT = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class RouteRemoved:
    """The routes of the main table to exactly this range, or "default", are not there."""

    netns: str
    destination: str

    @property
    def place(self) -> str:
        return self.destination

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> RouteRemoved:
        return cls(**saved)

    def look(self, fault: str) -> Memory:
        with Netlink() as netlink:
            found = self._found(netlink)
        if not found:
            raise NetsimError(f"there is no route to {self.destination}")
        return {"routes": [asdict(each) for each in found]}

    def ensure(self, fault: str, memory: Memory) -> None:
        with Netlink() as netlink:
            for each in self._found(netlink):
                netlink.send(route.removal(each))

    def undo(self, fault: str, memory: Memory) -> None:
        with Netlink() as netlink:
            if not self._found(netlink):
                netlink.send(*(route.new_route(_restored(saved), append=True) for saved in memory["routes"]))

    def _found(self, netlink: Netlink) -> list[Route]:
        return [each for each in route.list_routes(netlink) if _network(each.destination) == _network(self.destination)]


@dataclass(frozen=True, slots=True)
class RuleRemoved:
    """Rules of one iptables table are not there: the one that `iptables-save` writes so, or all of a chain."""

    netns: str
    table: str
    rule: str = ""
    chain: str = ""

    @property
    def place(self) -> str:
        return f"{self.table} {self.rule or self.chain}"

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> RuleRemoved:
        return cls(**saved)

    def look(self, fault: str) -> Memory:
        found = self._found()
        if not found:
            what = f"rule {self.rule!r}" if self.rule else f"chain {self.chain} with rules"
            raise NetsimError(f"there is no {what} in table {self.table}")
        return {"rules": found}

    def ensure(self, fault: str, memory: Memory) -> None:
        found = self._found()
        if found:
            self._restore([line.replace("-A ", "-D ", 1) for _, line in found])

    def undo(self, fault: str, memory: Memory) -> None:
        present = firewall.save(self.table).splitlines()
        chains = {line.split()[0][1:] for line in present if line.startswith(":")}
        counts = {chain: sum(line.startswith(f"-A {chain} ") for line in present) for chain in chains}
        lines = []
        for position, line in memory["rules"]:
            chain = line.split()[1]
            if chain in chains and line not in present:
                counts[chain] += 1
                rest = line.split(" ", 2)[2]
                lines.append(f"-I {chain} {min(position, counts[chain])} {rest}")
        if lines:
            self._restore(lines)

    def _found(self) -> list[tuple[int, str]]:
        """Each with its place in its chain, from 1."""
        found, places = [], dict[str, int]()
        for line in firewall.save(self.table).splitlines():
            if not line.startswith("-A "):
                continue
            chain = line.split()[1]
            places[chain] = places.get(chain, 0) + 1
            if line == self.rule or (not self.rule and chain == self.chain):
                found.append((places[chain], line))
        return found

    def _restore(self, lines: list[str]) -> None:
        firewall.restore("\n".join([f"*{self.table}", *lines, "COMMIT", ""]))


def _network(destination: str) -> IPv4Network:
    return IPv4Network(_DEFAULT if destination == "default" else destination, strict=False)


def _restored(saved: Mapping[str, Any]) -> Route:
    return Route(**{**saved, "gateways": tuple(saved["gateways"]), "type": RouteType(saved["type"])})
