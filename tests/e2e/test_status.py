"""`netsim status` says what is broken underneath, which the API does not know."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.e2e.conftest import Cluster, cluster_name, run


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    cluster = Cluster(cluster_name("status"))
    try:
        cluster.netsim("up", "--nodes", "2")
        cluster.out("run", "web", "--image=nginx")
        cluster.out("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
        yield cluster
    finally:
        cluster.netsim("down")


def degraded(cluster: Cluster) -> list[str]:
    """The problems of a cluster that is degraded."""
    done = cluster.netsim("status", "-o", "json", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["health"] == "degraded"
    problems: list[str] = document["problems"]
    return problems


def test_a_link_that_is_down_is_named(own: Cluster) -> None:
    assert own.status()["problems"] == []
    for namespace, link, whose in (
        ("node-2", "eth0", "node node-2"),
        ("router", "br-default", "the router"),
        ("router", "nic-node-1", "the router"),
    ):
        run("ip", "-n", f"{own.name}-{namespace}", "link", "set", link, "down")
        try:
            assert degraded(own) == [f"{whose}: its link {link} is down"]
        finally:
            run("ip", "-n", f"{own.name}-{namespace}", "link", "set", link, "up")
    assert own.status()["health"] == "healthy"


def test_why_a_pod_waits_is_told(own: Cluster, eventually: Eventually) -> None:
    own.out("run", "nowhere", "--image=nginx", '--overrides={"spec": {"nodeSelector": {"there": "none"}}}')

    def reasons() -> dict[str, str | None]:
        return {pod["name"]: pod["reason"] for pod in own.status()["pods"]["items"]}

    eventually(lambda: reasons() == {"web": None, "nowhere": "Unschedulable"})
    own.out("delete", "pod", "nowhere", "--now")


def test_a_daemon_that_does_not_answer_is_told(own: Cluster) -> None:
    pid = own.status()["daemon"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        (problem,) = degraded(own)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "the API server does not answer" in problem


def test_namespaces_that_are_gone_are_named(own: Cluster) -> None:
    (pod,) = [line.split()[0] for line in run("ip", "netns").stdout.splitlines() if f"{own.name}-default-web" in line]
    run("ip", "netns", "del", pod)
    assert f"pod default/web: its network namespace {pod} is gone" in degraded(own)
    run("ip", "-n", f"{own.name}-node-1", "link", "del", "eth0")
    run("ip", "netns", "del", f"{own.name}-node-2")
    problems = degraded(own)
    assert "node node-1: its link eth0 is missing" in problems
    assert f"node node-2: its network namespace {own.name}-node-2 is gone" in problems
