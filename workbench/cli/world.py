"""A running cluster as `controlplane.explain` looks at it: its API for objects, its nodes' namespaces for rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from controlplane.api.types import Kind, Object
from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from netsim import firewall, namespace
from workbench.cli.apiclient import ApiReader


class LiveWorld:
    """Implements `controlplane.explain.world.World`. What was read once is kept: one command shows one moment."""

    def __init__(self, directories: Directories, only_node: str = "") -> None:
        self.cluster = ResolvedCluster.load(directories.state)
        self.directories = directories
        self._api = ApiReader(directories.admin_kubeconfig)
        self._nodes = [node.name for node in self.cluster.nodes if only_node in ("", node.name)]
        self.objects = cache(self._objects)
        self.rules = cache(self._rules)
        self.sets = cache(self._sets)

    def nodes(self) -> list[str]:
        return self._nodes

    def changes(self, node: str, applier: str) -> Mapping[str, Any] | None:
        file = self.directories.run / "nodes" / node / f"{applier}.changes.json"
        if not file.exists():
            return None
        found: dict[str, Any] = json.loads(file.read_bytes())
        return found

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

    def _path(self, node: str) -> str:
        return str(namespace.namespace_path(f"{self.cluster.name}-{node}"))
