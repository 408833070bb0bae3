"""What is done to a cluster at the start of a lab or a stage, and by a solution. A step is a mapping with one key
that says its kind; `run` has `in` beside it.

| step | what |
|---|---|
| `apply: FILE` | kubectl apply of a manifest in the lab's folder, filled in |
| `kubectl: ARGUMENTS` | any kubectl command |
| `run: COMMAND`, `in: PLACE` | a shell in the network namespace of a pod, a node, the router or the host |
| `until: CONDITIONS` | waits until they hold, as in checks |
| `answer: {NAME: VALUE}` | in a solution: what is to be answered |
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.labs.checks import condition
from workbench.labs.errors import BrokenLab, LabError
from workbench.labs.ground import Ground, Unmet
from workbench.labs.values import Look, fill
from workbench.places import NoSuchPlace

KINDS = ("apply", "kubectl", "run", "until", "answer")
_UNTIL_SECONDS = 60.0
_POLL_SECONDS = 0.05


def check_steps(steps: Sequence[Any], folder: Path, where: str) -> None:
    """Raises `BrokenLab` if one of them is no step."""
    for index, step in enumerate(steps):
        here = f"{where}[{index}]"
        if not isinstance(step, Mapping) or len(step) != (2 if "in" in step else 1):
            raise BrokenLab(f"{here}: found {step!r}; a step is one of {', '.join(KINDS)}")
        kind = _kind(step)
        if kind not in KINDS or ("in" in step) != (kind == "run"):
            raise BrokenLab(f"{here}: there is no step {kind!r}; there are {', '.join(KINDS)}")
        if kind == "apply" and not (folder / step["apply"]).is_file():
            raise BrokenLab(f"{here}: there is no file {step['apply']} in {folder}")
        if kind == "until":
            list(_conditions(step["until"], here))


def take(steps: Sequence[Any], folder: Path, ground: Ground, looking: Callable[[], Look]) -> dict[str, str]:
    """Does them in order, each with the facts of its moment; returns what they answer.

    Raises `LabError` if one cannot be done.
    """
    answers: dict[str, str] = {}
    for raw in steps:
        look = looking()
        try:
            step = raw if "until" in raw else fill(raw, look)
            _take(step, folder, ground, look)
        except (Unmet, NoSuchPlace) as error:
            raise LabError(f"{_kind(raw)} {raw[_kind(raw)]}: {error}") from error
        answers |= {str(name): str(value) for name, value in step.get("answer", {}).items()}
    return answers


def shown(steps: Sequence[Any], folder: Path, kube_namespace: str, look: Look, *, check: str) -> Iterator[str]:
    """What a person would type to do the same; `check` is the command that takes answers."""
    for step in fill([step for step in steps if "until" not in step], look):
        if "apply" in step:
            text = fill((folder / step["apply"]).read_text(), look).strip()
            yield f"kubectl -n {kube_namespace} apply -f - <<'END'\n{text}\nEND"
        elif "kubectl" in step:
            yield f"kubectl -n {kube_namespace} {step['kubectl']}"
        elif "run" in step:
            yield f"{step['run']}        # in {step['in']}"
        else:
            given = " ".join(f"--answer {name}={shlex.quote(str(value))}" for name, value in step["answer"].items())
            yield f"{check} {given}"


def _kind(step: Mapping[str, Any]) -> str:
    return next(str(key) for key in step if key != "in")


def _take(step: Mapping[str, Any], folder: Path, ground: Ground, look: Look) -> None:
    if "apply" in step:
        ground.kubectl("apply", "-f", "-", stdin=fill((folder / step["apply"]).read_text(), look))
    elif "kubectl" in step:
        ground.kubectl(*shlex.split(step["kubectl"]))
    elif "run" in step:
        ground.run(step["in"], step["run"])
    elif "until" in step:
        _wait(step["until"], ground, look)


def _wait(document: Mapping[str, Any], ground: Ground, look: Look) -> None:
    deadline = time.monotonic() + _UNTIL_SECONDS
    while True:
        try:
            for kind, each in _conditions(document, "until"):
                condition(kind, fill(each, look), "until").require(ground)
            return
        except (Unmet, NoSuchPlace) as error:
            if time.monotonic() > deadline:
                raise LabError(f"after {_UNTIL_SECONDS:.0f} s still: {error}") from error
        time.sleep(_POLL_SECONDS)


def _conditions(document: Any, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(document, Mapping):
        raise BrokenLab(f"{where}: found {document!r}; it has to be a mapping of conditions")
    for kind, said in document.items():
        for each in said if isinstance(said, list) else [said]:
            condition(kind, each, where)
            yield kind, each
