"""The pytest plugin: a cluster in about a second, and nothing left of it.

    def test_web(netsim_cluster, kubectl, namespace): ...

Which cluster: the `cluster.yaml` beside the test file if there is one, else three nodes; one for the session and each
file that asks for the same. `@pytest.mark.netsim(config="other.yaml", nodes=2, fresh=True)` asks for another, `fresh`
for one of the test's own. Each worker of xdist has its own. When a test fails, what there is to see of its cluster is
kept in `.netsim/`.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Every run of pytest loads this module, and most have no cluster: what one takes is loaded where it is needed.
if TYPE_CHECKING:
    from controlplane.api.types import Object
    from workbench.testing.captured import Captured
    from workbench.testing.cluster import Cluster
    from workbench.testing.clusters import Clusters

_LONGEST_NAME = 120
_CLUSTER = pytest.StashKey["Cluster"]()
_CAPTURES = pytest.StashKey["list[Captured]"]()
_FAILED = pytest.StashKey[bool]()
_KEPT_BEFORE = pytest.StashKey[set[str]]()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the marker's arguments are."""

    config: str | None = None
    nodes: int | None = None
    fresh: bool = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--netsim-keep` and `--netsim-shell`."""
    group = parser.getgroup("netsim")
    group.addoption(
        "--netsim-keep", action="store_true", help="leave clusters running at the end, with what failed tests made"
    )
    group.addoption("--netsim-shell", action="store_true", help="open a shell on the live cluster when a test fails")


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and what there was before."""
    config.addinivalue_line("markers", "netsim(config, nodes, fresh): the cluster that a test asks for")
    if config.getoption("--netsim-shell") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--netsim-shell: workers of xdist have no terminal; run it without -n")
    if config.getoption("--netsim-keep") and os.geteuid() == 0 and not _is_worker(config):
        from workbench.testing.clusters import kept

        config.stash[_KEPT_BEFORE] = kept()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Of a worker of xdist that died, nobody else knows; by now all have ended."""
    if config.pluginmanager.hasplugin("dsession") and os.geteuid() == 0:
        from workbench.testing.clusters import remove_left

        remove_left()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which clusters were kept, and what to do with them."""
    if _KEPT_BEFORE not in config.stash:
        return
    from workbench.cli.typed import typed
    from workbench.testing.clusters import kept

    before = config.stash[_KEPT_BEFORE]
    for name in sorted(kept() - before):
        terminalreporter.section(f"netsim: cluster {name} goes on")
        terminalreporter.line(f'eval "$({typed("kubeconfig", "--export", cluster=name)})"')
        terminalreporter.line(typed("down", cluster=name))


@pytest.fixture(scope="session")
def netsim_clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """The session's clusters, for fixtures of a wider scope: `netsim_clusters.get(Path("cluster.yaml"))`."""
    if os.geteuid() != 0:
        pytest.skip("clusters of namespaces need root")
    from workbench.testing.clusters import Clusters, remove_left

    remove_left()
    made = Clusters(request.config.getoption("--netsim-keep"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def netsim_cluster(request: pytest.FixtureRequest, netsim_clusters: Clusters) -> Iterator[Cluster]:
    """A running cluster."""
    asked = _asked(request)
    config = _config(request, asked.config)
    cluster = netsim_clusters.make(config, asked.nodes) if asked.fresh else netsim_clusters.get(config, asked.nodes)
    request.node.stash[_CLUSTER] = cluster
    try:
        yield cluster
    finally:
        if asked.fresh:
            netsim_clusters.end(cluster)


@pytest.fixture
def kubectl(netsim_cluster: Cluster) -> Callable[..., str]:
    """`kubectl("get", "pods")` gives what kubectl prints."""
    return netsim_cluster.kubectl


@pytest.fixture
def namespace(netsim_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{os.urandom(4).hex()}"
    netsim_cluster.create_namespace(name)
    try:
        yield name
    finally:
        if not (request.config.getoption("--netsim-keep") and request.node.stash.get(_FAILED, False)):
            netsim_cluster.delete_namespace(name)


@pytest.fixture
def capture(
    netsim_cluster: Cluster, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Captured]]:
    """`capture("pod/web", filter_text="tcp")` captures until it is read or the test ends, and is kept if that fails."""
    made: list[Captured] = []
    request.node.stash[_CAPTURES] = made
    with ExitStack() as running:

        def start(*targets: str, **options: Any) -> Captured:
            file = tmp_path / f"capture-{len(made) + 1}.pcapng"
            begun: AbstractContextManager[Captured] = netsim_cluster.capture(targets, file, **options)
            made.append(running.enter_context(begun))
            return made[-1]

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
    """Keeps what there is to see when a test on a cluster has failed, or what was to prepare it."""
    report = yield
    cluster = item.stash.get(_CLUSTER, None)
    if cluster is None or not report.failed or report.when == "teardown":
        return report
    from workbench.testing.evidence import collect

    item.stash[_FAILED] = True
    directory = item.config.rootpath / ".netsim" / _directory_name(item.nodeid)
    running = item.stash.get(_CAPTURES, [])
    try:
        problems = collect(cluster, directory, running, _files(item))
        report.sections.append(("netsim", f"the cluster's state is in {directory}"))
    except OSError as error:
        problems = [str(error)]
    report.sections += [("netsim", f"the cluster's state could not be kept whole: {each}") for each in problems]
    if item.config.getoption("--netsim-shell"):
        _shell(item.config, cluster, report)
    return report


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _asked(request: pytest.FixtureRequest) -> _Asked:
    marker = request.node.get_closest_marker("netsim")
    if marker is None:
        return _Asked()
    known = [field.name for field in fields(_Asked)]
    unknown = [*map(repr, marker.args), *(name for name in marker.kwargs if name not in known)]
    if unknown:
        raise pytest.UsageError(f"@pytest.mark.netsim has {', '.join(known)} by name, and not {', '.join(unknown)}")
    return _Asked(**marker.kwargs)


def _config(request: pytest.FixtureRequest, named: str | None) -> Path | None:
    beside = request.path.parent / (named or "cluster.yaml")
    if beside.exists():
        return beside
    if named is not None:
        raise pytest.UsageError(f"{beside}: there is no such file; the marker netsim asks for it")
    return None


def _directory_name(test: str) -> str:
    name = re.sub(r"[^\w.-]+", "_", test)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"


def _files(item: pytest.Item) -> list[Path]:
    """The captures in the test's own directory, also those that it has made itself."""
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    return sorted(directory.glob("*.pcapng")) if directory is not None else []


def _shell(config: pytest.Config, cluster: Cluster, report: pytest.TestReport) -> None:
    capturing = config.pluginmanager.getplugin("capturemanager")
    if capturing is not None:
        # As pdb's prompt does: the next test resumes it.
        capturing.suspend_global_capture(in_=True)
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "NETSIM_NAME": cluster.name}
    said = f"{report.nodeid} failed; cluster {cluster.name} is live. The test goes on when this shell ends."
    print(f"\n{report.longreprtext}\n\n{said}", flush=True)  # noqa: T201
    subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=environment, check=False)
