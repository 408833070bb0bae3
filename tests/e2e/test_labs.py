"""Every lab of the library: its start fails each check, its solution passes all; and one taken by the command."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from netsim.inventory import clusters
from tests.e2e.conftest import BIN, Cluster, cluster_name, run
from workbench.labs.loading import find, names
from workbench.labs.proof import prove

SEED = 1

LAB = """
title: Nothing to do
text: A lab whose check passes by itself.
variables: {pod: {pick: [a, b]}}
stages:
- name: only
  title: Nothing
  text: Look at ${cluster}.
  checks:
  - {name: there, says: node-1 is there, object: {get: node node-1}}
  solution: []
"""


ONE_NODE = "apiVersion: netsim.io/v1alpha1\nkind: Cluster\nspec: {nodes: 1}\n"


@pytest.mark.parametrize("name", names())
def test_each_check_fails_at_first_and_passes_after_the_solution(name: str) -> None:
    lab = find(name)
    told = list(prove(lab, SEED, cluster_name("lab")))
    assert told == [(stage.name, []) for stage in lab.stages]


def test_a_check_that_passes_by_itself_is_found(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "cluster.yaml").write_text(ONE_NODE)
    told = list(prove(find(str(tmp_path)), SEED, cluster_name("lab")))
    assert told == [("only", ["check there passes before anything was done"])]


def test_what_goes_wrong_on_the_way_loses_nothing(tmp_path: Path) -> None:
    """A reset that fails can be tried again; a cluster that was stopped, or lacks a pod, is said to."""
    folder, flag = tmp_path / "mine", tmp_path / "flag"
    folder.mkdir()
    flag.touch()
    steps = {"start": [{"run": f"cat {flag}", "in": "host"}], "facts": {"at": {"object": "pod x", "path": "{.spec}"}}}
    stage = {
        **yaml.safe_load(LAB)["stages"][0],
        "checks": [{"name": "a", "says": "b", "answer": {"name": "q", "question": "Where?", "equals": "${at}"}}],
        "solution": [{"answer": {"q": "${at}"}}],
    }
    (folder / "cluster.yaml").write_text(ONE_NODE)
    (folder / "lab.yaml").write_text(yaml.safe_dump({**yaml.safe_load(LAB), **steps, "stages": [stage]}))
    lab = Cluster(cluster_name("lab"))
    lab.netsim("lab", "start", str(folder))
    try:
        assert "q='<at>'" in lab.netsim("lab", "solution").stdout
        wrong = lab.netsim("lab", "check", "--answer", "q=here", check=False)
        assert 'pods "x" not found' in wrong.stdout
        flag.unlink()
        failed = lab.netsim("lab", "reset", check=False)
        assert f"cat {flag}" in failed.stderr
        assert status(lab)["stages"][0]["tries"] == 1
        assert "does not run" in lab.netsim("lab", "check", check=False).stderr
        flag.touch()
        lab.netsim("lab", "reset")
        assert lab.json("get", "nodes")["items"]
    finally:
        lab.netsim("down")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Cluster]:
    """A lab that is taken by the command, by a student called Ada."""
    taken = Cluster(cluster_name("lab"))
    taken.netsim("lab", "start", "pod-address", "--student", "Ada")
    try:
        yield taken
    finally:
        taken.netsim("down")


def status(lab: Cluster) -> Any:
    return json.loads(lab.netsim("lab", "status", "-o", "json").stdout)


def grade(*arguments: str | Path) -> tuple[int, str]:
    done = run(str(BIN / "netsim"), "lab", "grade", *map(str, arguments), check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_lab_from_its_start_to_its_grade(lab: Cluster, tmp_path: Path) -> None:
    shown = lab.netsim("lab", "status").stdout
    assert "Stage 1 of 2" in shown
    assert "${" not in shown

    refused = lab.netsim("lab", "check", "--answer", "address=192.0.2.1", check=False)
    assert refused.returncode == 1
    assert "'192.0.2.1' is not right" in refused.stdout
    assert "no answer yet: Where does the default route" in refused.stdout
    unknown = lab.netsim("lab", "check", "--answer", "colour=red", check=False)
    assert "no answer called 'colour'" in unknown.stderr
    assert lab.netsim("lab", "hint").stdout.startswith("hint 1 of 2")

    address = lab.out("get", "pods", "-o", "jsonpath={.items[?(@.spec.nodeName=='node-1')].status.podIP}")
    gateway = address.rpartition(".")[0] + ".1"
    passed = lab.netsim("lab", "check", "--answer", f"address={address}", "--answer", f"gateway={gateway}").stdout
    assert "This stage is passed" in passed
    assert "Stage 2 of 2" in passed

    names_before = {pod["metadata"]["name"] for pod in lab.json("get", "pods")["items"]}
    lab.out("delete", "pods", "--all", "--now")
    lab.netsim("lab", "reset")
    assert {pod["metadata"]["name"] for pod in lab.json("get", "pods")["items"]} == names_before
    assert status(lab)["stage"] == 1

    assert "apply -f -" in lab.netsim("lab", "solution", "--apply").stdout
    assert "All stages are passed" in lab.netsim("lab", "check").stdout
    assert lab.netsim("lab", "hint", check=False).returncode == 1

    result = tmp_path / "ada.json"
    assert "2 of 2 stages passed, 0.9 points" in lab.netsim("lab", "finish", "-w", str(result), "--keep").stdout
    assert grade(result, "--rerun")[0] == 0
    third = next(pod for pod in lab.json("get", "pods")["items"] if pod["metadata"]["name"] not in names_before)
    lab.out("delete", "pod", third["metadata"]["name"], "--now")
    code, told = grade(result, "--rerun")
    assert code == 1
    assert "asked again: there" in told

    lab.netsim("lab", "finish", "-w", str(result))
    assert lab.name not in clusters()
    _grades(result)


def _grades(result: Path) -> None:
    """One genuine and one forged result of the same directory."""
    document = json.loads(result.read_text())
    document["stages"][1]["solution"] = False
    result.with_name("forged.json").write_text(json.dumps(document))
    table, report = result.with_suffix(".csv"), result.with_suffix(".xml")
    code, _told = grade(result.parent, "--csv", table, "--junit", report)
    assert code == 1
    genuine, forged = csv.DictReader(table.read_text().splitlines())
    assert (genuine["student"], genuine["verdict"], genuine["passed"], genuine["score"]) == (
        "Ada",
        "verified",
        "2",
        "0.9",
    )
    assert forged["verdict"].startswith("changed since")
    assert forged["score"] == "0.0"
    suites = list(ElementTree.parse(report).getroot())
    assert [(suite.get("tests"), suite.get("errors")) for suite in suites] == [("2", "0"), ("2", "2")]
