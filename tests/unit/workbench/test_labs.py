"""Labs as data: values by seed, what is wrong with a folder, answers, results and grades. No cluster is made."""

from __future__ import annotations

import csv
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from controlplane.config.parse import load as load_cluster
from workbench.cli.lab_grade import command as lab_grade
from workbench.labs import results
from workbench.labs.checks import KINDS
from workbench.labs.checks.answer import Answer
from workbench.labs.errors import BrokenLab, LabError
from workbench.labs.grading import grade, to_csv, to_junit
from workbench.labs.ground import Ground, Unmet
from workbench.labs.loading import CLUSTER_FILE, find, load, names
from workbench.labs.progress import Progress, begin
from workbench.labs.session import seed_of
from workbench.labs.steps import shown
from workbench.labs.values import choose, fill, holes
from workbench.testing.cluster import Cluster

LAB: dict[str, Any] = {
    "title": "A lab",
    "text": "About ${word}.",
    "variables": {"word": {"pick": ["one", "two"]}, "port": {"number": [8000, 8999]}},
    "facts": {"address": {"object": "pod web", "path": "{.status.podIP}"}},
    "stages": [
        {
            "name": "first",
            "title": "First",
            "text": "Look.",
            "checks": [
                {"name": "a", "says": "it is known", "answer": {"name": "x", "question": "?", "equals": "${address}"}}
            ],
            "solution": [{"answer": {"x": "${address}"}}],
        }
    ],
}


def written(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lab.yaml").write_text(yaml.safe_dump({**LAB, **changes}))
    return folder


def stage(**changes: Any) -> list[dict[str, Any]]:
    return [{**LAB["stages"][0], **changes}]


def test_a_seed_always_gives_the_same_and_seeds_differ() -> None:
    variables = {**LAB["variables"], "net": {"network": "10.0.0.0/8", "prefix": 16}}
    assert choose("lab", 7, variables) == choose("lab", 7, variables)
    assert len({tuple(choose("lab", seed, variables).values()) for seed in range(50)}) == 50
    assert choose("lab", 7, {**variables, "more": {"pick": [1]}})["net"] == choose("lab", 7, variables)["net"]


def test_a_variable_can_be_another_than_one_before_it() -> None:
    spec = {"a": {"pick": ["x", "y"]}, "b": {"pick": ["x", "y"], "not": "a"}, "c": {"number": [1, 3], "not": ["d"]}}
    for seed in range(20):
        chosen = choose("lab", seed, {"d": {"number": [1, 3]}, **spec})
        assert chosen["a"] != chosen["b"]
        assert chosen["c"] != chosen["d"]


def test_networks_are_free_and_apart() -> None:
    spec = {name: {"network": "10.0.0.0/8", "prefix": 10} for name in ("a", "b", "c")}
    taken = [IPv4Network("10.64.0.0/16")]
    for seed in range(10):
        drawn = sorted(choose("lab", seed, spec, taken).values())
        assert drawn == ["10.0.0.0/10", "10.128.0.0/10", "10.192.0.0/10"]
    with pytest.raises(LabError, match=r"no /10 of 10\.0\.0\.0/8 is free"):
        choose("lab", 1, {**spec, "d": {"network": "10.0.0.0/8", "prefix": 10}}, taken)


def test_a_pick_among_mappings_is_several_values() -> None:
    chosen = choose("lab", 1, {"where": {"pick": [{"node": "node-1", "port": 80}]}})
    assert chosen == {"where.node": "node-1", "where.port": "80"}


def test_holes_are_found_and_filled_everywhere() -> None:
    document = {"${a}": ["${b.c}", {"x": "$HOME ${A} $(d) ${a}"}], "n": 3}
    assert holes(document) == {"a", "b.c"}
    assert fill(document, {"a": "1", "b.c": "2"}.__getitem__) == {"1": ["2", {"x": "$HOME ${A} $(d) 1"}], "n": 3}


@pytest.mark.parametrize("name", names())
def test_the_library_is_whole(name: str) -> None:
    lab = find(name)
    assert lab.stages
    assert lab.minutes
    for each in lab.stages:
        assert each.checks
        assert each.hints
        assert len({check.name for check in each.checks}) == len(each.checks)


@pytest.mark.parametrize("name", names())
def test_the_clusters_of_the_library_are_valid_and_differ(name: str, tmp_path: Path) -> None:
    lab = find(name)
    assert len({tuple(choose(name, seed, lab.variables).values()) for seed in range(20)}) == 20
    for seed in range(5):
        file = tmp_path / CLUSTER_FILE
        values = {**choose(name, seed, lab.variables), "cluster": "lab"}
        file.write_text(fill((lab.folder / CLUSTER_FILE).read_text(), values.__getitem__))
        assert load_cluster(file).offloads is False, "who looks with tcpdump sees checksums as on a wire"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"titel": "x"}, "there is no 'titel'"),
        ({"text": "${nobody}"}, "what ${nobody} is"),
        ({"text": "${address}"}, "texts, hints and what checks say: nothing says what ${address} is"),
        ({"stages": []}, "one stage at least"),
        ({"stages": stage(checks=[{"name": "a", "says": "b", "weather": {}}])}, "no kind of condition 'weather'"),
        ({"stages": stage(checks=[{"name": "a", "says": "b"}])}, "a check has name, says and one of"),
        ({"stages": stage(checks=[{"name": "a", "says": "b", "reach": {"from": "x"}}])}, "'to' is missing"),
        ({"stages": stage(solution=[])}, "its checks ask for ['x'], its solution answers []"),
        ({"stages": stage(start=[{"apply": "none.yaml"}])}, "there is no file none.yaml"),
        ({"stages": stage(start=[{"dance": "x"}])}, "there is no step 'dance'"),
        ({"stages": stage(start=[{"run": "true"}])}, "there is no step 'run'"),
        ({"variables": {"word": {"roll": 6}}}, "variable word"),
        ({"facts": {"address": {"objekt": "x"}}}, "there is no 'objekt'"),
    ],
)
def test_what_is_wrong_with_a_lab_is_said(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BrokenLab) as error:
        load(written(tmp_path / "lab", **changes))
    assert words in str(error.value)
    assert "lab.yaml" in str(error.value) or "variable" in str(error.value)


def test_the_example_of_the_documentation_is_a_lab(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "labs.md").read_text()
    (tmp_path / "lab.yaml").write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])  # type: ignore[index]
    (tmp_path / "web.yaml").write_text("kind: Service")
    assert [stage.name for stage in load(tmp_path).stages] == ["look", "mend"]


def test_the_documentation_names_every_lab_and_kind() -> None:
    text = (Path(__file__).parents[3] / "docs" / "labs.md").read_text()
    for name in names():
        assert f"| `{name}` | {find(name).title.replace('statistic', '`statistic`')} |" in text
    for kind in KINDS:
        assert f"| `{kind}` |" in text


def test_a_lab_that_is_not_there() -> None:
    with pytest.raises(LabError, match="no lab 'nowhere'") as error:
        find("nowhere")
    assert "pod-address" in error.value.remedy


@pytest.mark.parametrize(
    ("form", "wanted", "given", "right"),
    [
        ("text", "Node-1", " node-1 ", True),
        ("text", "node-1", "node-2", False),
        ("number", "0.33333333349", "0.333", True),
        ("number", "0.5", "0.25", False),
        ("number", "0.5", "half", False),
        ("set", "b a", "A, b", True),
        ("set", "a b", "a", False),
    ],
)
def test_answers(form: str, wanted: str, given: str, right: bool) -> None:
    answer = Answer("x", "Which?", wanted, form, given)
    ground = Ground(Cluster("nobody"), "default")
    if right:
        answer.require(ground)
    else:
        with pytest.raises(Unmet, match="is not right: Which"):
            answer.require(ground)


def test_a_solution_is_shown_as_commands(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text("kind: ${word}\n")
    steps = [
        {"apply": "pod.yaml"},
        {"until": {"object": {"get": "pod x"}}},
        {"run": "ip link", "in": "node/node-1"},
        {"answer": {"x": "a b"}},
    ]
    lines = list(shown(steps, tmp_path, "shop", {"word": "Pod"}.__getitem__, check="sudo netsim lab check"))
    assert lines[0] == "kubectl -n shop apply -f - <<'END'\nkind: Pod\nEND"
    assert lines[1:] == ["ip link        # in node/node-1", "sudo netsim lab check --answer x='a b'"]


def progress(student: str = "", seed: int = 3) -> Progress:
    made = begin("lab-x", find("pod-address"), seed_of(student) if student else seed, student, {})
    made.stages[0].begun, made.stages[0].passed, made.stages[0].hints = 100.0, 160.0, 2
    made.stages[1].checks = {"there": True, "seen": False}
    return made


def handed_in(folder: Path, name: str, made: Progress, key: str = "", **changes: Any) -> Path:
    document = results.result_of(find("pod-address"), made, key) | changes
    (folder / name).write_text(json.dumps(document))
    return folder / name


def test_results_are_graded(tmp_path: Path) -> None:
    (graded,) = grade([handed_in(tmp_path, "a.json", progress("Ada"))])
    assert graded.verdict == "verified"
    assert graded.score == pytest.approx(0.8)
    (row,) = csv.DictReader(to_csv([graded]).splitlines())
    assert (row["student"], row["passed"], row["stages"], row["hints"], row["seconds"]) == (
        "Ada",
        "1",
        "2",
        "2",
        "60.0",
    )
    suite = ElementTree.fromstring(to_junit([graded]))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite[1][0].get("message") == "seen"


def test_what_is_not_genuine_is_found(tmp_path: Path) -> None:
    made = progress("Ada")
    changed = handed_in(tmp_path, "changed.json", made, finished="never")
    other_key = handed_in(tmp_path, "key.json", progress("Bob"), key="course")
    thief = progress("Ada")
    thief.student = "Eve"
    stolen = handed_in(tmp_path, "stolen.json", thief)
    (tmp_path / "text.json").write_text("hello")
    old = progress(seed=9)
    old.digest = "0" * 64
    verdicts = [
        each.verdict
        for each in grade([changed, other_key, stolen, tmp_path / "text.json", handed_in(tmp_path, "old.json", old)])
    ]
    assert verdicts[0].startswith("changed since")
    assert verdicts[1].startswith("changed since")
    assert verdicts[2] == "the seed is not this student's"
    assert "cannot be read" in verdicts[3]
    assert verdicts[4] == "made from another version of the lab"
    assert grade([other_key], "course")[0].verdict == "verified"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory of submissions, two of them honest."""
    folder = tmp_path / "submissions"
    folder.mkdir()
    handed_in(folder, "ada.json", progress("Ada"))
    handed_in(folder, "formula.json", progress("=1+1"))
    handed_in(folder, "letters.json", progress("Mal"), student="Mal\x1b[2J\x00")
    handed_in(folder, "lone.json", progress("Mal"), digest="\ud800")
    handed_in(folder, "umlaut.json", progress("Mal"), signature="\u00e4")
    handed_in(folder, "seed.json", progress("Mal"), seed=[1])
    handed_in(folder, "more.json", progress("Mal"), more=1)
    better = progress("Mal")
    better.stages[0].hints = -100
    handed_in(folder, "better.json", better)
    odd = progress("Mal")
    odd.stages[0].checks = {"there": "yes"}  # type: ignore[dict-item]
    handed_in(folder, "odd.json", odd)
    for name, text in {"empty": "", "list": "[]", "deep": "[" * 100_000, "yaml": "a: &a [x]\nb: [*a, *a]\n"}.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "huge.json").touch()
    os.truncate(folder / "huge.json", 1 << 40)
    os.mkfifo(folder / "pipe.json")
    (folder / "directory.json").mkdir()
    for name, target in {
        "zero": "/dev/zero",
        "nowhere": "nowhere",
        "self": "self.json",
        "other": "/etc/shadow",
    }.items():
        (folder / f"{name}.json").symlink_to(target)
    (folder / "sleep.sh").write_text("#!/bin/sh\nsleep infinity\n")
    return folder


def test_nothing_that_is_handed_in_stops_the_grading(hostile: Path, tmp_path: Path) -> None:
    table, report = tmp_path / "grades.csv", tmp_path / "grades.xml"
    done = CliRunner().invoke(
        lab_grade, [str(hostile), "--csv", str(table), "--junit", str(report)], standalone_mode=False
    )
    assert done.return_value == 1, done.output
    assert "\x1b" not in done.output
    rows = {Path(row["file"]).stem: row for row in csv.DictReader(table.read_text().splitlines())}
    assert set(rows) == {file.stem for file in hostile.glob("*.json")}
    assert {name: row["score"] for name, row in rows.items() if row["verdict"] == "verified"} == {
        "ada": "0.8",
        "formula": "0.8",
    }
    assert rows["formula"]["student"] == "'=1+1"
    for name in ("letters", "lone", "seed", "more", "better", "odd", "list"):
        assert "is not what `netsim lab finish` writes" in rows[name]["verdict"]
    for name in ("empty", "deep", "yaml", "huge", "pipe", "directory", "zero", "nowhere", "self", "other"):
        assert "cannot be read" in rows[name]["verdict"]
    assert "1 MiB" in rows["huge"]["verdict"]
    assert len(ElementTree.parse(report).getroot()) == len(rows)


def test_one_seed_is_not_handed_in_twice(tmp_path: Path) -> None:
    files = [handed_in(tmp_path, name, progress()) for name in ("a.json", "b.json")]
    assert {each.verdict for each in grade(files)} == {"the same seed as another"}
    assert sum(each.score for each in grade(files)) == 0


def test_the_score_counts_hints_and_solutions() -> None:
    assert results.score({"passed": True, "hints": 0, "solution": False}) == 1
    assert results.score({"passed": True, "hints": 9, "solution": False}) == 0.5
    assert results.score({"passed": True, "hints": 0, "solution": True}) == 0
    assert results.score({"passed": False, "hints": 0, "solution": False}) == 0
