"""Addresses on disk: which container holds which, as the host-local plugin keeps it.

A file per address, named like it, with the container's id and ifname in it. It comes into being whole and exactly
once (`netsim.files.create`), so concurrent ADDs need no lock, never get the same address, and a kill leaves no half.
So that an ADD does not have to read them all, a link per container, made before the address is taken, says which
one it took; where it says wrong, after a kill or after upstream's plugin wrote the files, the files are read.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cni.errors import CniError, Code
from netsim import files
from netsim.errors import translated

_LAST = "last_reserved_ip"
_OWNERS = "owners"


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses of a subnet from `start` to `end`, the gateway left out."""

    subnet: IPv4Network
    start: IPv4Address
    end: IPv4Address
    gateway: IPv4Address

    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv4Address) and self.start <= address <= self.end and address != self.gateway


class AddressStore:
    """The directory of one network. `ranges` in its methods are the alternatives for one address, in order."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def ensure(self) -> None:
        """Makes the directory."""
        with translated(f"make {self._directory}"):
            (self._directory / _OWNERS).mkdir(parents=True, exist_ok=True)

    def reserve(
        self, owner: tuple[str, str], ranges: Sequence[Range], *, index: int = 0, wanted: IPv4Address | None = None
    ) -> tuple[IPv4Address, Range]:
        """An address for `owner` (container id, ifname) and the range it is of; the one it holds if it has one.

        `index` tells several addresses of one owner apart. Raises `CniError` if all are taken, or the wanted one is.
        """
        held = self._held_by(owner, index)
        if held is not None and any(held in each for each in ranges):
            return held, _range_of(held, ranges)
        for candidate in [wanted] if wanted is not None else self._candidates(ranges, index):
            if self._take(candidate, owner, index):
                files.overwrite(self._directory / f"{_LAST}.{index}", str(candidate).encode())
                return candidate, _range_of(candidate, ranges)
        described = ", ".join(f"{each.start}-{each.end}" for each in ranges)
        if wanted is not None:
            raise CniError(Code.NO_ADDRESS_LEFT, f"requested IP address {wanted} is not available in {described}")
        raise CniError(Code.NO_ADDRESS_LEFT, f"no IP addresses available in range set: {described}")

    def release(self, owner: tuple[str, str]) -> list[IPv4Address]:
        """Frees the addresses of an owner, and returns them; none is no error."""
        links = [link for index in range(8) if os.path.lexists(link := self._owner_link(owner, index))]
        held = [address for link in links if self._owner_of(address := _target(link)) == owner]
        if not held:
            held = [address for address, holder in self.reservations() if holder == owner]
        for address in held:
            files.remove(self._directory / str(address))
        for link in links:
            files.remove(link)
        return held

    def holds(self, owner: tuple[str, str]) -> bool:
        """Whether an owner has an address."""
        return self._held_by(owner, 0) is not None or any(holder == owner for _address, holder in self.reservations())

    def reservations(self) -> Iterator[tuple[IPv4Address, tuple[str, str]]]:
        """All addresses that are taken, with their owners."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return
        for name in names:
            with suppress(ipaddress.AddressValueError):
                address = IPv4Address(name)
                holder = self._owner_of(address)
                if holder is not None:
                    yield address, holder

    def keep_only(self, owners: Iterable[tuple[str, str]]) -> list[IPv4Address]:
        """Frees what belongs to others than these, and returns it."""
        kept = set(owners)
        gone = [(address, holder) for address, holder in self.reservations() if holder not in kept]
        for _address, holder in gone:
            self.release(holder)
        return [address for address, _holder in gone]

    def _held_by(self, owner: tuple[str, str], index: int) -> IPv4Address | None:
        try:
            address = _target(self._owner_link(owner, index))
        except FileNotFoundError:
            return None
        return address if self._owner_of(address) == owner else None

    def _take(self, address: IPv4Address, owner: tuple[str, str], index: int) -> bool:
        # Before the address, so that whatever happens after it can be found by its owner.
        self._point(self._owner_link(owner, index), address)
        try:
            files.create(self._directory / str(address), "\r\n".join(owner).encode(), mode=0o600)
        except FileExistsError:
            return False
        return True

    def _point(self, link: Path, address: IPv4Address) -> None:
        try:
            os.symlink(str(address), link)
        except FileExistsError:
            files.remove(link)
            os.symlink(str(address), link)
        except FileNotFoundError:
            self.ensure()
            os.symlink(str(address), link)

    def _owner_of(self, address: IPv4Address) -> tuple[str, str] | None:
        try:
            text = files.read(self._directory / str(address)).decode()
        except FileNotFoundError:
            return None
        container_id, _, ifname = text.strip().partition("\n")
        return container_id.strip(), ifname.strip()

    def _owner_link(self, owner: tuple[str, str], index: int) -> Path:
        return self._directory / _OWNERS / f"{owner[0]}:{owner[1]}:{index}"

    def _candidates(self, ranges: Sequence[Range], index: int) -> Iterator[IPv4Address]:
        """Every address once, beginning after the one given last, so that a freed one rests as long as possible."""
        last = self._last(index)
        start = next((number for number, each in enumerate(ranges) if last in each), None)
        if start is None or last is None:
            for each in ranges:
                yield from _between(each, each.start, each.end)
            return
        yield from _between(ranges[start], last + 1, ranges[start].end)
        for each in (*ranges[start + 1 :], *ranges[:start]):
            yield from _between(each, each.start, each.end)
        yield from _between(ranges[start], ranges[start].start, last)

    def _last(self, index: int) -> IPv4Address | None:
        try:
            return IPv4Address(files.read(self._directory / f"{_LAST}.{index}").decode().strip())
        except (FileNotFoundError, ipaddress.AddressValueError):
            return None


def _between(each: Range, start: IPv4Address, end: IPv4Address) -> Iterator[IPv4Address]:
    for number in range(int(start), int(end) + 1):
        address = IPv4Address(number)
        if address in each:
            yield address


def _range_of(address: IPv4Address, ranges: Sequence[Range]) -> Range:
    return next((each for each in ranges if address in each), ranges[0])


def _target(link: Path) -> IPv4Address:
    return IPv4Address(os.readlink(link))
