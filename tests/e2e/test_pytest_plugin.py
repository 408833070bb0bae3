"""The pytest plugin as an outside project uses it: examples/ runs, and what a failing test leaves to be looked at."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from netsim.inventory import clusters

ROOT = Path(__file__).resolve().parents[2]

FAILING = '''
import pytest
from workbench.testing import assert_reachable

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: one}
spec: {containers: [{name: main, image: nginx, ports: [{containerPort: 80}]}]}
"""


def test_fails(netsim_cluster, namespace, capture):
    netsim_cluster.apply(MANIFEST, namespace)
    netsim_cluster.wait("pod/one", namespace=namespace)
    capture("pod/one", namespace=namespace)
    assert_reachable(netsim_cluster, "node/node-1", "pod/one:81", namespace=namespace)


@pytest.mark.netsim(nodes=1, fresh=True)
def test_of_its_own(netsim_cluster, kubectl):
    assert kubectl("get", "nodes", "-o", "name") == "node/node-1\\n"
    print("cluster", netsim_cluster.name)


def test_shares(netsim_cluster):
    print("cluster", netsim_cluster.name)
'''


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rP", "-W", "default", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd, timeout=180, check=False)


def left() -> list[str]:
    return [name for name in clusters() if "-main-" in name]


def test_the_examples_pass_and_leave_nothing(tmp_path: Path) -> None:
    done = run(str(ROOT / "examples" / "shop"), "--rootdir", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    assert left() == []


def test_a_failing_test_says_why_and_keeps_what_there_was_to_see(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "cluster.yaml").write_text("apiVersion: netsim.io/v1alpha1\nkind: Cluster\nspec: {nodes: 1}\n")
    (tmp_path / "test_it.py").write_text(FAILING)
    done = run(cwd=tmp_path)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "nobody listens on port 81" in done.stdout
    (kept,) = (tmp_path / ".netsim").iterdir()
    assert "image: nginx" in (kept / "objects.yaml").read_text()
    assert "KUBE-SERVICES" in (kept / "node-1" / "iptables-save").read_text()
    assert "cbr0" in (kept / "node-1" / "routes").read_text()
    assert (kept / "capture-1.pcapng").stat().st_size > 0
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("cluster pytest-")]
    assert len(set(names)) == 2, "one of its own, one shared"
    assert left() == []


def test_clusters_of_a_run_that_died_are_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test(netsim_cluster):\n    import time\n    time.sleep(100)\n")
    died = subprocess.Popen([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)], cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not any(name.startswith(f"pytest-{died.pid}-") for name in clusters()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    died.kill()
    died.wait()
    (tmp_path / "test_it.py").write_text("def test(netsim_cluster):\n    pass\n")
    done = run(cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert left() == []


@pytest.mark.parametrize("option", ["--netsim-keep", "--netsim-shell"])
def test_the_options_are_known(option: str, tmp_path: Path) -> None:
    assert option in run("--help", cwd=tmp_path).stdout
