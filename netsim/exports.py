"""Exports: directories that stand for those of file servers, by server and path.

A path of a server that is exported is a disk like any other; what asks for `server:/path` gets it, or a directory
below it. "*" is any server.
"""

from __future__ import annotations

import errno
import posixpath
from dataclasses import dataclass
from urllib.parse import quote, unquote

from netsim.disks import Disks
from netsim.errors import AlreadyExists, InvalidRequest, NotFound

ANY_SERVER = "*"
DEFAULT_SIZE = 1 << 40


@dataclass(frozen=True, slots=True)
class Export:
    """One export; `disk` is its name among the disks."""

    server: str
    path: str
    disk: str

    def __str__(self) -> str:
        return f"{self.server}:{self.path}"


@dataclass(frozen=True, slots=True)
class Exports:
    """The exports on a set of disks."""

    disks: Disks

    def list(self) -> list[Export]:
        """All exports, by server and path."""
        return [_parsed(name) for name in self.disks.names()]

    def add(self, server: str, path: str, size: int | None = None) -> Export:
        """Makes an export; with a `size` in bytes it holds no more. Raises `AlreadyExists`."""
        export = _export(server, path)
        if self.disks.exists(export.disk):
            raise AlreadyExists(f"export {export}", errno.EEXIST)
        self.ensure(server, path, size)
        return export

    def ensure(self, server: str, path: str, size: int | None = None) -> Export:
        """Makes an export unless it is there."""
        export = _export(server, path)
        disks = self.disks if size is not None else Disks(self.disks.root, sized=False)
        disks.ensure(export.disk, size if size is not None else DEFAULT_SIZE)
        return export

    def remove(self, server: str, path: str) -> None:
        """Removes an export with its data. Raises `NotFound`, and `Busy` while it is mounted."""
        export = _export(server, path)
        if not self.disks.exists(export.disk):
            raise NotFound(f"remove export {export}", errno.ENOENT)
        self.disks.delete(export.disk)

    def find(self, server: str, path: str) -> tuple[Export, str] | None:
        """The nearest export at or above `path`, and what is left of the path below it; None if nothing is."""
        # Two slashes at the start are one: POSIX lets them stand, and above them there is nothing but them.
        wanted = "/" + posixpath.normpath(path).lstrip("/")
        for host in (server, ANY_SERVER):
            above = wanted
            while True:
                export = _export(host, above)
                if self.disks.exists(export.disk):
                    return export, wanted[len(above) :].strip("/") if above != "/" else wanted.strip("/")
                if above == "/":
                    break
                above = posixpath.dirname(above)
        return None


def _export(server: str, path: str) -> Export:
    if not path.startswith("/") or ".." in path.split("/") or not server or "/" in server or ":" in server:
        raise InvalidRequest(f"export {server}:{path}", errno.EINVAL, "write SERVER:/PATH, with an absolute path")
    path = "/" + posixpath.normpath(path).strip("/")
    return Export(server, path, quote(f"{server}:{path}", safe=""))


def _parsed(disk: str) -> Export:
    server, _, path = unquote(disk).partition(":")
    return Export(server, path, disk)
