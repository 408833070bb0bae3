"""The pytest plugin: a cluster in about a second, and nothing left of it.

    def test_web(netsim_cluster, kubectl, namespace): ...

Which cluster: the `cluster.yaml` beside the test file if there is one, else three nodes; one for the session and each
file that asks for the same. `@pytest.mark.netsim(config="other.yaml", nodes=2, fresh=True)` asks for another, `fresh`
for one of the test's own. Each worker of xdist has its own. When a test fails, what there is to see of its cluster is
kept in `.netsim/`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.types import Object
from netsim.inventory import clusters
from workbench.testing.captured import Captured
from workbench.testing.cluster import Cluster
from workbench.testing.evidence import collect
from workbench.testing.running import CommandRefused

_PREFIX = "pytest"
_REPORT = pytest.StashKey[Cluster]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--netsim-keep` and `--netsim-shell`."""
    group = parser.getgroup("netsim")
    group.addoption("--netsim-keep", action="store_true", help="leave clusters running at the end")
    group.addoption("--netsim-shell", action="store_true", help="open a shell on the live cluster when a test fails")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", "netsim(config, nodes, fresh): the cluster that a test asks for")


class Clusters:
    """Those of this process, by what was asked for."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._made: dict[tuple[Path | None, int | None], Cluster] = {}
        self._number = 0

    def get(self, config: Path | None, nodes: int | None) -> Cluster:
        """The session's cluster of that configuration."""
        if (config, nodes) not in self._made:
            self._made[config, nodes] = self.make(config, nodes)
        return self._made[config, nodes]

    def make(self, config: Path | None, nodes: int | None) -> Cluster:
        """A new one."""
        self._number += 1
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        cluster = Cluster(f"{_PREFIX}-{os.getpid()}-{worker}-{self._number}")
        cluster.up(config, nodes)
        return cluster

    def close(self) -> None:
        """Removes all, unless they are to be kept."""
        for cluster in self._made.values():
            self.end(cluster)
        self._made.clear()

    def end(self, cluster: Cluster) -> None:
        """Removes one, unless it is to be kept."""
        if not self._keep:
            cluster.down()


@pytest.fixture(scope="session")
def netsim_clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """The session's clusters. Begins by removing what a run that died has left."""
    if os.geteuid() != 0:
        pytest.skip("clusters of namespaces need root")
    for name in clusters():
        match = re.match(rf"{_PREFIX}-(\d+)-", name)
        if match and not Path(f"/proc/{match[1]}").exists():
            Cluster(name).down()
    made = Clusters(request.config.getoption("--netsim-keep"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def netsim_cluster(request: pytest.FixtureRequest, netsim_clusters: Clusters) -> Iterator[Cluster]:
    """A running cluster."""
    marker = request.node.get_closest_marker("netsim")
    asked = dict(marker.kwargs) if marker else {}
    config = _config(request, asked.get("config"))
    if asked.get("fresh"):
        cluster = netsim_clusters.make(config, asked.get("nodes"))
    else:
        cluster = netsim_clusters.get(config, asked.get("nodes"))
    request.node.stash[_REPORT] = cluster
    try:
        yield cluster
    finally:
        if asked.get("fresh"):
            netsim_clusters.end(cluster)


@pytest.fixture
def kubectl(netsim_cluster: Cluster) -> Callable[..., str]:
    """`kubectl("get", "pods")` gives what kubectl prints."""
    return netsim_cluster.kubectl


@pytest.fixture
def namespace(netsim_cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{os.urandom(4).hex()}"
    netsim_cluster.create_namespace(name)
    try:
        yield name
    finally:
        netsim_cluster.delete_namespace(name)


@pytest.fixture
def capture(
    netsim_cluster: Cluster, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Captured]]:
    """`capture("pod/web", filter_text="tcp")` captures until the test's end; a file that is kept when it fails."""
    with ExitStack() as running:
        number = 0

        def start(*targets: str, **options: Any) -> Captured:
            nonlocal number
            number += 1
            begun: AbstractContextManager[Captured] = netsim_cluster.capture(
                targets, tmp_path / f"capture-{number}.pcapng", **options
            )
            return running.enter_context(begun)

        yield start


@pytest.fixture
def fault(netsim_cluster: Cluster) -> Iterator[Callable[..., Object]]:
    """`fault("partition", "pod/a", "pod/b")` breaks something until the test's end, or for its `duration`."""
    with ExitStack() as broken:

        def start(kind: str, *places: str, **options: Any) -> Object:
            begun: AbstractContextManager[Object] = netsim_cluster.fault(kind, *places, **options)
            return broken.enter_context(begun)

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps what there is to see when a test on a cluster has failed."""
    report = yield
    cluster = item.stash.get(_REPORT, None)
    if cluster is None or not report.failed or report.when != "call":
        return report
    directory = item.config.rootpath / ".netsim" / re.sub(r"[^\w.-]+", "_", item.nodeid)
    try:
        collect(cluster, directory, _captures(item))
        report.sections.append(("netsim", f"the cluster's state is in {directory}"))
    except (CommandRefused, OSError) as error:
        report.sections.append(("netsim", f"the cluster's state could not be kept: {error}"))
    if item.config.getoption("--netsim-shell"):
        _shell(item.config, cluster, item.nodeid)
    return report


def _config(request: pytest.FixtureRequest, named: str | None) -> Path | None:
    beside = request.path.parent / (named or "cluster.yaml")
    if beside.exists():
        return beside
    if named is not None:
        raise pytest.UsageError(f"{beside}: there is no such file; the marker netsim asks for it")
    return None


def _captures(item: pytest.Item) -> list[Path]:
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    return sorted(directory.glob("*.pcapng")) if directory is not None else []


def _shell(config: pytest.Config, cluster: Cluster, test: str) -> None:
    capturing = config.pluginmanager.getplugin("capturemanager")
    if capturing is not None:
        capturing.suspend_global_capture(in_=True)
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "NETSIM_NAME": cluster.name}
    print(f"\n{test} failed; cluster {cluster.name} is live. The test goes on when this shell ends.")  # noqa: T201
    subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=environment, check=False)
    if capturing is not None:
        capturing.resume_global_capture()
