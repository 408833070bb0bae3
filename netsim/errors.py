"""What can go wrong between netsim and the kernel, as one tree; errno becomes an error here and nowhere else.

NetsimError
├── KernelError            the kernel refused; `errno` says why
│   ├── AlreadyExists      EEXIST
│   ├── NotFound           ENODEV, ENOENT, ESRCH, ENXIO, EADDRNOTAVAIL
│   ├── NotPermitted       EPERM, EACCES
│   ├── Busy               EBUSY, ENOTEMPTY, EAGAIN
│   ├── InvalidRequest     EINVAL, ERANGE, ENETUNREACH, ENOTCONN
│   ├── NoSpace            ENOSPC, EMFILE, ENFILE, ENOMEM
│   └── Unsupported        EOPNOTSUPP, EAFNOSUPPORT, EPROTONOSUPPORT, ENOSYS
├── CommandFailed          a program that we ran failed; shows argv, exit status and what it printed
│   └── RulesRejected      iptables-restore or nft refused a line; shows the line
├── LockTimeout            a lock of the host is held by someone else for too long; names the holder
├── RangeConflict          two address ranges overlap; names both
├── MissingRequirement     this host lacks a program, a kernel feature or a right; says how to get it
└── RemovalIncomplete      some marked things could not be removed; names them
"""

from __future__ import annotations

import errno as E
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class NetsimError(Exception):
    """Anything that netsim refuses or fails to do."""


class KernelError(NetsimError):
    """A system call or netlink request was refused."""

    def __init__(self, what: str, errno: int, detail: str = "") -> None:
        reason = f"{os.strerror(errno)}: {detail}" if detail else os.strerror(errno)
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.errno = errno
        self.detail = detail


class AlreadyExists(KernelError):
    """What was to be created is there already."""


class NotFound(KernelError):
    """What was named does not exist."""


class NotPermitted(KernelError):
    """The caller lacks the right; netsim needs root."""


class Busy(KernelError):
    """The thing is in use, or the kernel asks to try again."""


class InvalidRequest(KernelError):
    """The kernel does not accept these values, or not in this state."""


class NoSpace(KernelError):
    """A limit of the kernel or a disk is reached."""


class Unsupported(KernelError):
    """This kernel cannot do it."""


class CommandFailed(NetsimError):
    """A program failed; all that is known of it is shown."""

    def __init__(self, argv: Sequence[str], status: int, *, stdout: str = "", stderr: str = "") -> None:
        self.argv = list(argv)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        said = "\n".join(part.strip() for part in (stderr, stdout) if part.strip())
        super().__init__(f"`{' '.join(argv)}` exited with status {status}" + (f":\n{said}" if said else ""))


class RulesRejected(CommandFailed):
    """A rule file was refused as a whole; `line` is the first line that the program complained of."""

    def __init__(self, argv: Sequence[str], status: int, *, stderr: str, line: str) -> None:
        super().__init__(argv, status, stderr=stderr)
        self.line = line
        if line:
            self.args = (f"{self.args[0]}\nthe rejected line: {line}",)


class LockTimeout(NetsimError):
    """The lock on a directory of the host was not to be had in time."""

    def __init__(self, directory: str, seconds: float, holders: Sequence[str]) -> None:
        by = " and ".join(holders) or "a process that /proc/locks does not name"
        super().__init__(
            f"the lock on directory {directory}, which netsim takes to change what clusters share, was not free for"
            f" {seconds:.0f} s: it is held by {by}; end that process and try again"
        )
        self.holders = list(holders)


class RangeConflict(NetsimError):
    """Two address ranges overlap."""


class MissingRequirement(NetsimError):
    """The host lacks something; `remedy` says how to get it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class RemovalIncomplete(NetsimError):
    """Marked things are still there after a removal; `left` names them."""

    def __init__(self, left: Sequence[str]) -> None:
        super().__init__("could not remove: " + "; ".join(left))
        self.left = list(left)


_BY_ERRNO: dict[int, type[KernelError]] = {
    E.EEXIST: AlreadyExists,
    E.ENODEV: NotFound,
    E.ENOENT: NotFound,
    E.ESRCH: NotFound,
    E.ENXIO: NotFound,
    E.EADDRNOTAVAIL: NotFound,
    E.EPERM: NotPermitted,
    E.EACCES: NotPermitted,
    E.EBUSY: Busy,
    E.ENOTEMPTY: Busy,
    E.EAGAIN: Busy,
    E.EINVAL: InvalidRequest,
    E.ERANGE: InvalidRequest,
    E.ENETUNREACH: InvalidRequest,
    E.ENOTCONN: InvalidRequest,
    E.ENOSPC: NoSpace,
    E.EMFILE: NoSpace,
    E.ENFILE: NoSpace,
    E.ENOMEM: NoSpace,
    E.EOPNOTSUPP: Unsupported,
    E.EAFNOSUPPORT: Unsupported,
    E.EPROTONOSUPPORT: Unsupported,
    E.ENOSYS: Unsupported,
}


def kernel_error(what: str, errno: int, detail: str = "") -> KernelError:
    """The error for an errno; `what` says in plain words what was asked, `detail` is the kernel's own message."""
    return _BY_ERRNO.get(errno, KernelError)(what, errno, detail)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns an OSError inside the block into the KernelError of its errno."""
    try:
        yield
    except OSError as error:
        raise kernel_error(what, error.errno or E.EIO) from error
