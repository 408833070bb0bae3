"""`netsim up` on a cluster that runs: the same again is fine, another configuration is an error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.config import CLUSTER_FILE, ClusterConfig
from controlplane.config.resolve import resolve
from controlplane.config.types import numbered_nodes
from controlplane.directories import Directories
from workbench.cli.main import run

HOLDER = """
import sys
from pathlib import Path
from controlplane.pidfile import PidFile
held = PidFile(Path(sys.argv[1]))
held.acquire()
print("held", flush=True)
sys.stdin.read()
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="`netsim up` needs root")


@pytest.fixture
def running(lab: Directories) -> Iterator[Directories]:
    """A cluster of three nodes whose daemon is a process that holds the pid file."""
    cluster = resolve(
        ClusterConfig(nodes=numbered_nodes(3)), taken=[], port_owner=lambda address, port: None, name=lab.name
    )
    (lab.state / CLUSTER_FILE).write_text(cluster.to_json())
    argv = [sys.executable, "-c", HOLDER, str(lab.pid_file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield lab
        holder.kill()


@pytest.mark.parametrize("options", [[], ["--nodes", "3"]])
def test_the_same_again_changes_nothing_and_is_no_error(
    running: Directories, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--name", running.name, *options]) == 0
    said = capsys.readouterr()
    assert "already running" in said.out
    assert "nothing was changed" in said.out
    assert said.err == ""


def test_other_nodes_are_refused(running: Directories, capsys: pytest.CaptureFixture[str]) -> None:
    before = (running.state / CLUSTER_FILE).read_bytes()
    assert run(["up", "--name", running.name, "--nodes", "5"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "nothing was changed" in said.err
    assert "spec.nodes: asked for 5" in said.err
    assert "netsim node add --name lab" in said.err
    assert "netsim down --name lab" in said.err
    assert (running.state / CLUSTER_FILE).read_bytes() == before


def test_a_file_may_come_by_standard_input(
    running: Directories, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "apiVersion: netsim.io/v1alpha1\nkind: Cluster\nspec: {network: {mtu: %s}}\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(text % "1460"))
    assert run(["up", "--name", running.name, "--config", "-"]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(text % "big"))
    assert run(["up", "--name", running.name, "--config", "-"]) == 1
    assert "standard input:3: spec.network.mtu" in capsys.readouterr().err


def test_another_file_is_refused(running: Directories, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("apiVersion: netsim.io/v1alpha1\nkind: Cluster\nspec: {nodes: 3, network: {mtu: 1500}}\n")
    assert run(["up", "--name", running.name, "--config", str(file)]) == 1
    assert "spec.network.mtu: asked for 1500, has 1460" in capsys.readouterr().err
    file.write_text("apiVersion: netsim.io/v1alpha1\nkind: Cluster\nspec: {nodes: 3, network: {mtu: 1460}}\n")
    assert run(["up", "--name", running.name, "--config", str(file)]) == 0
