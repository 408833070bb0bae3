"""What the fixtures of the pytest plugin cost a test: a cluster, and a namespace of the test's own.

References, measured in the same session: the bare TLS server that `cluster` starts, and `kubectl create namespace`,
which waits for less: not for what each namespace gets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from bench import floor, harness
from bench.cluster import timed
from bench.harness import Session
from workbench.testing import Cluster

NAME = "bench"
NAMESPACES = 100


def run(session: Session) -> None:
    """A cluster's start, and fresh namespaces while those of earlier tests are being removed."""
    cluster = Cluster(NAME)
    cluster.down()
    try:
        _starts(session, cluster)
        _namespaces(session, cluster)
    finally:
        cluster.down()


def _starts(session: Session, cluster: Cluster) -> None:
    floors = [floor.measure().start for _ in range(session.runs)]
    times = []
    for _ in range(session.runs):
        cluster.down()
        times.append(timed(cluster.up))
    session.report("netsim_cluster, 3 nodes", times, floors, "s", "<= 2", reference_is="bare TLS server")


def _namespaces(session: Session, cluster: Cluster) -> None:
    ours = _each(cluster, "ours", cluster.create_namespace)
    theirs = _each(cluster, "theirs", lambda name: cluster.kubectl("create", "namespace", name))
    kubectl = "kubectl create namespace"
    session.report("fixture namespace, p50", ours, theirs, "ms", "<= 100", reference_is=kubectl)
    session.report("the same, p99", _p99(ours), _p99(theirs), "ms", "<= 100", reference_is=kubectl)


def _each(cluster: Cluster, prefix: str, create: Callable[[str], object]) -> list[float]:
    """Milliseconds that each of `NAMESPACES` took. As in a session of tests, each is removed before the next."""
    times = []
    for number in range(NAMESPACES):
        name = f"{prefix}-{number}"
        times.append(timed(functools.partial(create, name)) * 1000)
        cluster.delete_namespace(name)
    return times


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


if __name__ == "__main__":
    harness.main(run)
