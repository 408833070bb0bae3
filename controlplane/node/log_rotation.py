"""Log files of containers are kept to a size: 10 MiB each and five of them, as the kubelet does.

A full file is renamed and conmon is told to begin another. Of the older ones all but the newest are compressed.
`kubectl logs` shows the current file, as upstream; the others are beside it for who looks on the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from controlplane.node.runtime.container import LOG_BYTES, Container
from controlplane.node.runtime.spawner import Spawner

log = logging.getLogger(__name__)

MONITOR_SECONDS = 10.0
MOST_FILES = 5
REOPEN = b"2 0 0\n"
"""What conmon takes on its control fifo for "begin the log file anew"."""


async def run(containers: Callable[[], Iterable[Container]], spawner: Spawner) -> None:
    """Looks at the logs of running containers now and then, until cancelled."""
    while True:
        await asyncio.sleep(MONITOR_SECONDS)
        for container in list(containers()):
            if not container.running:
                continue
            try:
                await spawner.files(rotate, container)
            except OSError as error:
                # A full disk, for one: the containers go on, and so do the other logs.
                log.warning("log not rotated", extra={"path": container.record.log_path, "error": str(error)})


def rotate(container: Container) -> bool:
    """Begins another file if the current one is full; whether it did. Blocking."""
    path = Path(container.record.log_path)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES:
            path.rename(f"{path}.{stamp()}")
            _reopen(container.bundle / "ctl")
            _keep(path)
            return True
    return False


def remove(path: Path) -> None:
    """Removes a log with all its older files."""
    for each in (path, *rotated(path)):
        each.unlink(missing_ok=True)


def stamp() -> str:
    """What is put after the name of a file that is put aside now."""
    return time.strftime("%Y%m%d-%H%M%S")


def rotated(path: Path) -> list[Path]:
    """The older files of a log, the oldest first."""
    return sorted(path.parent.glob(f"{path.name}.*"))


def _keep(path: Path) -> None:
    *older, _ = rotated(path)
    keep = MOST_FILES - 2
    for each in older[: max(len(older) - keep, 0)]:
        each.unlink(missing_ok=True)
    for each in older[-keep:]:
        if each.suffix != ".gz":
            _compress(each)


def _compress(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.tmp")
    with path.open("rb") as source, gzip.open(fresh, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
    fresh.rename(f"{path}.gz")
    path.unlink()


def _reopen(fifo: Path) -> None:
    with contextlib.suppress(OSError):
        # One that nobody reads belongs to a container that is ending.
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, REOPEN)
        finally:
            os.close(descriptor)
