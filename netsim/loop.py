"""Loop devices: an image file as a block device, found again by its file and cleared by the kernel when nobody uses it.

A device with `autoclear` goes with its last user, a mount or an open descriptor, so no kill leaves one behind. What
needs to stay without a user, a raw block volume, is attached without it and found by the path of its file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netsim import firewall
from netsim.errors import NetsimError, NotFound, kernel_error, translated

CONTROL = Path("/dev/loop-control")
_GET_FREE, _CONFIGURE, _CLEAR = 0x4C82, 0x4C0A, 0x4C01
_GET_STATUS, _SET_CAPACITY = 0x4C05, 0x4C07
_AUTOCLEAR = 4
_SECTOR = 512
_INFO = struct.Struct("<5Q4I64s64s32s2Q")
_CONFIG_HEAD = struct.Struct("<II")
_RESERVED = bytes(64)
_ATTEMPTS = 64
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Loop:
    """An open loop device; it stays attached at least as long as the descriptor is open."""

    path: str
    descriptor: int

    def update_size(self) -> None:
        """Has the device take over the size that its file has by now."""
        with translated(f"resize {self.path}"):
            fcntl.ioctl(self.descriptor, _SET_CAPACITY)

    def clear(self) -> None:
        """Detaches it, or has it detached when its last user has gone."""
        with translated(f"detach {self.path}"):
            fcntl.ioctl(self.descriptor, _CLEAR)


def ensure_control() -> None:
    """Loads the module where it is one; raises `CommandFailed` or `NotFound` on a kernel without loop devices."""
    if not CONTROL.exists():
        firewall.run(["modprobe", "loop"])
    if not CONTROL.exists():
        raise NotFound("find loop devices", errno.ENODEV, f"there is no {CONTROL}")


def is_available() -> bool:
    """Whether this host can give another loop device."""
    try:
        ensure_control()
        with open(CONTROL, "rb") as control:
            fcntl.ioctl(control, _GET_FREE)
    except (NetsimError, OSError):
        return False
    return True


@contextmanager
def opened(image: Path, hint: str = "", *, autoclear: bool = True) -> Iterator[Loop]:
    """The device of `image` inside the block, attached if it is not: never two of one file, which would ruin it.

    `hint` is the device that had it last. The caller sees to it that no two do this with one image at a time.
    """
    with translated(f"open {image}"):
        file = os.open(image, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        loop = _reopened(hint, file) or _attached(file, image.name, autoclear=autoclear)
    finally:
        os.close(file)
    try:
        yield loop
    finally:
        os.close(loop.descriptor)


def is_attached(image: Path, hint: str) -> bool:
    """Whether the device `hint` has this file now."""
    try:
        file = os.open(image, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        loop = _reopened(hint, file)
    finally:
        os.close(file)
    if loop is None:
        return False
    os.close(loop.descriptor)
    return True


def below(directories: tuple[Path, ...]) -> dict[str, str]:
    """The devices whose file lies, or lay, below one of these directories: device to file."""
    prefixes = tuple(f"{directory}/" for directory in directories)
    found = {}
    for entry in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        with suppress(OSError):
            backing = entry.read_text().rstrip("\n").removesuffix(_DELETED)
            if backing.startswith(prefixes):
                found[f"/dev/{entry.parts[3]}"] = backing
    return found


def clear(device: str) -> None:
    """Detaches a device once nobody uses it; absent is no error."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):
            return
        raise kernel_error(f"open {device}", error.errno or errno.EIO) from error
    try:
        with suppress(NotFound):
            Loop(device, descriptor).clear()
    finally:
        os.close(descriptor)


def _attached(file: int, name: str, *, autoclear: bool) -> Loop:
    ensure_control()
    flags = _AUTOCLEAR if autoclear else 0
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, name.encode()[:63], b"", b"", 0, 0)
    config = _CONFIG_HEAD.pack(file, _SECTOR) + info + _RESERVED
    with translated("attach a loop device"):
        control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_ATTEMPTS):
                device = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
                loop = Loop(device, os.open(device, os.O_RDWR | os.O_CLOEXEC))
                try:
                    fcntl.ioctl(loop.descriptor, _CONFIGURE, config)
                except OSError as error:
                    os.close(loop.descriptor)
                    if error.errno != errno.EBUSY:
                        raise
                    # Somebody else was given the same one.
                    continue
                return loop
        finally:
            os.close(control)
    raise kernel_error("attach a loop device", errno.EBUSY, "others take each one that is free")


def _reopened(device: str, file: int) -> Loop | None:
    """The device, if it has the very file that `file` is open on."""
    if not device:
        return None
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # Gone since, or another's that is read-only: in either case not this file's.
        return None
    try:
        status = fcntl.ioctl(descriptor, _GET_STATUS, bytes(_INFO.size))
    except OSError:
        os.close(descriptor)
        return None
    number, inode = _INFO.unpack(status)[:2]
    wanted = os.fstat(file)
    if (_device_number(wanted.st_dev), wanted.st_ino) != (number, inode):
        os.close(descriptor)
        return None
    return Loop(device, descriptor)


def _device_number(device: int) -> int:
    """st_dev in the kernel's new encoding, as loop_info64 has it."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
