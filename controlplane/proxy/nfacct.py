"""Creates the packet counters (nfacct objects) that kube-proxy's rules refer to, in the calling thread's namespace.

`-m nfacct` refuses a rule whose object does not exist, so they come first; a kernel without them gets rules without.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from netsim.errors import KernelError, Unsupported, kernel_error

_NETLINK_NETFILTER = 12
_NEW = 7 << 8  # NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_NEW
_FLAGS = 0x1 | 0x4 | 0x400  # request, acknowledge, create
_NFACCT_NAME = 1
_SECONDS = 5.0


def ensure_counters(*names: str) -> bool:
    """Whether this kernel has nfacct, in which case every one of `names` exists afterwards."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
            netlink.settimeout(_SECONDS)
            for name in names:
                _ensure(netlink, name)
    except Unsupported:
        return False
    except KernelError as error:
        # Without the module the subsystem is unknown, which netfilter answers with EINVAL.
        if error.errno == errno.EINVAL:
            return False
        raise
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return False
        raise
    return True


def _ensure(netlink: socket.socket, name: str) -> None:
    text = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(text), _NFACCT_NAME) + text
    body = struct.pack("=BBH", 0, 0, 0) + attribute + b"\0" * (-len(attribute) % 4)
    netlink.send(struct.pack("=IHHII", 16 + len(body), _NEW, _FLAGS, 1, os.getpid()) + body)
    answer = netlink.recv(4096)
    number = -struct.unpack_from("=i", answer, 16)[0]
    if number not in (0, errno.EBUSY, errno.EEXIST):
        raise kernel_error(f"create nfacct counter {name}", number)
