"""subPath: a part of a volume, bound so that no container can exchange it for something else.

A container may change its volume while another one is being made, so a path that was checked says nothing about what
is there when it is mounted (CVE-2017-1002101, CVE-2021-25741). The path is walked from the volume down, one name at a
time and following no link, and what was reached is bound by its descriptor.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.errors import ConfigFailure
from netsim import syscalls
from netsim.errors import NetsimError

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class SubPath:
    """The part `sub` of `volume`, to be bound on `target`, which is made for it."""

    volume: Path
    sub: str
    target: Path

    def bind(self) -> None:
        """Binds it in the calling thread's mount namespace; a directory is made where there is nothing.

        ConfigFailure when it is not inside the volume.
        """
        try:
            descriptor = _open(self.volume, self.sub)
            try:
                self.target.parent.mkdir(exist_ok=True)
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    self.target.mkdir()
                else:
                    self.target.touch()
                source = f"/proc/self/fd/{descriptor}"
                syscalls.mount(source, str(self.target), flags=syscalls.MS_BIND | syscalls.MS_REC)
            finally:
                os.close(descriptor)
        except (OSError, ValueError, NetsimError) as error:
            raise ConfigFailure(f"failed to prepare subPath {self.sub}: {error}") from error


def _open(volume: Path, sub: str) -> int:
    """A descriptor of what `sub` is in the volume now."""
    if sub.startswith("/") or ".." in sub.split("/"):
        raise ConfigFailure(f"subPath {sub} must be a relative path without '..'")
    base = os.path.realpath(volume)
    # Links inside the volume are allowed, configMap and secret are made of them: they are resolved here, not below.
    wanted = os.path.relpath(os.path.realpath(f"{base}/{sub}"), base)
    names = [] if wanted == "." else wanted.split("/")
    if ".." in names:
        raise ConfigFailure(f"subPath {sub} leads out of the volume")
    reached = os.open(base, os.O_PATH | os.O_CLOEXEC)
    mode = stat.S_IMODE(os.fstat(reached).st_mode)
    for name in names:
        try:
            inner = _step(reached, name, mode)
        finally:
            os.close(reached)
        reached = inner
    return reached


def _step(directory: int, name: str, mode: int) -> int:
    try:
        inner = os.open(name, _STEP, dir_fd=directory)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=directory)
        inner = os.open(name, _STEP | os.O_DIRECTORY, dir_fd=directory)
        # As the volume is: who may write to the one shall write to the other.
        os.chmod(f"/proc/self/fd/{inner}", mode)
    if stat.S_ISLNK(os.fstat(inner).st_mode):
        os.close(inner)
        raise ConfigFailure(f"{name} became a link while it was being mounted")
    return inner
