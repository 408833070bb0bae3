"""Whether the namespaces that a cluster should have are in the kernel, and connected: for `netsim status`.

The API tells late: a node whose NIC is down is Ready until its lease has run out. What should be there is taken from
cluster.json, and for pods from what the node agents noted of their sandboxes. Nodes that are switched off have nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from controlplane.config import ResolvedCluster, ResolvedNode
from controlplane.directories import Directories
from controlplane.fabric import node_plan, vpc_plan
from netsim import link, namespace
from netsim.errors import KernelError, NotFound
from netsim.mark import Mark
from netsim.netlink import Netlink
from netsim.vpc.plan import NODE_NIC, ROUTER, UPLINK

SANDBOXES = "nodes/*/sandboxes/*/sandbox.json"


def problems(cluster: ResolvedCluster, directories: Directories) -> list[str]:
    """A line for each node that is switched off, and each namespace or link that is missing, down or someone else's.

    Needs root.
    """
    off = [f"node {node.name} is {node.state}" for node in cluster.nodes if node.state != "running"]
    running = [node for node in cluster.nodes if node.state == "running"]
    return [*off, *_router(cluster, running), *_nodes(cluster.name, running), *_pods(directories)]


def _router(cluster: ResolvedCluster, nodes: Iterable[ResolvedNode]) -> Iterator[str]:
    ports = [node_plan(node).port for node in nodes]
    bridges = [subnet.bridge for subnet in vpc_plan(cluster).subnets]
    yield from _faults("the router", Mark(cluster.name, ROUTER, ROUTER), [UPLINK, *bridges, *ports])


def _nodes(cluster: str, nodes: Iterable[ResolvedNode]) -> Iterator[str]:
    for node in nodes:
        yield from _faults(f"node {node.name}", Mark(cluster, "node", node.name), [NODE_NIC])


def _pods(directories: Directories) -> Iterator[str]:
    for file in sorted(directories.run.glob(SANDBOXES)):
        sandbox = _read(file)
        # Without addresses it is still being made; without a namespace it is on its node's.
        if not sandbox or not sandbox["addresses"] or not sandbox["netns"]:
            continue
        # One that is being removed loses its namespace first: it is looked at again.
        if not namespace.exists(sandbox["netns"]) and file.exists():
            pod = f"{sandbox['pod_namespace']}/{sandbox['pod_name']}"
            yield f"pod {pod}: its network namespace {sandbox['netns']} is gone"


def _faults(what: str, mark: Mark, links: list[str]) -> list[str]:
    """What is wrong with a namespace and with links that it should have, in words."""
    name = f"{mark.cluster}-{mark.name}"
    if not namespace.exists(name):
        return [f"{what}: its network namespace {name} is gone"]
    try:
        with namespace.entered(namespace.namespace_path(name)), Netlink() as netlink:
            if Mark.parse(link.get_loopback(netlink).alias) != mark:
                return [f"{what}: network namespace {name} is not this cluster's"]
            found = {each.ifname: each for each in link.list_links(netlink)}
    except NotFound:
        return [f"{what}: its network namespace {name} is gone"]
    except KernelError as error:
        return [f"{what}: its network namespace {name} cannot be entered: {error}"]
    return [
        f"{what}: its link {ifname} is {'missing' if ifname not in found else 'down'}"
        for ifname in links
        if ifname not in found or not found[ifname].up
    ]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        sandbox: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return sandbox
