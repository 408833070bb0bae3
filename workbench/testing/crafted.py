"""scapy at a pod or a node: packets are made and read here, sent and heard there.

scapy itself knows one namespace only, that of its process. So only bytes go across: this process keeps scapy, and
sockets that were opened in the namespace do the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netsim import address, link, namespace
from netsim.netlink import Netlink
from netsim.owned_table import OwnedTable
from netsim.packets import Frame, PacketPort

if TYPE_CHECKING:
    from scapy.packet import Packet

DEFAULT_LINK = "eth0"
_TABLE = "netsim-quiet"


class Crafting:
    """Crafted packets at one network namespace. What is sent without an Ethernet layer is routed by its kernel."""

    def __init__(self, netns: Path) -> None:
        self.netns = netns

    def send(self, packets: Packet | Iterable[Packet]) -> None:
        """Sends packets and waits for nothing."""
        own = self._addresses()
        with PacketPort(self.netns, DEFAULT_LINK) as port:
            for packet in packets:
                _send(port, _completed(packet, own))

    def sr1(self, packet: Packet, timeout: float = 2.0) -> Packet | None:
        """Sends a packet and returns the first answer to it, from the IP layer up; None if none came in time."""
        return next(iter(self.sr(packet, timeout=timeout, count=1)), None)

    def sr(self, packet: Packet, timeout: float = 2.0, count: int = 0) -> list[Packet]:
        """Sends a packet and returns all that answers it within `timeout` seconds, or the first `count`."""
        from scapy.layers.l2 import Ether

        found: list[Packet] = []
        packet = _completed(packet, self._addresses())
        with PacketPort(self.netns, DEFAULT_LINK) as port:
            _send(port, packet)
            framed = isinstance(packet, Ether)
            for frame in port.receive(timeout):
                heard = Ether(frame.data) if framed else _network(frame)
                if heard is not None and not frame.outgoing and heard.answers(packet):
                    found.append(heard)
                    if len(found) == count:
                        break
        return found

    def sniff(
        self,
        timeout: float = 2.0,
        count: int = 0,
        where: Callable[[Packet], bool] = lambda packet: True,
        started: Callable[[], object] = lambda: None,
        ifname: str = "",
    ) -> list[Packet]:
        """Ethernet frames that come by within `timeout` seconds, or the first `count` of those that `where` takes.

        `started` is called when it listens: what it sends is heard, and the time begins behind it. `ifname` is one
        link; all without it.
        """
        from scapy.layers.l2 import Ether

        found: list[Packet] = []
        with PacketPort(self.netns, ifname) as port:
            started()
            for frame in port.receive(timeout):
                packet = Ether(frame.data)
                if where(packet):
                    found.append(packet)
                    if len(found) == count:
                        break
        return found

    def _addresses(self) -> tuple[str, str]:
        """The MAC and the IP address of its NIC."""
        with namespace.entered(self.netns), Netlink() as netlink:
            nic = link.get_link(netlink, DEFAULT_LINK)
            found = address.list_addresses(netlink, nic.index)
        return nic.address, str(found[0].interface.ip) if found else "0.0.0.0"

    @contextmanager
    def by_hand(self, port: int) -> Iterator[None]:
        """Inside the block the namespace's kernel sends no RST from a TCP port that it knows nothing of.

        A TCP connection can then be made by hand. The rule belongs to a process, and goes with it however that ends.
        """
        commands = (
            f"add chain ip {_TABLE}-{port} output {{ type filter hook output priority 0; }}\n"
            f"add rule ip {_TABLE}-{port} output tcp sport {port} tcp flags & rst == rst drop\n"
        )
        with OwnedTable(self.netns, f"{_TABLE}-{port}", commands):
            yield


def _completed(packet: Packet, own: tuple[str, str]) -> Packet:
    """With the namespace's own MAC and IP address where none are set; scapy would take this process's."""
    from scapy.layers.inet import IP
    from scapy.layers.l2 import ARP, Ether

    mac, address = own
    complete = packet.copy()
    if isinstance(complete, ARP):
        complete = Ether(dst="ff:ff:ff:ff:ff:ff") / complete
    for kind, values in ((Ether, {"src": mac}), (ARP, {"hwsrc": mac, "psrc": address}), (IP, {"src": address})):
        if (layer := complete.getlayer(kind)) is not None:
            for field, value in values.items():
                if field not in layer.fields:
                    layer.setfieldval(field, value)
    return complete


def _send(port: PacketPort, packet: Packet) -> None:
    from scapy.layers.l2 import Ether

    if isinstance(packet, Ether):
        port.send_frame(bytes(packet), DEFAULT_LINK)
    else:
        port.send_packet(bytes(packet))


def _network(frame: Frame) -> Packet | None:
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Ether

    return Ether(frame.data).getlayer(IP)
