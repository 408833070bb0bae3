"""The pytest plugin as an outside project uses it: examples/ runs, and what a failing test leaves to be looked at."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from netsim.inventory import clusters
from workbench.testing import Cluster

ROOT = Path(__file__).resolve().parents[2]

FAILING = '''
import pytest
from workbench.testing import assert_packets, assert_reachable

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: one}
spec: {containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]}
"""


def test_fails(netsim_cluster, namespace, capture, tmp_path):
    netsim_cluster.apply(MANIFEST, namespace)
    netsim_cluster.wait("pod/one", namespace=namespace)
    seen = capture("pod/one", namespace=namespace)
    assert_reachable(netsim_cluster, "node/node-1", "pod/one:80", namespace=namespace)
    assert_packets(seen, "tcp dst port 80 and tcp[tcpflags] & tcp-syn != 0", 1)
    capture("pod/one", namespace=namespace)
    with netsim_cluster.capture(["pod/one"], tmp_path / "block.pcapng", namespace=namespace):
        assert_reachable(netsim_cluster, "node/node-1", "pod/one:81", namespace=namespace, within=0)


@pytest.fixture
def broken(netsim_cluster, namespace):
    netsim_cluster.apply("apiVersion: v1\\nkind: Pod\\nmetadata: {name: one}\\nspec: {}", namespace)


def test_is_not_prepared(broken):
    pass


@pytest.mark.netsim(node=1)
def test_asks_for_what_there_is_not(netsim_cluster):
    pass


@pytest.mark.netsim(nodes=1, fresh=True)
def test_of_its_own(netsim_cluster, kubectl):
    assert kubectl("get", "nodes", "-o", "name") == "node/node-1\\n"
    print("cluster", netsim_cluster.name)


def test_shares(netsim_cluster, namespace, kubectl):
    kubectl("-n", namespace, "get", "serviceaccount/default", "configmap/kube-root-ca.crt")
    print("cluster", netsim_cluster.name)
'''

KEPT = """
def test_fails(netsim_cluster, namespace):
    print("kept", namespace)
    assert netsim_cluster is None

def test_passes(netsim_cluster, namespace):
    print("kept", namespace)
"""

EACH_WORKER = """
import os
import signal
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(4))
def test_it(netsim_cluster, number):
    file = Path(__file__).with_name(f"{netsim_cluster.name}.json")
    file.write_text((netsim_cluster.directories.state / "cluster.json").read_text())
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""

ONE_NODE = "apiVersion: netsim.io/v1alpha1\nkind: Cluster\nspec: {nodes: 1}\n"


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rP", "-W", "default", *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, cwd=cwd, timeout=200, check=False, env={**os.environ, **environment}
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, whose clusters have one node."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "cluster.yaml").write_text(ONE_NODE)
    return tmp_path


def left() -> list[str]:
    return [name for name in clusters() if "-main-" in name]


def test_the_examples_pass_and_leave_nothing(tmp_path: Path) -> None:
    done = run(str(ROOT / "examples" / "shop"), "--rootdir", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    assert left() == []


def test_a_failing_test_says_why_and_keeps_what_there_was_to_see(project: Path) -> None:
    (project / "test_it.py").write_text(FAILING)
    done = run(cwd=project)
    assert "1 failed, 2 passed, 2 errors" in done.stdout, done.stdout + done.stderr
    assert "nobody listens on port 81" in done.stdout
    assert "spec.containers: Required value" in done.stdout
    assert "@pytest.mark.netsim has config, nodes, fresh by name, and not node" in done.stdout
    kept = project / ".netsim" / "test_it.py_test_fails"
    assert {each.name for each in kept.parent.iterdir()} == {kept.name, "test_it.py_test_is_not_prepared"}
    assert "image: nginx" in (kept / "objects.yaml").read_text()
    assert "pod/one" in (kept / "events.txt").read_text()
    assert "KUBE-SERVICES" in (kept / "node-1" / "iptables-save").read_text()
    assert "cbr0" in (kept / "node-1" / "routes").read_text()
    assert "hook forward" in (kept / "router" / "nft").read_text()
    assert (kept / "daemon.log").is_file()
    assert packets(kept / "capture-2.pcapng", "tcp dst port 81") > 0
    assert packets(kept / "block.pcapng", "tcp dst port 81") > 0
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("cluster pytest-")]
    assert len(set(names)) == 2, "one of its own, one shared"
    assert left() == []


def packets(file: Path, filter_text: str) -> int:
    read = subprocess.run(
        ["tcpdump", "-n", "-r", str(file), filter_text], capture_output=True, text=True, timeout=60, check=True
    )
    return len(read.stdout.splitlines())


def test_a_live_cluster_can_be_looked_at_and_kept(project: Path) -> None:
    shell = project / "shell"
    shell.write_text('#!/bin/sh\necho "$NETSIM_NAME $KUBECONFIG" >looked\n')
    shell.chmod(0o755)
    (project / "test_it.py").write_text(KEPT)
    done = run("--netsim-keep", "--netsim-shell", cwd=project, SHELL=str(shell))
    name, kubeconfig = (project / "looked").read_text().split()
    try:
        told, _, rest = done.stdout.partition(f"cluster {name} is live")
        assert "assert netsim_cluster is None" in told, "why it failed is told before the shell"
        assert f"netsim down --name {name}" in rest
        assert Path(kubeconfig).is_file()
        kept = [each.removeprefix("kept ") for each in done.stdout.splitlines() if each.startswith("kept ")]
        there = Cluster(name).kubectl("get", "namespaces", "--field-selector=status.phase=Active", "-o", "name").split()
        assert [f"namespace/{each}" in there for each in kept] == [True, False], "that of the test that failed"
    finally:
        Cluster(name).down()


def test_each_worker_of_xdist_has_its_own_cluster_also_one_that_dies(project: Path) -> None:
    (project / "test_it.py").write_text(EACH_WORKER)
    done = run("-n", "2", cwd=project)
    assert "crashed while running" in done.stdout, done.stdout + done.stderr
    assert "1 failed, 3 passed" in done.stdout
    first, second = (json.loads(file.read_text()) for file in project.glob("*.json"))
    assert first["api_port"] != second["api_port"]
    for mine, others in itertools.product(ranges(first), ranges(second)):
        assert not mine.overlaps(others)
    assert not {first["name"], second["name"]} & set(clusters())


def ranges(cluster: dict[str, Any]) -> list[IPv4Network]:
    subnets = [subnet[key] for subnet in cluster["subnets"] for key in ("range", "pod_range")]
    return [IPv4Network(text) for text in (*subnets, cluster["service_range"], cluster["load_balancer_range"])]


def test_clusters_of_a_run_that_died_are_removed_by_the_next(project: Path) -> None:
    (project / "test_it.py").write_text("def test(netsim_cluster):\n    import time\n    time.sleep(100)\n")
    died = subprocess.Popen([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(project)], cwd=project)
    deadline = time.monotonic() + 60
    while not any(name.startswith(f"pytest-{died.pid}-") for name in clusters()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    died.kill()
    died.wait()
    (project / "test_it.py").write_text("def test(netsim_cluster):\n    pass\n")
    done = run(cwd=project)
    assert done.returncode == 0, done.stdout
    assert left() == []
