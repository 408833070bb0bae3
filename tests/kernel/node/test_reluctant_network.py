"""A network that does not take a sandbox back at once: the pod does not go before it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cni.errors import CniError, Code
from controlplane.api.types import Object
from controlplane.node import NodeAgent
from controlplane.node.network import CniNetwork
from netsim.link import list_links
from netsim.namespace import entered
from netsim.netlink import Netlink
from tests.kernel.node.conftest import Node


class ReluctantNetwork(CniNetwork):
    """Refuses to detach so many times, and to attach as long as it is `full`."""

    refusals = 3
    full = False

    def attach(self, sandbox_id: str, netns: Path, pod: Object) -> list[str]:
        if self.full:
            raise CniError(Code.TRY_AGAIN_LATER, "the network is full")
        return super().attach(sandbox_id, netns, pod)

    def detach(self, sandbox_id: str, netns: Path, namespace: str, name: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise CniError(Code.TRY_AGAIN_LATER, "the network is busy")
        super().detach(sandbox_id, netns, namespace, name)


@pytest.fixture
async def network(node: Node) -> ReluctantNetwork:
    made = ReluctantNetwork(node.config)
    await node.stop_agent()
    node.start_agent(NodeAgent(node.client, node.informers, node.config, network=made))
    return made


def left(node: Node) -> list[str]:
    """What there is of sandboxes: their files, their addresses, the node's ends of their links."""
    with entered(node.config.namespace), Netlink() as netlink:
        links = [link.ifname for link in list_links(netlink) if link.ifname.startswith("veth")]
    leases = [path.name for path in node.config.addresses.rglob("*") if path.name.startswith("10.")]
    return [*links, *leases, *(path.name for path in (node.config.run / "sandboxes").glob("*"))]


async def test_what_a_deleted_pod_had_is_taken_back_in_the_end(node: Node, network: ReluctantNetwork) -> None:
    await node.create("web", {"name": "c", "image": "nginx"})
    await node.until_ready("web")
    assert len(left(node)) >= 3
    await node.delete("web")
    assert network.refusals == 0
    # The kernel takes a link away some time after its namespace.
    await node.until(lambda: not left(node), "taken back")
    await node.until_event("web", "FailedKillPod", "error killing pod: the network is busy")


async def test_a_pod_that_has_ended_gives_its_address_back_in_the_end(node: Node, network: ReluctantNetwork) -> None:
    await node.create("job", {"name": "c", "image": "busybox", "command": ["true"]}, restartPolicy="Never")
    await node.until(lambda: node.status("job").get("phase") == "Succeeded", "succeeded")
    await node.until(lambda: not left(node), "released")


async def test_one_that_could_neither_be_made_nor_taken_back(node: Node, network: ReluctantNetwork) -> None:
    network.full = True
    await node.create("web", {"name": "c", "image": "nginx"})
    await node.until(lambda: left(node), "begun")
    await node.delete("web")
    assert network.refusals == 0
    # The kernel takes a link away some time after its namespace.
    await node.until(lambda: not left(node), "taken back")


async def test_a_pod_of_a_node_without_a_range_for_pods_can_be_deleted(node: Node) -> None:
    await node.stop_agent()
    node.start_agent(NodeAgent(node.client, node.informers, replace(node.config, pod_cidr="")))
    await node.create("web", {"name": "c", "image": "nginx"})

    async def refused() -> bool:
        return any(reason == "FailedCreatePodSandBox" for reason, _ in await node.events("web"))

    await node.eventually(refused)
    await node.delete("web")
    assert left(node) == []
