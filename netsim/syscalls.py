"""The few system calls that Python 3.11 does not have, through libc, with errno turned into errors.

All of them act on the calling thread where the kernel lets them; none is for use on the event loop's thread.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from netsim.errors import kernel_error, translated

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
CLONE_FS = 0x00000200

MS_RDONLY = 1
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

SO_RCVBUFFORCE = 33
"""As SO_RCVBUF, and more than net.core.rmem_max, which is 208 KiB where nobody has set it."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.unshare.argtypes = [ctypes.c_int]
_libc.setns.argtypes = [ctypes.c_int, ctypes.c_int]
_libc.sethostname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def unshare(flags: int) -> None:
    """Gives the calling thread new namespaces of the kinds in `flags`."""
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int) -> None:
    """Moves the calling thread into the namespace that `descriptor` is open on; `kind` is its CLONE_NEW* flag."""
    _check(_libc.setns(descriptor, kind), "enter a namespace")


def mount(source: str, target: str, *, flags: int, filesystem: str = "none", data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), target.encode(), filesystem.encode(), flags, data.encode() or None)
    _check(result, f"mount {source} on {target}")


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2); lazily unless told, so that one who still looks at the mount does not hold it up."""
    _check(_libc.umount2(target.encode(), flags), f"unmount {target}")


def sethostname(name: str) -> None:
    """Sets the host name of the calling thread's uts namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, len(raw)), f"set the host name to {name}")


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A read-only descriptor of `path`, such as of a namespace file, closed afterwards."""
    with translated(f"open {path}"):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise kernel_error(what, ctypes.get_errno())
