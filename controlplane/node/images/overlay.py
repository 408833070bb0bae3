"""Whether this host can mount an overlay whose changes go to a certain directory.

It is tried once a file system, by a thread in a mount namespace of its own: the mount ends with the thread, also when
the process is killed meanwhile, and the host never sees it.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from netsim import syscalls
from netsim.errors import NetsimError
from netsim.mountspace import MountSpace

_known: dict[int, bool] = {}
"""By the device number of the file system."""


def overlay_works(directory: Path) -> bool:
    """Whether an overlay can keep its changes in this directory; not where that is on another overlay, for one."""
    device = os.stat(directory).st_dev
    if device not in _known:
        with tempfile.TemporaryDirectory(dir=directory) as scratch, ThreadPoolExecutor(1, "overlay") as thread:
            _known[device] = thread.submit(_mounts, scratch).result()
    return _known[device]


def _mounts(scratch: str) -> bool:
    """Mounts an overlay where only this thread sees it."""
    for name in ("upper", "work", "merged"):
        os.mkdir(f"{scratch}/{name}")
    data = f"lowerdir=/usr,upperdir={scratch}/upper,workdir={scratch}/work"
    with closing(MountSpace()) as space:
        space.enter()
        try:
            syscalls.mount("overlay", f"{scratch}/merged", flags=0, filesystem="overlay", data=data)
        except NetsimError:
            return False
    return True
