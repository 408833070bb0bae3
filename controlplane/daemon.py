"""The process behind one cluster: `python -m controlplane.daemon --directory DIR [--progress-fd N]`.

It takes the cluster's lock, brings the cluster up while telling its steps to whoever started it,
and serves until SIGTERM. It ends without touching what it made: pods go on answering, and the
next daemon adopts them. Removing a cluster is `netsim.inventory`'s work, daemon or no daemon.

On the progress descriptor it writes JSON lines: `{"step": TEXT, "done": N, "total": M}`, then
either `{"ready": true, "api": URL}` or `{"error": TEXT, "remedy": TEXT}`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from controlplane.cluster import Cluster
from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from controlplane.memory import Memory
from controlplane.pidfile import AlreadyRunning, PidFile
from controlplane.supervision import cancel, supervise

log = logging.getLogger(__name__)

STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
YOUNG_OBJECTS = 20_000
"""Allocations between two collections of the youngest generation: a control plane makes many
long-lived dictionaries and hardly a cycle."""


class KeyValueFormatter(logging.Formatter):
    """The message, then each extra field as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        fields = [f"{k}={v!r}" for k, v in vars(record).items() if k not in STANDARD_FIELDS]
        return " ".join([super().format(record), *fields])


class Progress:
    """Tells the starter what is being done; silent without a descriptor, or once the starter has gone."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def step(self, text: str, done: int = 0, total: int = 0) -> None:
        """One step of the start; `total` is 0 where nothing is counted."""
        self._write({"step": text, "done": done, "total": total})

    def ready(self, api: str) -> None:
        """The last word of a start that went well."""
        self._write({"ready": True, "api": api})
        self._close()

    def failed(self, error: str, remedy: str = "") -> None:
        """The last word of a start that did not."""
        self._write({"error": error, "remedy": remedy})
        self._close()

    def _write(self, line: dict[str, object]) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        except BrokenPipeError:
            self._descriptor = None

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def configure_logging() -> None:
    """Everything goes to standard error, which is the cluster's log file."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=os.environ.get("NETSIM_LOG", "INFO"), handlers=[handler])


async def serve(cluster: Cluster, progress: Progress) -> None:
    """Runs the cluster until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with cluster.running(progress.step) as failure:
        gc.collect()
        gc.freeze()
        progress.ready(cluster.api_url)
        trimming = asyncio.ensure_future(supervise(Memory()))
        stopped = asyncio.ensure_future(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopped, failure}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await cancel(trimming)
        if failure.done():
            failure.result()


def main() -> int:
    """Returns the exit status: 0 after an orderly stop, 1 after a failure that was reported."""
    parser = argparse.ArgumentParser(prog="controlplane.daemon")
    parser.add_argument("--directory", type=Path, required=True, help="the cluster's directory, with cluster.json")
    parser.add_argument("--progress-fd", type=int, help="where to tell the steps of the start")
    arguments = parser.parse_args()
    configure_logging()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    progress = Progress(arguments.progress_fd)
    directories = Directories(arguments.directory.name)
    try:
        directories.ensure()
        PidFile(directories.pid_file).acquire()
        cluster = Cluster(ResolvedCluster.load(arguments.directory), directories)
        uvloop.run(serve(cluster, progress))
    except AlreadyRunning:
        progress.failed(f"cluster {directories.name} is already running")
        return 1
    except Exception as error:  # The boundary: whatever ends the daemon is told to its starter.
        log.exception("the cluster stopped")
        cause = _first(error)
        progress.failed(str(cause) or type(cause).__name__, getattr(cause, "remedy", ""))
        return 1
    return 0


def _first(error: Exception) -> Exception:
    """The first error inside a group of them."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
