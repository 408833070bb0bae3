"""What a trace tells of connections that `netsim reach` has no reason for, by one packet more for the first few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from controlplane.explain.reach import Reached
from netsim.errors import NetsimError
from netsim.reach import Protocol
from workbench.cli.typed import typed
from workbench.cli.world import LiveWorld
from workbench.places import NoSuchPlace
from workbench.tracing import Story, read_ends, trace

MOST = 6
"""Traces of one matrix, each about a second if nothing comes back."""
LONGEST_SECONDS = 0.5
_RESULTS = {"policy": "denied", "firewall": "denied", "partition": "fault", "fault": "fault", "no-route": "no route"}


def explained(world: LiveWorld, cells: Sequence[Reached], protocol: Protocol, seconds: float) -> list[Reached]:
    """The cells, with the reason that a trace found where there was none; of what is too many, how to ask for it."""
    left = MOST
    found = []
    for cell in cells:
        if not cell.explained and left > 0:
            left -= 1
            cell = _traced(world, cell, protocol, min(seconds, LONGEST_SECONDS))
        elif not cell.explained:
            cell = replace(cell, reason=f"{cell.reason}; see: {_to_type(world, cell, protocol)}")
        found.append(cell)
    return found


def _traced(world: LiveWorld, cell: Reached, protocol: Protocol, seconds: float) -> Reached:
    said = (cell.source.name, f"{cell.target.name}:{cell.target.port}")
    try:
        ends = read_ends(world, world.cluster, world.directories, said, "default")
        story = trace(world, world.cluster, world.directories, ends, protocol=protocol, timeout=seconds)
    except (NoSuchPlace, NetsimError) as error:
        return replace(cell, reason=f"{cell.reason}; it cannot be traced: {error}")
    return _told(cell, story)


def _told(cell: Reached, story: Story) -> Reached:
    if story.result == "delivered":
        return replace(cell, reason=f"{cell.reason}; a packet that was sent afterwards was delivered")
    where = "" if story.where in story.reason else f", at {story.where}"
    return replace(cell, result=_RESULTS.get(story.result, cell.result), reason=story.reason + where)


def _to_type(world: LiveWorld, cell: Reached, protocol: Protocol) -> str:
    ends = [cell.source.name, f"{cell.target.name}:{cell.target.port}"]
    options = [] if protocol == "tcp" else ["--protocol", protocol]
    return typed("trace", *ends, *options, cluster=world.cluster.name)
