"""Clusters in tests: a pytest plugin, handles on pods and nodes, scapy at each of them, and assertions on packets.

pytest finds the plugin where netsim is installed. docs/testing.md shows the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.testing.assertions import assert_dropped_by, assert_packets, assert_reachable, assert_unreachable
    from workbench.testing.captured import Captured
    from workbench.testing.cluster import Cluster, Node, Pod
    from workbench.testing.crafted import Crafting
    from workbench.testing.running import CommandRefused

__all__ = [
    "Captured",
    "Cluster",
    "CommandRefused",
    "Crafting",
    "Node",
    "Pod",
    "assert_dropped_by",
    "assert_packets",
    "assert_reachable",
    "assert_unreachable",
]
_MODULES = {"Captured": "captured", "CommandRefused": "running", "Crafting": "crafted"} | dict.fromkeys(
    ("Cluster", "Node", "Pod"), "cluster"
)


def __getattr__(name: str) -> Any:
    """Loads it when it is asked for: every run of pytest loads the plugin beside this, also one without a cluster."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'assertions')}"), name)
