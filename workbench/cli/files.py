"""Writing files whole or not at all, and as the person who called sudo rather than as root.

What goes into a home directory is written with that person's rights. So the file is theirs, and a link that they
planted there leads root nowhere.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.cli.errors import UserError


@dataclass(frozen=True, slots=True)
class Owner:
    """A person with a home directory."""

    name: str
    uid: int
    gid: int
    home: Path

    @classmethod
    def of(cls, uid: int) -> Owner:
        """The owner with that user id; KeyError if the host knows none."""
        entry = pwd.getpwuid(uid)
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def invoking_owner() -> Owner:
    """Who called: the user behind sudo, or the user of this process, whose home is then what `HOME` says, if anything.

    Behind sudo `HOME` may be root's or the user's, as sudo is set up; so there the user database is asked. UserError
    if it does not know them.
    """
    behind_sudo = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and behind_sudo.isdecimal() and int(behind_sudo) != 0:
        try:
            return Owner.of(int(behind_sudo))
        except KeyError as error:
            raise UserError(f"sudo was called by user {behind_sudo}, whom this host does not know") from error
    owner = Owner.of(os.geteuid())
    home = Path(os.environ.get("HOME", ""))
    return replace(owner, home=home) if home.is_absolute() else owner


@contextmanager
def acting_as(owner: Owner) -> Iterator[None]:
    """Have the rights of `owner`, and no others, for files made and read inside the block."""
    if os.geteuid() == owner.uid:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups(os.getgrouplist(owner.name, owner.gid))
    os.setegid(owner.gid)
    os.seteuid(owner.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a power loss, finds either the old content or all of the new."""
    target = path.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
