"""Clusters in tests: a pytest plugin, handles on pods and nodes, scapy at each of them, and assertions on packets.

pytest finds the plugin where netsim is installed. docs/testing.md shows the rest.
"""

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
