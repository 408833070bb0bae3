"""A packet socket with a TPACKET_V3 ring on one link (packet(7), Documentation/networking/packet_mmap)."""

from __future__ import annotations

import ctypes
import socket
import struct

from netsim import namespace
from netsim.capture.point import Point
from netsim.errors import translated

BLOCK_BYTES = 1 << 18
TIMEOUT_MILLISECONDS = 10
"""After this long the kernel hands over a block that is not full."""

_SOL_PACKET, _PACKET_RX_RING, _PACKET_VERSION = 263, 5, 10
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 3
_FRAME_BYTES = 2048
_REQUEST = struct.Struct("=7I")
_INSTRUCTION_BYTES = 8


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def open_ring(point: Point, program: bytes, blocks: int) -> socket.socket:
    """The socket, which sees packets from now on: those that the link sends and those that it receives.

    `program` is a compiled filter, `blocks` how many `BLOCK_BYTES` the kernel may fill before it drops. Raises
    `NotFound` if there is no such namespace or link, `NoSpace` if the memory is not to be had.
    """
    what = f"capture at {point.name or point.ifname}"
    # Without a protocol nothing comes in before the filter is there.
    with translated(what), namespace.entered(point.netns):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        with translated(what):
            _attach(opened, program)
            opened.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            frames = BLOCK_BYTES // _FRAME_BYTES * blocks
            request = _REQUEST.pack(BLOCK_BYTES, blocks, _FRAME_BYTES, frames, TIMEOUT_MILLISECONDS, 0, 0)
            opened.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            opened.bind((point.ifname, _ETH_P_ALL))
    except BaseException:
        opened.close()
        raise
    return opened


def _attach(opened: socket.socket, program: bytes) -> None:
    instructions = ctypes.create_string_buffer(program, len(program))
    described = _Program(len(program) // _INSTRUCTION_BYTES, ctypes.addressof(instructions))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(described))
