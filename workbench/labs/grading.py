"""Many results to one table: which are genuine, who passed what; as CSV and as JUnit."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.labs import handed_in, results
from workbench.labs import progress as progresses
from workbench.labs.errors import LabError
from workbench.labs.loading import find, names
from workbench.labs.results import Document
from workbench.labs.session import Session, seed_of

_COLUMNS = ("file", "student", "lab", "seed", "verdict", "passed", "stages", "score", "hints", "solutions", "seconds")
_FORMULA = ("=", "+", "-", "@")
VERIFIED = "verified"


@dataclass(slots=True)
class Grade:
    """Of one file. `verdict` is `verified`, or what is wrong with it; `rerun` is what failed when asked again."""

    file: str
    document: Document = field(default_factory=dict)
    verdict: str = VERIFIED
    rerun: list[str] = field(default_factory=list)

    @property
    def stages(self) -> list[Document]:
        return list(self.document.get("stages", ()))

    @property
    def score(self) -> float:
        """Of the number of stages; nothing for what is not genuine."""
        return sum(results.score(stage) for stage in self.stages) if self.verdict == VERIFIED else 0.0

    def row(self) -> dict[str, object]:
        """For CSV."""
        said, stages = self.document, self.stages
        return {
            "file": self.file,
            "student": said.get("student", ""),
            "lab": said.get("lab", ""),
            "seed": said.get("seed", ""),
            "verdict": self.verdict,
            "passed": sum(stage["passed"] for stage in stages),
            "stages": len(stages),
            "score": round(self.score, 2),
            "hints": sum(stage["hints"] for stage in stages),
            "solutions": sum(stage["solution"] for stage in stages),
            "seconds": round(sum(stage["seconds"] or 0 for stage in stages), 1),
        }


def grade(files: Sequence[Path], key: str = "", *, rerun: bool = False) -> list[Grade]:
    """One grade a file. With `rerun` the checks of the last passed stage are asked again where its cluster is here."""
    grades = [_graded(file, key) for file in files]
    genuine = [each for each in grades if each.verdict == VERIFIED]
    takers = {(each.document["lab"], each.document["seed"], each.document["student"] or each.file) for each in genuine}
    same = Counter((lab, seed) for lab, seed, _taker in takers)
    for each in genuine:
        if same[each.document["lab"], each.document["seed"]] > 1:
            each.verdict = "the same seed as another"
        if each.verdict == VERIFIED and rerun:
            each.rerun = _asked_again(each.document)
            each.verdict = f"asked again: {each.rerun[0]}" if each.rerun else VERIFIED
    return grades


def to_csv(grades: Sequence[Grade]) -> str:
    """A line a file, below a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in each.row().items()} for each in grades)
    return text.getvalue()


def to_junit(grades: Sequence[Grade]) -> str:
    """A suite a file, a case a stage: failed if not passed, skipped if the solution was seen,
    an error if the file is not genuine."""
    root = ElementTree.Element("testsuites", name="netsim labs")
    for each in grades:
        _suite(root, each)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cell(value: object) -> object:
    """A text that a spreadsheet would calculate is quoted."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _suite(root: ElementTree.Element, grade_: Grade) -> None:
    said, genuine = grade_.document, grade_.verdict == VERIFIED
    cases = grade_.stages or [{"name": "file", "passed": False, "seconds": None, "checks": {}, "solution": False}]
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=str(said.get("student") or grade_.file),
        tests=str(len(cases)),
        failures=str(sum(not case["passed"] for case in cases) if genuine else 0),
        errors=str(0 if genuine else len(cases)),
        timestamp=str(said.get("finished", "")).removesuffix("Z"),
    )
    for case in cases:
        name, seconds = str(case["name"]), str(case["seconds"] or 0)
        made = ElementTree.SubElement(suite, "testcase", classname=str(said.get("lab", "lab")), name=name, time=seconds)
        if not genuine:
            ElementTree.SubElement(made, "error", message=grade_.verdict)
        elif not case["passed"]:
            failed = [check for check, passed in case["checks"].items() if not passed]
            ElementTree.SubElement(made, "failure", message=", ".join(failed) or "never checked")
        elif case["solution"]:
            ElementTree.SubElement(made, "skipped", message="the solution was seen")


def _graded(file: Path, key: str) -> Grade:
    name = handed_in.printable(str(file))
    try:
        document = handed_in.read(file)
    except LabError as error:
        return Grade(name, verdict=str(error))
    made = Grade(name, document)
    if not results.is_signed(document, key):
        made.verdict = "changed since it was written, or signed with another key"
    elif document["student"] and document["seed"] != seed_of(document["student"]):
        made.verdict = "the seed is not this student's"
    elif not _is_known(document):
        made.verdict = "made from another version of the lab"
    return made


def _is_known(document: Document) -> bool:
    """A lab that is not of the library cannot be compared; its signature has to do."""
    lab = str(document["lab"])
    return lab not in names() or find(lab).digest == document["digest"]


def _asked_again(document: Document) -> list[str]:
    passed = [index for index, stage in enumerate(document["stages"]) if stage["passed"]]
    if not passed:
        return []
    if document["cluster"] not in progresses.running():
        return [f"cluster {document['cluster']} is not here"]
    try:
        session = Session.resume(document["cluster"])
    except LabError as error:
        return [str(error)]
    if (session.progress.seed, session.progress.digest) != (document["seed"], document["digest"]):
        return [f"cluster {document['cluster']} is of another lab or seed"]
    findings = session.judged(session.lab.stages[passed[-1]], patience=1.0)
    return [f"{finding.name}: {finding.missing}" for finding in findings if not finding.passed]
