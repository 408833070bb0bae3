"""Whole clusters, driven as a user drives them: the `netsim` command and the real kubectl."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netsim.inventory import clusters

BIN = Path(sys.executable).parent
COMMAND_SECONDS = 600.0
"""Enough for an emulated machine; elsewhere the limit of a test is less, and ends it."""


class Cluster:
    """One running cluster and the two commands that a person has for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kubeconfig = f"/var/lib/netsim/clusters/{name}/admin.kubeconfig"

    def netsim(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`netsim ARGUMENTS --name NAME`."""
        return run(str(BIN / "netsim"), *arguments, "--name", self.name, check=check)

    def kubectl(
        self, *arguments: str, check: bool = True, stdin: str | None = None, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        return run(*self.argv(*arguments), check=check, stdin=stdin, timeout=timeout)

    def out(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints."""
        return self.kubectl(*arguments, stdin=stdin).stdout

    def json(self, *arguments: str) -> Any:
        """What kubectl prints with `-o json`, parsed."""
        return json.loads(self.out(*arguments, "-o", "json"))

    def argv(self, *arguments: str) -> list[str]:
        return [str(BIN / "kubectl"), "--kubeconfig", self.kubeconfig, *arguments]

    def status(self) -> Any:
        return json.loads(self.netsim("status", "-o", "json").stdout)


def run(
    *argv: str, check: bool = True, stdin: str | None = None, timeout: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Runs a command; a failure shows all that it said."""
    environment = {**os.environ, "KUBECTL_KUBERC": "false"}
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=environment)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def cluster_name(purpose: str) -> str:
    """A name that no other cluster has, and that tells later runs whose it was."""
    return f"pytest-{os.getpid()}-{purpose}-{uuid.uuid4().hex[:4]}"


def clusters_of_tests(*, dead: bool) -> list[str]:
    """The clusters in the kernel that this run made, or those of runs that have died; never a user's own."""
    found = ((name, re.match(r"pytest-(\d+)-", name)) for name in clusters())
    owners = [(name, int(match[1])) for name, match in found if match]
    if dead:
        return [name for name, pid in owners if not Path(f"/proc/{pid}").exists()]
    return [name for name, pid in owners if pid == os.getpid()]


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Begins by removing what a run that died has left, and fails if this one leaves anything."""
    for name in clusters_of_tests(dead=True):
        run(str(BIN / "netsim"), "down", "--name", name)
    yield
    assert clusters_of_tests(dead=False) == []


@pytest.fixture(scope="session")
def cluster(nothing_left_behind: None) -> Iterator[Cluster]:
    """A three-node cluster that the tests of the session share; each works in its own namespace."""
    shared = Cluster(cluster_name("e2e"))
    shared.netsim("up")
    try:
        yield shared
    finally:
        shared.netsim("down")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace; at its end a program that ignores SIGTERM, as any process 1 may, gets no 30 s."""
    name = f"test-{uuid.uuid4().hex[:6]}"
    cluster.out("create", "namespace", name)
    yield name
    cluster.out("-n", name, "delete", "pods", "--all", "--now", "--wait=false")
    cluster.out("delete", "namespace", name, "--wait=true")
