"""What links leave to a device: checksums, and the cutting of what TCP sends into packets.

Behind a veth there is no device: nobody completes a checksum that was left open, since the receiver trusts the sender,
and nobody cuts. Nothing is wrong with that but for who looks at the packets: checksums are wrong, and TCP's are larger
than the MTU. Switched off, the sender's kernel does both before it hands a packet to the link, and the receiver's does
not put together again what has come in pieces.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

from netsim.errors import translated

# linux/sockios.h, linux/ethtool.h
_SIOCETHTOOL = 0x8946
_GET_TX_CHECKSUMS, _SET_TX_CHECKSUMS, _SET_GRO = 0x16, 0x17, 0x2C
_VALUE = struct.Struct("=II")
_REQUEST = struct.Struct("=16sQ16x")


def turn_off(*ifnames: str) -> None:
    """Has the kernel do all for these links of the calling thread's namespace, those that do already included.

    Without checksums no link cuts either: the kernel takes the one as a condition of the other. Raises `NotFound`.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for ifname in ifnames:
            with translated(f"switch off the offloads of link {ifname}"):
                _ask(asking, ifname, _SET_TX_CHECKSUMS, 0)
                _ask(asking, ifname, _SET_GRO, 0)


def are_on(ifname: str) -> bool:
    """Whether a link of the calling thread's namespace leaves checksums open. Raises `NotFound`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, translated(f"ask for the offloads of {ifname}"):
        return bool(_ask(asking, ifname, _GET_TX_CHECKSUMS, 0))


def _ask(asking: socket.socket, ifname: str, command: int, value: int) -> int:
    data = ctypes.create_string_buffer(_VALUE.pack(command, value), _VALUE.size)
    fcntl.ioctl(asking, _SIOCETHTOOL, _REQUEST.pack(ifname.encode(), ctypes.addressof(data)))
    return int(_VALUE.unpack(data.raw)[1])
