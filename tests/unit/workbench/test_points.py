"""Points that several selections have in common."""

from __future__ import annotations

from pathlib import Path

from netsim.capture import Point
from workbench.places.points import each_once


def test_a_link_keeps_the_name_by_which_it_came_first() -> None:
    node = Path("/run/netns/netsim-node-1")
    links = [("cbr0", "bridge/node-1"), ("eth0", "node/node-1"), ("cbr0", "what came later")]
    points = [Point(node, ifname, name, "") for ifname, name in links]
    assert each_once(points) == points[:2]
