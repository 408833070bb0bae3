"""The users and groups of an image: its own /etc/passwd and /etc/group, read so that no link in it leads to the host's.

What a user without an entry gets is what containerd gives it: its number, group 0 and no further groups.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.node.errors import CreationFailure

LARGEST_FILE = 1024 * 1024
_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@dataclass(frozen=True, slots=True)
class Account:
    """Who a process of an image is."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Accounts:
    """`users` maps names to user and group numbers, `groups` names to numbers, `members` users to their groups."""

    users: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def of_user(self, text: str) -> Account:
        """The account of an image's USER: a name or a number, and maybe ":" and a group.

        CreationFailure when it names somebody whom the image does not know.
        """
        user, _, group = text.partition(":")
        if not user.isdigit() and user and user not in self.users:
            raise CreationFailure(f"unable to find user {user}: no matching entries in passwd file")
        account = self.of_number(int(user or 0)) if user.isdigit() or not user else self._named(user)
        if not group:
            return account
        if not group.isdigit() and group not in self.groups:
            raise CreationFailure(f"unable to find group {group}: no matching entries in group file")
        return Account(account.uid, int(group) if group.isdigit() else self.groups[group], account.groups)

    def of_number(self, uid: int) -> Account:
        """The account of a user number."""
        for name, (number, _) in self.users.items():
            if number == uid:
                return self._named(name)
        return Account(uid, 0)

    def _named(self, name: str) -> Account:
        uid, gid = self.users[name]
        return Account(uid, gid, self.members.get(name, ()))

    @classmethod
    def read(cls, root: Path) -> Accounts:
        """Those of an unpacked image."""
        users = dict[str, tuple[int, int]]()
        for fields in _entries(root, "etc/passwd", 4):
            with suppress(ValueError):
                users.setdefault(fields[0], (int(fields[2]), int(fields[3])))
        groups, members = dict[str, int](), dict[str, list[int]]()
        for fields in _entries(root, "etc/group", 4):
            with suppress(ValueError):
                number = int(fields[2])
                groups.setdefault(fields[0], number)
                for name in filter(None, fields[3].strip().split(",")):
                    members.setdefault(name, []).append(number)
        return cls(users, groups, {name: tuple(numbers) for name, numbers in members.items()})


@functools.lru_cache(maxsize=64)
def accounts_of(root: Path) -> Accounts:
    """Those of an image's root, which never changes, read once."""
    return Accounts.read(root)


def open_inside(root: Path, path: str, flags: int) -> int:
    """A descriptor of `path` as a process sees it whose root directory is `root`; OSError as of open(2)."""
    base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        opened = int(_libc.syscall(_OPENAT2, base, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
        if opened < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"{root}/{path}")
        return opened
    finally:
        os.close(base)


def _entries(root: Path, path: str, fields: int) -> Iterator[list[str]]:
    with suppress(OSError):
        # Not blocking: it may be a fifo.
        with os.fdopen(open_inside(root, path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            text = file.read(LARGEST_FILE).decode(errors="replace")
        for line in text.splitlines():
            found = line.split(":")
            if len(found) >= fields:
                yield found
