"""How far somebody is in a lab: kept in the cluster's directory, and gone with it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from controlplane.directories import STATE_ROOT, Directories
from workbench.cli.files import write_atomically
from workbench.cli.typed import typed
from workbench.labs.definition import Lab
from workbench.labs.errors import LabError

_FILE = "lab.json"


@dataclass(slots=True)
class StageProgress:
    """Times are seconds since the epoch; `begun` 0 means not yet."""

    begun: float = 0
    passed: float = 0
    tries: int = 0
    hints: int = 0
    solution: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """`folder` is the lab's; `values` are its names and addresses; `stage` is an index, past the last in the end."""

    cluster: str
    lab: str
    folder: str
    digest: str
    seed: int
    student: str
    started: float
    values: dict[str, str]
    stages: list[StageProgress]
    stage: int = 0

    def save(self) -> None:
        """Writes it whole."""
        data = json.dumps(asdict(self), indent=1).encode()
        write_atomically(Directories(self.cluster).state / _FILE, data)

    @property
    def current(self) -> StageProgress:
        """Of the stage that is under way. Raises `LabError` when there is none."""
        if self.stage >= len(self.stages):
            raise LabError("all stages of this lab are passed", f"end it: {typed('lab', 'finish')}")
        return self.stages[self.stage]


def begin(cluster: str, lab: Lab, seed: int, student: str, values: dict[str, str]) -> Progress:
    """The first moment of a lab; not saved yet."""
    stages = [StageProgress() for _ in lab.stages]
    return Progress(cluster, lab.name, str(lab.folder), lab.digest, seed, student, time.time(), values, stages)


def read(cluster: str) -> Progress:
    """Of the lab on that cluster. Raises `LabError` if there is none."""
    try:
        document: dict[str, Any] = json.loads((Directories(cluster).state / _FILE).read_bytes())
        stages = [StageProgress(**stage) for stage in document.pop("stages")]
        return Progress(**document, stages=stages)
    except FileNotFoundError as error:
        raise LabError(f"no lab runs on cluster {cluster}", _remedy()) from error
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"{_FILE} of cluster {cluster} is not as it was written: {error}", _remedy()) from error


def running() -> list[str]:
    """The clusters on which a lab is taken."""
    return sorted(path.parent.name for path in STATE_ROOT.glob(f"*/{_FILE}"))


def the_only(cluster: str | None) -> str:
    """That cluster; without one the only one on which a lab is taken. Raises `LabError`."""
    if cluster is not None:
        return cluster
    found = running()
    if len(found) != 1:
        what = "no lab is under way" if not found else f"several labs are under way: {', '.join(found)}"
        raise LabError(what, _remedy())
    return found[0]


def _remedy() -> str:
    found = running()
    begin_one = f"see what there is: {typed('lab', 'list')}; begin one: {typed('lab', 'start', 'LAB')}"
    return f"choose with --name: {', '.join(found)}" if found else begin_one
