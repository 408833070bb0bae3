"""Captures in the background: what is known of them, and their end.

Beside each file that is written lies a record in the cluster's run directory; whether the capture still runs is asked
of the kernel. A cluster that is taken down ends its captures.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from controlplane.directories import Directories
from netsim.capture import Recorder, tallies, trim
from workbench.cli.errors import UserError
from workbench.cli.status import table
from workbench.cli.typed import typed

_DIRECTORY = "captures"
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture in the background.

    `started` is when its process began, in the kernel's ticks: another process that gets its number has another.
    """

    id: str
    pid: int
    started: int
    since: float
    file: str
    filter: str
    points: tuple[str, ...]

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return _start_ticks(self.pid) == self.started


def remember(directories: Directories, recorder: Recorder, file: Path, filter_text: str) -> str:
    """Writes the record of a capture that has begun; returns its id."""
    place = directories.run / _DIRECTORY
    place.mkdir(exist_ok=True)
    names = tuple(point.name for point in recorder.points)
    pid = recorder.pid
    for number in itertools.count(1):
        record = Capture(str(number), pid, _start_ticks(pid), time.time(), str(file.resolve()), filter_text, names)
        if _written(record, place):
            break
    return record.id


def _written(record: Capture, place: Path) -> bool:
    """Whether the number was free; the record is whole from the moment that it has its name."""
    beside = place / f".{record.pid}"
    beside.write_text(json.dumps(asdict(record)))
    try:
        os.link(beside, place / f"{record.id}.json")
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    return True


def show(directories: Directories, output: str) -> None:
    """Prints what there is."""
    found = _all(directories)
    if output == "json":
        documents = [asdict(each) | {"running": each.running, "bytes": _size(each)} for each in found]
        click.echo(json.dumps(documents, indent=2))
        return
    if not found:
        click.echo("no capture runs in the background")
        return
    click.echo(table(("ID", "STATE", "SINCE", "BYTES", "POINTS", "FILE"), [_row(each) for each in found]))


def _row(capture: Capture) -> tuple[object, ...]:
    since = time.strftime("%H:%M:%S", time.localtime(capture.since))
    points = ", ".join(capture.points[:2])
    points += f" and {len(capture.points) - 2} more" if len(capture.points) > 2 else ""
    state = "running" if capture.running else "ended"
    return capture.id, state, since, _size(capture), points, capture.file


def stop(directories: Directories, ids: Sequence[str], *, every: bool) -> None:
    """Ends captures and says what they hold. UserError if none is named, or one that there is not."""
    found = {each.id: each for each in _all(directories)}
    wanted = list(found) if every else list(ids)
    unknown = [each for each in wanted if each not in found]
    if unknown:
        raise UserError(f"there is no capture {', '.join(unknown)}", f"there is: {', '.join(found) or 'none'}")
    if not wanted and not every:
        see = typed("capture", "list", cluster=directories.name)
        raise UserError("no capture is named", f"say which, or --all; see: {see}")
    for each in wanted:
        _stop(directories, found[each])


def _stop(directories: Directories, capture: Capture) -> None:
    if capture.running:
        os.kill(capture.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while capture.running:
        if time.monotonic() > deadline:
            raise UserError(f"capture {capture.id} (process {capture.pid}) does not end")
        time.sleep(_POLL_SECONDS)
    file = Path(capture.file)
    (directories.run / _DIRECTORY / f"{capture.id}.json").unlink(missing_ok=True)
    if not file.exists():
        click.echo(f"capture {capture.id} has ended; its file {file} is gone")
        return
    trim(file)
    counted = tallies(file, len(capture.points))
    if not counted:
        click.echo(f"capture {capture.id} was killed; {file} holds what came before that")
        return
    written, dropped = sum(each.written for each in counted), sum(each.dropped for each in counted)
    click.echo(f"capture {capture.id}: {written} packets in {file}, {dropped} dropped by the kernel")


def _all(directories: Directories) -> list[Capture]:
    records = (directories.run / _DIRECTORY).glob("*.json")
    found = [json.loads(path.read_text()) for path in records]
    captures = [Capture(**each | {"points": tuple(each["points"])}) for each in found]
    return sorted(captures, key=lambda each: int(each.id))


def _size(capture: Capture) -> int:
    try:
        return os.path.getsize(capture.file)
    except FileNotFoundError:
        return 0


def _start_ticks(pid: int) -> int:
    """When a process began (field 22 of proc_pid_stat(5)); 0 if it is gone or has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])
