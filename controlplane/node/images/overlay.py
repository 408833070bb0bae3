"""Whether this host can mount an overlay whose changes go to a certain directory."""

from __future__ import annotations

import functools
import os
import tempfile

from netsim import syscalls
from netsim.errors import NetsimError


@functools.cache
def overlay_works(directory: str) -> bool:
    """Whether an overlay can keep its changes on this file system; not on another overlay, for one."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for name in ("upper", "work", "merged"):
            os.mkdir(f"{scratch}/{name}")
        try:
            syscalls.mount(
                "overlay",
                f"{scratch}/merged",
                flags=0,
                filesystem="overlay",
                data=f"lowerdir=/usr,upperdir={scratch}/upper,workdir={scratch}/work",
            )
        except NetsimError:
            return False
        syscalls.unmount(f"{scratch}/merged", flags=0)
    return True
