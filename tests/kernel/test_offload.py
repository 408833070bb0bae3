"""Checksums as plain tcpdump sees them: right everywhere when offloads are off, left open when they are on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.node.config import NodeConfig
from controlplane.node.network import BRIDGE, CniNetwork
from netsim import inventory, namespace, offload
from netsim.errors import NotFound
from netsim.mark import Mark
from netsim.namespace import entered, namespace_path
from netsim.vpc import Vpc, overlay
from tests.conftest import Eventually
from tests.kernel import world

PORT = 8080
ANSWER = "as much as goes into several packets " * 500


@contextmanager
def tcpdump(netns: str, file: Path, eventually: Eventually) -> Iterator[None]:
    """Captures in a namespace until it has seen both ends of a connection; `file` gets what it prints."""
    argv = ["ip", "netns", "exec", netns, "tcpdump", "-i", "any", "-lnvv"]
    errors = file.with_suffix(".errors")
    with file.open("w") as output, errors.open("w") as said:
        program = subprocess.Popen([*argv, f"tcp port {PORT} or udp port {overlay.PORT}"], stdout=output, stderr=said)
    try:
        eventually(lambda: "listening on" in errors.read_text(), within=30)
        yield
        eventually(lambda: file.read_text().count("Flags [F") >= 2, within=30)
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(30)


def checksums(client: str, server: tuple[str, str], seen_in: Sequence[str], files: Path, eventually: Eventually) -> str:
    """All that is printed in these namespaces of one connection from a namespace to a server in another."""
    netns, address = server
    with ExitStack() as watched:
        for name in seen_in:
            watched.enter_context(tcpdump(name, files / name, eventually))
        with world.answering(netns, address, PORT, ANSWER):
            assert world.ask(address, PORT, netns=client).startswith(ANSWER)
    printed = "".join((files / name).read_text() for name in seen_in)
    assert ", cksum 0x" in printed
    return printed


@pytest.mark.parametrize("offloads", [True, False], ids=["on", "off"])
def test_between_nodes(host: None, cluster: str, tmp_path: Path, eventually: Eventually, offloads: bool) -> None:
    plan = replace(world.plan_of(cluster), overlay=True, offloads=offloads)
    nodes = [world.node_of(plan, number) for number in (1, 2)]
    names = [plan.node_namespace(node.name) for node in nodes]
    pod = nodes[1].pod_range.replace(".0/24", ".9")
    try:
        with Vpc(plan) as made:
            made.ensure(nodes)
            world.run("ip", "address", "add", f"{pod}/32", "dev", "lo", netns=names[1])
            printed = checksums(names[0], (names[1], pod), [*names, plan.router_namespace], tmp_path, eventually)
    finally:
        inventory.remove(cluster)
    assert overlay.VTEP in printed, "inside the vxlan link and outside"
    assert ("incorrect" in printed) is offloads


@pytest.mark.parametrize("offloads", [True, False], ids=["on", "off"])
def test_between_a_node_and_its_pod(
    netns: str, cluster: str, tmp_path: Path, eventually: Eventually, offloads: bool
) -> None:
    config = NodeConfig(
        "ns", cluster, "", "100.64.9.0/24", namespace_path(netns), tmp_path, tmp_path, offloads=offloads
    )
    pod = {"metadata": {"namespace": "default", "name": "web", "uid": "1"}, "spec": {"containers": []}}
    inside, network = f"{cluster}-pod", CniNetwork(config)
    namespace.create_namespace(inside, Mark(cluster, "pod", "web"))
    try:
        with entered(namespace_path(netns)):
            (address,) = network.attach("web", namespace_path(inside), pod)
            assert offload.are_on(BRIDGE) is offloads
        printed = checksums(netns, (inside, address), [netns, inside], tmp_path, eventually)
    finally:
        network.close()
        namespace.delete_namespace(inside)
    assert BRIDGE in printed
    assert ("incorrect" in printed) is offloads


def test_a_link_that_is_not_there(netns: str) -> None:
    with entered(namespace_path(netns)), pytest.raises(NotFound, match="offloads of link v9"):
        offload.turn_off("v9")
