"""Links with another MTU, and links that are down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netsim import link
from netsim.netlink import Netlink

Memory = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SmallMtu:
    """A link takes packets of `mtu` bytes and no longer ones."""

    netns: str
    ifname: str
    mtu: int

    @property
    def place(self) -> str:
        return self.ifname

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> SmallMtu:
        return cls(**saved)

    def look(self, fault: str) -> Memory:
        with Netlink() as netlink:
            return {"mtu": link.get_link(netlink, self.ifname).mtu}

    def ensure(self, fault: str, memory: Memory) -> None:
        with Netlink() as netlink:
            if link.get_link(netlink, self.ifname).mtu != self.mtu:
                netlink.send(link.change(self.ifname, mtu=self.mtu))

    def undo(self, fault: str, memory: Memory) -> None:
        with Netlink() as netlink:
            if link.get_link(netlink, self.ifname).mtu == self.mtu:
                netlink.send(link.change(self.ifname, mtu=memory["mtu"]))


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link is down; its other end has no carrier."""

    netns: str
    ifname: str

    @property
    def place(self) -> str:
        return self.ifname

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> LinkDown:
        return cls(**saved)

    def look(self, fault: str) -> Memory:
        return {}

    def ensure(self, fault: str, memory: Memory) -> None:
        with Netlink() as netlink:
            netlink.send(link.change(self.ifname, up=False))

    def undo(self, fault: str, memory: Memory) -> None:
        with Netlink() as netlink:
            netlink.send(link.change(self.ifname, up=True))
