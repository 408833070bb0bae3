"""Fixtures for tests that need root and the kernel, and the check that they leave nothing behind."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from netsim import inventory, namespace
from netsim.mark import Mark
from netsim.netlink import Netlink
from tests.kernel.own_host import own_host

_numbers = itertools.count(1)
PREFIX = f"kt{os.getpid()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if "tests/kernel" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def nothing_marked_survives() -> Iterator[None]:
    """The last word of every run: what these tests marked is gone."""
    yield
    if os.geteuid() == 0:
        left = {name: inventory.find(name).describe() for name in inventory.clusters() if name.startswith(PREFIX)}
        for name in left:
            inventory.remove(name)
        assert not left, f"left behind: {left}"


@pytest.fixture
def cluster() -> str:
    """A cluster name that nobody else uses."""
    return f"{PREFIX}-{next(_numbers)}"


@pytest.fixture
def netns(cluster: str) -> Iterator[str]:
    """A fresh marked namespace, by name."""
    name = f"{cluster}-ns"
    namespace.create_namespace(name, Mark(cluster, "node", "ns"))
    yield name
    namespace.delete_namespace(name)


@pytest.fixture
def netlink(netns: str) -> Iterator[Netlink]:
    """A netlink socket into that namespace."""
    with namespace.entered(namespace.namespace_path(netns)):
        opened = Netlink()
    with opened:
        yield opened


@pytest.fixture
def host() -> Iterator[None]:
    """A host of the test's own; asked for before anything else that the test makes."""
    with own_host():
        yield
