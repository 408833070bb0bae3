"""Disks: named, of a size that a writer meets, mounted where asked; they outlive whoever mounts them.

A disk is a directory with a sparse image file, formatted at its first mount and attached through a loop device, or,
where sizes are not to be enforced, with a plain directory. It knows nothing of who uses it: the caller keeps two hosts
from writing to one. Mounts are made in the calling thread's mount namespace.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netsim import files, firewall, loop, programs, syscalls
from netsim.errors import Busy, InvalidRequest, NotFound, Unsupported, translated
from netsim.mountoptions import MountOptions, parse

SMALLEST = 1 << 20
"""Bytes: a file system needs that much."""
FILE_SYSTEMS = ("ext4", "ext3", "ext2")
_NAME = re.compile(r"[A-Za-z0-9%][A-Za-z0-9%._-]*")
_REMOVED, _TEMPLATE = ".removed-", ".template-"
_FORMATTING, _UNUSED = "formatting", "unused"
"""Files beside an image: while it is being formatted, and until it is or is handed out as a block device. A file system
that cannot say where a sparse file holds data, as some of virtual machines, leaves no other way to know."""
_SUPERBLOCK = 1024
_EXT_MAGIC, _MAGIC_AT = b"\x53\xef", _SUPERBLOCK + 0x38
_RESIZE = 0x40086610
"""EXT4_IOC_RESIZE_FS: the kernel grows a mounted file system to a number of blocks."""
_ROOT_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Disks:
    """The disks below `root`. `sized`: each is an image that holds no more than its size."""

    root: Path
    sized: bool = True

    def names(self) -> list[str]:
        """The names of all disks."""
        with suppress(FileNotFoundError):
            return sorted(entry for entry in os.listdir(self.root) if not entry.startswith("."))
        return []

    def exists(self, name: str) -> bool:
        return self._directory(name).is_dir()

    def size(self, name: str) -> int:
        """Bytes that the disk may hold. Raises `NotFound`."""
        directory = self._directory(name)
        with translated(f"look at disk {name}"):
            image = directory / "image"
            if image.exists():
                return image.stat().st_size
            return int(files.read(directory / "size"))

    def ensure(self, name: str, size: int) -> None:
        """Makes a disk of at least `size` bytes, empty and not yet formatted; one that is there is left as it is."""
        directory = self._directory(name)
        if directory.exists():
            return
        with translated(f"create disk {name}"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whole from the moment that it has its name.
            beside = self.root / f".new-{name}"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(mode=0o700)
            if self.sized:
                _make_sparse(beside / "image", rounded(size))
                (beside / _UNUSED).touch()
            else:
                (beside / "data").mkdir(mode=_ROOT_MODE)
                (beside / "size").write_text(str(rounded(size)))
            beside.rename(directory)

    def is_blank(self, name: str) -> bool:
        """Whether nothing was ever written to the disk. Raises `NotFound`."""
        directory = self._directory(name)
        with translated(f"look at disk {name}"):
            if not (directory / "image").exists():
                return not any((directory / "data").iterdir())
            descriptor = os.open(directory / "image", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                return _next_data(descriptor, 0) < 0
            finally:
                os.close(descriptor)

    def grow(self, name: str, size: int) -> None:
        """Makes the disk larger; its file system follows with `grow_filesystem`. Never makes it smaller."""
        directory = self._directory(name)
        if size <= self.size(name):
            return
        with translated(f"grow disk {name}"):
            image = directory / "image"
            if image.exists():
                os.truncate(image, rounded(size))
            else:
                files.replace(directory / "size", str(rounded(size)).encode(), durable=True)

    def delete(self, name: str) -> None:
        """Removes a disk with what is on it; absent is no error. Raises `Busy` while it is attached."""
        directory = self._directory(name)
        if not directory.exists():
            return
        with _locked(directory):
            if loop.is_attached(directory / "image", _hint(directory)):
                raise Busy(f"delete disk {name}", errno.EBUSY, "it is attached")
            with translated(f"delete disk {name}"):
                gone = self.root / f"{_REMOVED}{name}"
                shutil.rmtree(gone, ignore_errors=True)
                directory.rename(gone)
        with translated(f"delete disk {name}"):
            shutil.rmtree(gone)

    def sweep(self) -> None:
        """Removes what a kill left half made or half removed."""
        with suppress(FileNotFoundError):
            for entry in os.listdir(self.root):
                if entry.startswith((_REMOVED, ".new-")):
                    shutil.rmtree(self.root / entry, ignore_errors=True)

    def prepare(self, name: str, filesystem: str) -> None:
        """Formats the disk unless it is, and grows its file system where it is not in use and the disk has grown.

        Raises `Unsupported` for a file system that there is no program for.
        """
        directory = self._directory(name)
        image = directory / "image"
        if not image.exists():
            self._require_data(name)
            return
        with _locked(directory):
            if not _is_formatted(image):
                _format(image, filesystem)
            elif _blocks_missing(image) and not loop.is_attached(image, _hint(directory)):
                _run("e2fsck", "-f", "-p", str(image))
                _run("resize2fs", str(image))

    def mount(self, name: str, target: Path, *, options: Sequence[str] = (), read_only: bool = False) -> None:
        """Mounts a prepared disk on the directory `target`."""
        directory = self._directory(name)
        given = parse([*options, *(["ro"] if read_only else [])])
        if not (directory / "image").exists():
            self._require_data(name)
            bind_directory(directory / "data", target, given)
            return
        with self._device(directory, autoclear=True) as device:
            data = ",".join([*given.data, "discard"])
            # Read-only is this mount, not the file system: another mount of the disk may write.
            flags = given.flags & ~syscalls.MS_RDONLY
            syscalls.mount(device.path, str(target), flags=flags, filesystem="ext4", data=data)
        if given.flags & syscalls.MS_RDONLY:
            syscalls.mount("", str(target), flags=given.flags | syscalls.MS_BIND | syscalls.MS_REMOUNT)

    def attach(self, name: str) -> str:
        """The block device of a disk, attached until `detach`. Raises `Unsupported` where disks are directories."""
        directory = self._directory(name)
        if not (directory / "image").exists():
            self._require_data(name)
            raise Unsupported(f"attach disk {name}", errno.EOPNOTSUPP, "disks are plain directories in this cluster")
        with translated(f"attach disk {name}"):
            (directory / _UNUSED).unlink(missing_ok=True)
        with self._device(directory, autoclear=False) as device:
            return device.path

    def detach(self, name: str) -> None:
        """Takes the block device away, once nobody uses it; absent is no error."""
        directory = self._directory(name)
        if loop.is_attached(directory / "image", hint := _hint(directory)):
            loop.clear(hint)

    def grow_filesystem(self, name: str, target: Path) -> None:
        """Has the file system mounted on `target` fill a disk that has grown.

        Raises `NotPermitted` without CAP_SYS_RESOURCE; then it grows when it is prepared for its next mount.
        """
        directory = self._directory(name)
        image = directory / "image"
        if not image.exists():
            return
        with self._device(directory, autoclear=True) as device:
            device.update_size()
            _fill(image, target)

    @contextmanager
    def _device(self, directory: Path, *, autoclear: bool) -> Iterator[loop.Loop]:
        with _locked(directory), loop.opened(directory / "image", _hint(directory), autoclear=autoclear) as device:
            if _hint(directory) != device.path:
                files.overwrite(directory / "device", device.path.encode(), mode=0o600)
            yield device

    def _require_data(self, name: str) -> None:
        if not (self._directory(name) / "data").is_dir():
            raise NotFound(f"find disk {name}", errno.ENOENT, f"its files below {self.root} are gone")

    def _directory(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or len(name) > 200:
            raise InvalidRequest(f"find disk {name!r}", errno.EINVAL, "that is no name of a disk")
        return self.root / name


def rounded(size: int) -> int:
    """The size that a disk gets: whole MiB, at least one."""
    return max(-(-size // SMALLEST), 1) * SMALLEST


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with translated(f"open {directory}"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hint(directory: Path) -> str:
    try:
        return files.read(directory / "device").decode()
    except FileNotFoundError:
        return ""


def _make_sparse(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def _is_formatted(image: Path) -> bool:
    if image.with_name(_FORMATTING).exists():
        return False
    with translated(f"read {image}"):
        descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.pread(descriptor, 2, _MAGIC_AT) == _EXT_MAGIC:
                return True
            if not image.with_name(_UNUSED).exists() and _next_data(descriptor, 0) >= 0:
                detail = "it already contains unknown data, probably written as a raw block device"
                raise InvalidRequest(f"mount {image.parent.name}", errno.EINVAL, detail)
        finally:
            os.close(descriptor)
    return False


def _format(image: Path, filesystem: str) -> None:
    """Formats an image by copying one that mkfs has made: a disk takes a tenth of the time."""
    if filesystem not in FILE_SYSTEMS:
        raise Unsupported(f"format {image.parent.name}", errno.EOPNOTSUPP, f"no mkfs.{filesystem} on these nodes")
    template = _template(image.parent.parent, filesystem, image.stat().st_size)
    mark = image.with_name(_FORMATTING)
    with translated(f"format {image}"):
        mark.touch()
        _copy(template, image)
        # An image is blank or formatted, or says that it is neither, whenever this is killed.
        image.with_name(_UNUSED).unlink(missing_ok=True)
        mark.unlink()


def _template(root: Path, filesystem: str, size: int) -> Path:
    template = root / f"{_TEMPLATE}{filesystem}-{size}"
    with _locked(root):
        if template.exists():
            return template
        fresh = template.with_name(f"{template.name}.new")
        with translated(f"make {template}"):
            fresh.unlink(missing_ok=True)
            _make_sparse(fresh, size)
        lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        _run(f"mkfs.{filesystem}", "-q", "-F", "-m0", "-E", lazy, str(fresh))
        with translated(f"make {template}"):
            fresh.rename(template)
    return template


def _copy(source: Path, target: Path) -> None:
    """Copies what a sparse file holds into another of its size."""
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    writer = os.open(target, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        place = 0
        while (place := _next_data(reader, place)) >= 0:
            end = os.lseek(reader, place, os.SEEK_HOLE)
            while place < end:
                place += os.copy_file_range(reader, writer, end - place, place, place)
    finally:
        os.close(reader)
        os.close(writer)


def _next_data(descriptor: int, place: int) -> int:
    """Where the next data of a sparse file is, -1 where there is no more."""
    try:
        return os.lseek(descriptor, place, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return -1
        raise


def bind_directory(source: Path, target: Path, options: MountOptions) -> None:
    """Mounts a directory on another, with what `options` say of this mount."""
    syscalls.mount(str(source), str(target), flags=syscalls.MS_BIND)
    if options.flags:
        syscalls.mount("", str(target), flags=options.flags | syscalls.MS_BIND | syscalls.MS_REMOUNT)


def _fill(image: Path, target: Path) -> None:
    wanted = _blocks_missing(image)
    if not wanted:
        return
    with translated(f"grow the file system on {target}"):
        descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _RESIZE, struct.pack("<Q", wanted))
        finally:
            os.close(descriptor)


def _blocks_missing(image: Path) -> int:
    """The number of blocks that the file system would have if it filled its image; 0 if it does."""
    with translated(f"read {image}"), open(image, "rb") as file:
        file.seek(_SUPERBLOCK)
        blocks, _, _, _, _, shift = struct.unpack("<4x6I", file.read(28))
        wanted = image.stat().st_size // (1024 << shift)
    return wanted if wanted > blocks else 0


def _run(name: str, *words: str) -> None:
    firewall.run([programs.require(name, "e2fsprogs"), *words])


__all__ = ["FILE_SYSTEMS", "Disks", "bind_directory", "rounded"]
