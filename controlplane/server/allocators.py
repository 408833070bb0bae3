"""Cluster addresses and node ports: which are taken, and by which Service.

Nothing is stored besides the Services themselves: at the start the allocations are read from them,
and each write of a Service says anew what that Service holds. Automatic choices come from the upper
part of a range first, so that fixed numbers in the lower part seldom collide (KEP-3070, KEP-3668).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

TRIES = 64


class Taken(Generic[T]):
    """Numbers or addresses by owner."""

    def __init__(self) -> None:
        self._owners: dict[T, Hashable] = {}
        self._held: dict[Hashable, set[T]] = {}

    def owner(self, item: T) -> Hashable | None:
        """Who holds `item`."""
        return self._owners.get(item)

    def hold(self, owner: Hashable, items: Iterable[T]) -> None:
        """From now on `owner` holds exactly `items`."""
        for item in self._held.pop(owner, ()):
            del self._owners[item]
        held = {item for item in items if item not in self._owners}
        if held:
            self._held[owner] = held
            self._owners.update(dict.fromkeys(held, owner))


class Full(Exception):
    """Nothing is left in a range."""


class Addresses(Taken[str]):
    """Addresses of a Service range; the network, broadcast and first address are never chosen."""

    def __init__(self, network: IPv4Network) -> None:
        super().__init__()
        self.network = network
        size = network.num_addresses
        self._offset = min(max(16, size // 16), 256) if size > 16 else 0

    def choose(self) -> str:
        """A free address; `Full` when there is none."""
        base = int(self.network.network_address)
        last = self.network.num_addresses - 1
        for number in _candidates(max(2, self._offset), 2, last):
            address = str(IPv4Address(base + number))
            if self.owner(address) is None:
                return address
        raise Full

    def contains(self, address: str) -> bool:
        """Whether `address` may be given to a Service."""
        inside = IPv4Address(address)
        return inside in self.network and inside not in (self.network.network_address, self.network.broadcast_address)


class Ports(Taken[tuple[str, int]]):
    """Node ports by protocol."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first = first
        self.last = last
        self._static = min(max(16, (last - first + 1) // 32), 128)

    def choose(self, protocols: Sequence[str], used: Collection[int] = ()) -> int:
        """A port, not in `used`, that is free for every one of `protocols`; `Full` when there is none."""
        for port in _candidates(self.first + self._static, self.first, self.last + 1):
            if port not in used and all(self.owner((protocol, port)) is None for protocol in protocols):
                return port
        raise Full


def _candidates(preferred: int, start: int, end: int) -> Iterator[int]:
    """A few random numbers from the preferred part, then all of it, then the rest."""
    if preferred < end:
        for _ in range(TRIES):
            yield random.randrange(preferred, end)
    yield from range(preferred, end)
    yield from range(start, min(preferred, end))
