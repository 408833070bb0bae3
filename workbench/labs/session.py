"""A lab that is being taken: its cluster, the stage that is under way, what was answered."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from controlplane.config.host import taken_by_clusters, taken_by_host
from controlplane.pidfile import running_pid
from workbench.cli import exports
from workbench.cli.files import Owner
from workbench.cli.signals import uninterrupted
from workbench.cli.typed import typed
from workbench.labs import progress as progresses
from workbench.labs.definition import Finding, Lab, Stage
from workbench.labs.errors import LabError
from workbench.labs.facts import looking
from workbench.labs.ground import Ground, Unmet
from workbench.labs.judging import judge
from workbench.labs.loading import CLUSTER_FILE, NAME_OF_CLUSTER, find
from workbench.labs.progress import Progress
from workbench.labs.steps import shown, take
from workbench.labs.values import SEEDS, Look, choose, fill
from workbench.places import NoSuchPlace
from workbench.testing.cluster import Cluster
from workbench.testing.running import CommandRefused

PREFIX = "lab-"


class Session:
    """Lab, progress and cluster together. `start` makes one, `resume` finds the one that is under way."""

    def __init__(self, lab: Lab, progress: Progress) -> None:
        self.lab, self.progress = lab, progress
        self.cluster = Cluster(progress.cluster)
        self.values = progress.values | {NAME_OF_CLUSTER: progress.cluster}
        self.namespace = self.text(lab.namespace)
        self.ground = Ground(self.cluster, self.namespace)

    @classmethod
    def start(cls, lab: Lab, seed: int, student: str = "", cluster: str = "") -> Session:
        """Makes the lab's cluster and begins the first stage; of one that fails nothing is left."""
        name = cluster or f"{PREFIX}{lab.name}"
        if Cluster(name).directories.state.is_dir():
            status, finish, down = typed("lab", "status"), typed("lab", "finish"), typed("down", cluster=name)
            remedy = f"go on with it: {status}; or end it: {finish}; or: {down}"
            raise LabError(f"cluster {name} is there already", remedy)
        taken = [claim.network for claim in (*taken_by_clusters(name), *taken_by_host())]
        values = choose(lab.name, seed, lab.variables, taken)
        session = cls(lab, progresses.begin(name, lab, seed, student, values))
        session._set_up()
        return session

    @classmethod
    def resume(cls, cluster: str | None) -> Session:
        """The lab on that cluster, or the only one that is under way. Raises `LabError`."""
        progress = progresses.read(progresses.the_only(cluster))
        lab = find(progress.folder)
        if lab.digest != progress.digest:
            down, start = typed("down", cluster=progress.cluster), typed("lab", "start", progress.lab)
            remedy = f"begin again: {down}; {start}"
            raise LabError(f"the files of lab {lab.name} have changed since it was begun", remedy)
        return cls(lab, progress)

    @property
    def stage(self) -> Stage | None:
        """The one that is under way; None when all are passed."""
        return self.lab.stages[self.progress.stage] if self.progress.stage < len(self.lab.stages) else None

    def text(self, template: str) -> str:
        """With this seed's names and addresses; texts have no facts."""
        filled: str = fill(template, self.values.__getitem__)
        return filled

    def check(self, answers: Mapping[str, str], patience: float = 0.0) -> list[Finding]:
        """Asks the current stage's checks; the stage after it begins if all pass."""
        current, stage = self.progress.current, self.lab.stages[self.progress.stage]
        self.answer(answers)
        self._require_running()
        current.tries += 1
        findings = self.judged(stage, patience)
        current.checks = {finding.name: finding.passed for finding in findings}
        if all(finding.passed for finding in findings):
            current.passed = time.time()
            self.progress.stage += 1
            self.progress.save()
            self._begin_stage()
        self.progress.save()
        return findings

    @property
    def asked(self) -> list[str]:
        """The names of the answers that the current stage asks for."""
        if self.stage is None:
            return []
        conditions = [condition for check in self.stage.checks for condition in check.conditions]
        return [document["name"] for kind, document in conditions if kind == "answer"]

    @property
    def hints(self) -> int:
        """How many hints the current stage has."""
        return len(self.stage.hints) if self.stage is not None else 0

    def answer(self, answers: Mapping[str, str]) -> None:
        """Keeps answers for the next check. Raises `LabError` if the stage does not ask for one of them."""
        for name in answers:
            if name not in self.asked:
                there = f"it asks for: {', '.join(self.asked)}" if self.asked else "it asks for none"
                raise LabError(f"this stage has no answer called {name!r}", there)
        self.progress.current.answers |= answers
        self.progress.save()

    def judged(self, stage: Stage, patience: float = 0.0) -> list[Finding]:
        """What a stage's checks come to now; nothing is kept of it."""
        answers = self.progress.stages[self.lab.stages.index(stage)].answers
        return judge(stage.checks, self.ground, answers, looking=self._look, patience=patience)

    def hint(self) -> tuple[int, str]:
        """One more hint, and its number; the last one again when there are no more. Raises `LabError`."""
        current, hints = self.progress.current, self.lab.stages[self.progress.stage].hints
        if not hints:
            raise LabError("this stage has no hints")
        current.hints = min(current.hints + 1, len(hints))
        self.progress.save()
        return current.hints, self.text(hints[current.hints - 1])

    def reset(self) -> None:
        """Makes the cluster anew, as it was when the stage began. What was answered is forgotten, the tries are not."""
        self.progress.current.answers = {}
        self.progress.current.checks = {}
        copies = exports.exported(self.cluster.directories)
        try:
            with _commands_told():
                self.cluster.down()
            self._set_up()
        except BaseException:
            # What was reached so far stays, and `reset` can be tried again.
            self.cluster.directories.ensure()
            self.progress.save()
            raise
        for copy in copies:
            owner = Owner.of(copy.uid)
            if copy.merged:
                exports.merge(self.cluster.directories, owner, copy.path)
            else:
                exports.export(self.cluster.directories, owner)

    def solution(self, *, check: str) -> Iterator[str]:
        """What a person would type to pass the stage; that it was shown is counted. What is not there has its name.

        `check` is how this person calls `netsim lab check`.
        """
        self._require_running()
        self.progress.current.solution = True
        self.progress.save()
        look = self._look()

        def look_or_name(name: str) -> str:
            try:
                return look(name)
            except (Unmet, NoSuchPlace):
                return f"<{name}>"

        solution = self.lab.stages[self.progress.stage].solution
        return shown(solution, self.lab.folder, self.namespace, look_or_name, check=check)

    def solve(self) -> dict[str, str]:
        """Does it; returns the answers."""
        self._require_running()
        self.progress.current.solution = True
        self.progress.save()
        return take(self.lab.stages[self.progress.stage].solution, self.lab.folder, self.ground, self._look)

    def end(self) -> None:
        """Removes the cluster, and with it the progress."""
        with _commands_told():
            self.cluster.down()

    def _require_running(self) -> None:
        if running_pid(self.cluster.directories.pid_file) is None:
            name = self.progress.cluster
            up, reset = typed("up", cluster=name), typed("lab", "reset")
            remedy = f"start it: {up}; after a reboot of this host also: {reset}"
            raise LabError(f"cluster {name} does not run", remedy)

    def _look(self) -> Look:
        return looking(self.values, self.lab.facts, self.ground)

    def _set_up(self) -> None:
        """A cluster as it is when the current stage begins; of one that cannot be made so nothing is left."""
        try:
            self._up()
        except CommandRefused as error:
            raise _told(error) from error
        except BaseException:
            # An interrupt ends `netsim up` too, before it has removed what it had made.
            with uninterrupted():
                self.cluster.down()
            raise
        try:
            if self.namespace != "default":
                self.ground.kubectl("create", "namespace", self.namespace)
            take(self.lab.start, self.lab.folder, self.ground, self._look)
            for stage in self.lab.stages[: self.progress.stage]:
                take([*stage.start, *stage.solution], self.lab.folder, self.ground, self._look)
            self._begin_stage()
        except BaseException:
            with uninterrupted():
                self.cluster.down()
            raise

    def _up(self) -> None:
        file = self.lab.folder / CLUSTER_FILE
        if not file.is_file():
            self.cluster.up()
            return
        with tempfile.TemporaryDirectory() as directory:
            filled = Path(directory) / CLUSTER_FILE
            filled.write_text(self.text(file.read_text()))
            self.cluster.up(filled)

    def _begin_stage(self) -> None:
        if self.stage is not None:
            take(self.stage.start, self.lab.folder, self.ground, self._look)
            self.progress.current.begun = self.progress.current.begun or time.time()
        self.progress.save()


def seed_of(student: str) -> int:
    """The seed that belongs to a student's name: the same on every machine."""
    return int.from_bytes(hashlib.sha256(student.strip().lower().encode()).digest()[:8], "big") % SEEDS


@contextmanager
def _commands_told() -> Iterator[None]:
    try:
        yield
    except CommandRefused as error:
        raise _told(error) from error


def _told(error: subprocess.CalledProcessError) -> LabError:
    """What netsim said, without its first words."""
    lines = str(error.stderr).strip().splitlines() or [f"{error.cmd} ended with status {error.returncode}"]
    return LabError("\n".join([lines[0].removeprefix("netsim: error: "), *lines[1:]]))
