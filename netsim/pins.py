"""Files that keep namespaces alive: bind mounts of /proc/.../ns entries, under /run/netns as `ip netns` has them.

/run/netns has to be a mount of its own that propagates, or else a namespace's pin would be missing in the mount
namespaces that `ip netns exec` and container runtimes make. `ip netns add` sees to that; so do we, in the same
way, and note on the directory what of it we made, to take it back when the last namespace goes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netsim import files, hostlock, syscalls
from netsim.errors import Busy, InvalidRequest, NotFound, kernel_error, translated

NETNS_DIR = Path("/run/netns")
_NOTE = "trusted.netsim.made"
_FILE_MARK = "trusted.netsim.mark"
_LOCK = Path("/")
"""A directory that every process sees; locking it leaves no file behind."""
_STAGING = Path("/run/netsim/.netns")
_MADE_BY_OTHERS = frozenset({errno.EBUSY, errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})
_NO_NOTE = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT})


def namespace_path(name: str) -> Path:
    """Where the namespace of that name is pinned."""
    return NETNS_DIR / name


def ensure_netns_directory() -> None:
    """Makes /run/netns a shared mount, unless it is."""
    if _propagates(NETNS_DIR):
        return
    with hostlock.held(_LOCK):
        if not NETNS_DIR.exists():
            with translated(f"make {NETNS_DIR}"):
                _make_directory()
        if not _propagates(NETNS_DIR):
            _write_note(NETNS_DIR, "mount")
            share(NETNS_DIR)


@contextmanager
def netns_directory_held() -> Iterator[None]:
    """/run/netns is a shared mount inside the block, and nobody takes it back meanwhile."""
    while True:
        with hostlock.held(_LOCK, shared=True):
            if _propagates(NETNS_DIR):
                yield
                return
        ensure_netns_directory()


def remove_netns_directory() -> bool:
    """Takes back what `ensure_netns_directory` made, once no namespace is pinned there; says whether it did."""
    try:
        with hostlock.held(_LOCK), translated(f"remove {NETNS_DIR}"):
            _remove_staging()
            made = _read_note(NETNS_DIR)
            return bool(made) and _take_back(made)
    except (Busy, NotFound):
        # Others pin a namespace there, or take it back themselves, at this very moment.
        return False


def _take_back(made: set[str]) -> bool:
    if any(NETNS_DIR.iterdir()):
        return False
    if "directory" not in made:
        os.removexattr(NETNS_DIR, _NOTE)
    with suppress(InvalidRequest):
        # Not lazily: it is to fail if a namespace is pinned there by now.
        syscalls.unmount(str(NETNS_DIR), flags=0)
    if "directory" in made:
        NETNS_DIR.rmdir()
    return True


def share(directory: Path) -> None:
    """Makes a directory a mount that propagates into mount namespaces made from this one, unless it is.

    Pins under it are then seen by container runtimes that run in a mount namespace of their own.
    """
    if not _propagates(directory):
        syscalls.mount(str(directory), str(directory), flags=syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount("", str(directory), flags=syscalls.MS_SHARED)


def pin(source: str, target: Path, mark: str = "") -> None:
    """Keeps the namespace at `source` alive as `target`.

    The file under the mount carries `mark` from the moment that it exists, so a run that is killed before the mount
    leaves nothing that cannot be told from others' files; such a file is used here.
    """
    with translated(f"make {target}"), suppress(FileExistsError):
        files.create(target, b"", mode=0o444, attributes={_FILE_MARK: mark} if mark else None)
    syscalls.mount(source, str(target), flags=syscalls.MS_BIND)


def read_file_mark(target: Path) -> str:
    """The mark on a pin's file that nothing is mounted on, or empty."""
    try:
        return os.getxattr(target, _FILE_MARK).decode(errors="replace")
    except OSError as error:
        if error.errno not in _NO_NOTE:
            raise kernel_error(f"read the mark of {target}", error.errno or errno.EIO) from error
        return ""


def unpin(target: Path) -> None:
    """Takes a pin away, its file too; absent is no error."""
    # The file is missing, or is no mount, as a kill between the two steps leaves it.
    with suppress(NotFound, InvalidRequest):
        syscalls.unmount(str(target))
    with translated(f"remove {target}"):
        target.unlink(missing_ok=True)


def is_pinned(target: Path) -> bool:
    """Whether a namespace is mounted there, not just an empty file left over."""
    try:
        inside, around = os.stat(target), os.stat(target.parent)
    except FileNotFoundError:
        return False
    return inside.st_dev != around.st_dev


def _propagates(directory: Path) -> bool:
    # Asking for it is the cheapest way to know: what is no mount is refused, what is shared already stays so.
    try:
        syscalls.mount("", str(directory), flags=syscalls.MS_SHARED)
    except (InvalidRequest, NotFound):
        return False
    return True


def _make_directory() -> None:
    # Made and noted among our own, so that no kill leaves one in the host's place that nobody knows to be ours.
    _STAGING.mkdir(mode=0o755, parents=True, exist_ok=True)
    _write_note(_STAGING, "directory")
    try:
        # One that someone else has just made is replaced while it is empty.
        os.rename(_STAGING, NETNS_DIR)
    except OSError as error:
        if error.errno not in _MADE_BY_OTHERS:
            raise
    _remove_staging()


def _remove_staging() -> None:
    for directory in (_STAGING, _STAGING.parent):
        with suppress(OSError):
            directory.rmdir()


def _read_note(directory: Path) -> set[str]:
    try:
        return set(os.getxattr(directory, _NOTE).decode().split(","))
    except OSError as error:
        if error.errno not in _NO_NOTE:
            raise
        return set()


def _write_note(directory: Path, made: str) -> None:
    try:
        os.setxattr(directory, _NOTE, ",".join(sorted({*_read_note(directory), made})).encode())
    except OSError as error:
        # Without extended attributes what we made stays, as what `ip netns` makes does too.
        if error.errno != errno.EOPNOTSUPP:
            raise
