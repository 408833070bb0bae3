"""Sysctls, by their dotted names. Those under `net` are the calling thread's namespace's own."""

from __future__ import annotations

from netsim import files
from netsim.errors import NotFound, translated


def path(name: str) -> str:
    """The file of a sysctl; a `/` in the name stands for a `.` that belongs to a link's name, as in sysctl(8)."""
    return "/proc/sys/" + name.replace(".", "\0").replace("/", ".").replace("\0", "/")


def read(name: str) -> str:
    """The value. Raises `NotFound` if this kernel has no such sysctl."""
    with translated(f"read sysctl {name}"):
        return files.read(path(name)).decode().strip()


def find(name: str) -> str | None:
    """The value, or None if this kernel has no such sysctl."""
    try:
        return read(name)
    except NotFound:
        return None


def write(name: str, value: str | int) -> None:
    """Sets the value."""
    with translated(f"set sysctl {name} to {value}"), open(path(name), "w") as file:
        file.write(str(value))


def ensure(name: str, value: str | int) -> bool:
    """Sets the value unless it is that already; says whether it was changed."""
    if read(name) == str(value):
        return False
    write(name, value)
    return True
