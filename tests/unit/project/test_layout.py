"""The house: imports point downward, dependencies are pinned and explained, and the README tells what is there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

from controlplane.api.kinds import SERVED
from controlplane.api.unsupported import KINDS
from workbench.cli.main import SUBCOMMANDS

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
NOT_PINNED = {"netsim", "pip", "setuptools", "wheel"}  # ours, and what a virtual environment comes with


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> dict[str, str]:
    lines = (ROOT / "scripts/constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pairs}


def code_lines(document: Path) -> list[str]:
    """The lines of the fenced code blocks of a document."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_imports_point_downward_only() -> None:
    done = subprocess.run(
        [str(BIN / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_direct_dependencies_are_pinned_and_the_constraints_agree() -> None:
    pinned = constraints()
    for requirement in DIRECT:
        name, _, version = requirement.partition("==")
        assert pinned[normal(name)] == version, requirement


def test_every_installed_distribution_is_pinned() -> None:
    installed = {normal(found.metadata["Name"]): found.version for found in distributions()}
    pinned = constraints()
    unpinned = {name: version for name, version in installed.items() if name not in pinned and name not in NOT_PINNED}
    assert unpinned == {}


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    packages = re.findall(r"\|\| echo ([a-z0-9-]+)$", (ROOT / "scripts/setup").read_text(), flags=re.MULTILINE)
    assert "crun" in packages
    for name in [*(requirement.partition("==")[0] for requirement in DIRECT), *packages]:
        assert f"`{name}`" in text, f"docs/dependencies.md does not say why {name} is there"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in code_lines(document):
        for target in re.findall(r"(?:^|sudo )make ([a-z-]+)", line):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), line
        for subcommand in re.findall(r"(?:^|[ /(])netsim ([a-z]+)", line):
            assert subcommand in SUBCOMMANDS, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_page_is_in_the_list_of_pages() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"architecture.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in text] == []


def test_every_subcommand_is_documented() -> None:
    text = (ROOT / "docs/cli.md").read_text()
    for name in SUBCOMMANDS:
        assert f"## netsim {name}\n" in text


def test_the_readme_tells_which_kinds_are_there() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    there, missing = text.partition("## What is real")[2].partition("**Not there yet:**")[::2]
    acted_on = {kind.name for kind in SERVED} - set(KINDS)
    for workload in {kind.name for kind in SERVED if kind.group in ("apps", "batch")} - {"ControllerRevision"}:
        assert f"{workload}s" in there, f"README.md does not name {workload}s among what is real"
    for kind, words in {
        "NetworkPolicy": "NetworkPolicy",
        "HorizontalPodAutoscaler": "autoscaling",
        "PodDisruptionBudget": "disruption budgets",
        "ResourceQuota": "quotas",
        "Ingress": "Ingress",
        "CustomResourceDefinition": "custom resources",
        "CertificateSigningRequest": "certificate signing",
        "PersistentVolumeClaim": "persistent volumes",
        "ValidatingAdmissionPolicy": "admission policies",
        "ResourceClaim": "dynamic resource allocation",
    }.items():
        assert (kind in acted_on) != (words in missing), f"what README.md says of {kind} is not so"
