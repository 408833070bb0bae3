"""From a Fault to effects, while pods come and go: what has gone is looked at again, and is no failure of the Fault."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.config import ClusterConfig
from controlplane.config.resolve import resolve
from controlplane.faults.effects import Effects, Meant, is_gone
from controlplane.faults.model import read_spec
from controlplane.faults.selection import Places, PodPlace
from netsim import namespace
from netsim.errors import NetsimError
from netsim.mark import Mark
from netsim.namespace import namespace_path
from tests.kernel.world import run


@pytest.fixture
def node(cluster: str) -> Iterator[str]:
    name = f"{cluster}-node-1"
    namespace.create_namespace(name, Mark(cluster, "node", "node-1"))
    yield name
    namespace.delete_namespace(name)


def effects(cluster: str) -> Effects:
    config = resolve(ClusterConfig(), taken=[], port_owner=lambda address, port: None, name=cluster)
    return Effects(config, lambda node, pod, container: Path("/nowhere"))


def slow(netns: str) -> tuple[dict[str, object], Meant]:
    """A rate at a pod in that namespace, both ways."""
    pod = PodPlace("default", "web", "uid", "node-1", "10.44.1.2", namespace_path(netns), ())
    selection = {"pods": ["web"]}
    return {"type": "rate", "rate": "1Mbit", "target": selection}, Meant(None, None, Places((pod,)))


def test_both_ends_of_a_pod_s_link_are_shaped(cluster: str, node: str, netns: str) -> None:
    run("ip", "-n", node, "link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", netns)
    spec, meant = slow(netns)
    found = effects(cluster).of(read_spec(spec), meant)
    assert [(Path(each.netns).name, each.place) for each in found] == [(netns, "eth0"), (node, "veth0")]


@pytest.mark.parametrize("left", ["nothing", "a namespace", "a link that leads elsewhere"])
def test_a_pod_that_goes_meanwhile_is_looked_at_again(cluster: str, node: str, netns: str, left: str) -> None:
    if left == "nothing":
        namespace.delete_namespace(netns)
    elif left == "a link that leads elsewhere":
        run("ip", "-n", netns, "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    spec, meant = slow(netns)
    with pytest.raises(NetsimError) as gone:
        effects(cluster).of(read_spec(spec), meant)
    assert is_gone(gone.value)
    assert getattr(gone.value, "errno", 0) in (errno.ENOENT, errno.ENODEV)
