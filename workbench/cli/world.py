"""A running cluster as `controlplane.explain` looks at it: its API for objects, its nodes' namespaces for rules."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from controlplane.api.types import Kind, Object
from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from controlplane.sandboxes import netns_of
from netsim import address, firewall, link, namespace, route
from netsim.errors import NotFound
from netsim.netlink import Netlink
from workbench.cli.apiclient import ApiReader

NIC = "eth0"


class LiveWorld:
    """Implements `controlplane.explain.world.World`. What was read once is kept: one command shows one moment."""

    def __init__(self, directories: Directories, only_node: str = "") -> None:
        self.cluster = ResolvedCluster.load(directories.state)
        self.directories = directories
        self._api = ApiReader(directories.admin_kubeconfig)
        # One that is switched off has no kernel to look into.
        self._nodes = [
            node.name
            for node in self.cluster.nodes
            if only_node in ("", node.name) and namespace.exists(f"{self.cluster.name}-{node.name}")
        ]
        self.objects = cache(self._objects)
        self.rules = cache(self._rules)
        self.sets = cache(self._sets)

    def nodes(self) -> list[str]:
        return self._nodes

    def dns_address(self) -> str:
        return str(self.cluster.api_vpc_address)

    def host_address(self) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            # Sends nothing: the kernel chooses the way, and the address that goes with it.
            asking.connect((self.dns_address(), 53))
            return str(asking.getsockname()[0])

    def changes(self, node: str, applier: str) -> Mapping[str, Any] | None:
        file = self.directories.node(node) / f"{applier}.changes.json"
        if not file.exists():
            return None
        found: dict[str, Any] = json.loads(file.read_bytes())
        return found

    def denials(self) -> list[str]:
        file = self.directories.policy_log
        older = file.with_name(file.name + ".1")
        return [line for each in (older, file) if each.exists() for line in each.read_text().splitlines()]

    def attachment(self, uid: str) -> Mapping[str, Any] | None:
        for node in self._nodes:
            netns = netns_of(self.directories, node, uid)
            if netns:
                return self._attached(node, netns)
        return None

    def namespace_of(self, node: str, uid: str = "") -> Path:
        """The network namespace of a pod; without a uid, or for a pod on its node's network, that of the node.

        Without a node, the host's. Raises `NotFound`.
        """
        if not node:
            return Path("/proc/self/ns/net")
        netns = netns_of(self.directories, node, uid) if uid else ""
        if netns is None:
            raise NotFound(f"find the network namespace of pod {uid}", errno.ENOENT)
        return namespace.namespace_path(netns or f"{self.cluster.name}-{node}")

    def look_again(self) -> None:
        """Forgets what was read of the kernel."""
        self.rules.cache_clear()
        self.sets.cache_clear()

    def close(self) -> None:
        self._api.close()

    def _objects(self, kind: Kind) -> list[Object]:
        root = f"/apis/{kind.group}" if kind.group else "/api"
        items = self._api.items(f"{root}/{kind.version}/{kind.plural}")
        return [{"kind": kind.name, **item} for item in items]

    def _rules(self, node: str) -> str:
        with namespace.entered(self._path(node)):
            return firewall.save(counters=True)

    def _sets(self, node: str) -> str:
        with namespace.entered(self._path(node)):
            return firewall.save_sets()

    def _attached(self, node: str, netns: str) -> Mapping[str, Any]:
        with namespace.entered(namespace.namespace_path(netns)), Netlink() as inside:
            nic = link.get_link(inside, NIC)
            addresses = [str(found.interface) for found in address.list_addresses(inside, nic.index)]
            routes = [route.describe(found).removeprefix("route to ") for found in route.list_routes(inside)]
        with namespace.entered(self._path(node)), Netlink() as outside:
            links = {found.index: found for found in link.list_links(outside)}
        port = links.get(nic.peer)
        bridge = links.get(port.master) if port is not None else None
        return {
            "netns": netns,
            "port": port.ifname if port is not None else None,
            "bridge": bridge.ifname if bridge is not None else None,
            "addresses": addresses,
            "routes": routes,
        }

    def _path(self, node: str) -> str:
        return str(self.namespace_of(node))
