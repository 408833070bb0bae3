"""From a folder to a `Lab`. All that can be found wrong without a cluster is found here, and named with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workbench.labs.building import build
from workbench.labs.checks import KINDS, condition
from workbench.labs.definition import Check, Lab, Stage
from workbench.labs.errors import BrokenLab, LabError
from workbench.labs.facts import Fact
from workbench.labs.steps import check_steps
from workbench.labs.values import choose, holes

LIBRARY = Path(__file__).parent / "library"
LAB_FILE, CLUSTER_FILE = "lab.yaml", "cluster.yaml"
NAME_OF_CLUSTER = "cluster"
"""A value that every lab has besides its own."""


@dataclass(frozen=True, slots=True)
class _LabDocument:
    title: str
    text: str
    stages: Any
    minutes: str = "10"
    namespace: str = "default"
    variables: Any = None
    facts: Any = None
    start: Any = ()


@dataclass(frozen=True, slots=True)
class _StageDocument:
    name: str
    title: str
    text: str
    checks: Any
    solution: Any
    hints: Any = ()
    start: Any = ()


def names() -> list[str]:
    """The labs that come with netsim, in the order in which they are to be taken."""
    return list(yaml.safe_load((LIBRARY / "order.yaml").read_text()))


def find(said: str) -> Lab:
    """A lab of the library by its name, or any by its folder. Raises `LabError`."""
    if said in names():
        return load(LIBRARY / said)
    if (Path(said) / LAB_FILE).is_file():
        return load(Path(said).resolve())
    raise LabError(f"there is no lab {said!r}", f"there are: {', '.join(names())}; or give a folder with a {LAB_FILE}")


def load(folder: Path) -> Lab:
    """The lab in that folder. Raises `BrokenLab`."""
    file = folder / LAB_FILE
    try:
        document = build(_LabDocument, yaml.safe_load(file.read_text()), str(file))
    except yaml.YAMLError as error:
        raise BrokenLab(f"{file}: {error}") from error
    except OSError as error:
        raise BrokenLab(f"{file}: {error.strerror}") from error
    if not isinstance(document.stages, list) or not document.stages:
        raise BrokenLab(f"{file}: stages has to be a list with one stage at least")
    check_steps(document.start, folder, f"{file}: start")
    lab = Lab(
        name=folder.name,
        folder=folder,
        digest=digest_of(folder),
        title=document.title,
        minutes=int(document.minutes),
        text=document.text,
        namespace=document.namespace,
        variables=document.variables or {},
        facts=document.facts or {},
        start=document.start,
        stages=[_stage(each, folder, f"{file}: stages[{index}]") for index, each in enumerate(document.stages)],
    )
    _check_values(lab, document)
    return lab


def digest_of(folder: Path) -> str:
    """Of all its files, by name and content."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _stage(said: Any, folder: Path, where: str) -> Stage:
    document = build(_StageDocument, said, where)
    check_steps(document.start, folder, f"{where}.start")
    check_steps(document.solution, folder, f"{where}.solution")
    checks = [_check(each, f"{where}.checks[{index}]") for index, each in enumerate(document.checks)]
    asked = {each["name"] for check in checks for kind, each in check.conditions if kind == "answer"}
    given = {name for step in document.solution for name in step.get("answer", ())}
    if asked != given:
        raise BrokenLab(f"{where}: its checks ask for {sorted(asked)}, its solution answers {sorted(given)}")
    return Stage(
        document.name, document.title, document.text, checks, document.hints, document.start, document.solution
    )


def _check(said: Any, where: str) -> Check:
    if not isinstance(said, Mapping) or not {"name", "says"} < set(said):
        raise BrokenLab(f"{where}: a check has name, says and one of {', '.join(KINDS)}")
    conditions = list(_conditions(said, where))
    return Check(str(said["name"]), str(said["says"]), conditions)


def _conditions(said: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for kind, value in said.items():
        if kind in ("name", "says"):
            continue
        for each in value if isinstance(value, list) else [value]:
            condition(kind, each, f"{where}.{kind}")
            yield kind, each


def _check_values(lab: Lab, document: _LabDocument) -> None:
    """Every `${name}` is there; texts have no facts, which would be answers."""
    variables = {*choose(lab.name, 0, lab.variables), NAME_OF_CLUSTER}
    for name, fact in lab.facts.items():
        build(Fact, fact, f"{lab.folder / LAB_FILE}: facts.{name}")
    shown: Sequence[Any] = [
        lab.text,
        lab.namespace,
        *([stage.title, stage.text, stage.hints, [check.says for check in stage.checks]] for stage in lab.stages),
    ]
    _refuse(holes(shown) - variables, f"{lab.folder / LAB_FILE}: texts, hints and what checks say")
    _refuse(
        holes([lab.variables, lab.facts, document.start, document.stages]) - variables - set(lab.facts),
        str(lab.folder / LAB_FILE),
    )
    for file in sorted(lab.folder.glob("*.yaml")):
        if file.name != LAB_FILE:
            known = variables if file.name == CLUSTER_FILE else variables | set(lab.facts)
            _refuse(holes(file.read_text()) - known, str(file))


def _refuse(unknown: set[str], where: str) -> None:
    if unknown:
        raise BrokenLab(f"{where}: nothing says what ${{{min(unknown)}}} is; it has to be a variable, or a fact")
