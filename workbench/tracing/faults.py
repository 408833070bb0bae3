"""What else is known of the cluster that fits how a packet ended: active Faults, and nodes that are off.

Of Faults whose rule was not seen, as of a small MTU or a flapping link, only that they are there is said: the kernel
does not tell who made a link small.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from controlplane.config import ResolvedCluster
from controlplane.explain.world import World
from controlplane.faults.definition import FAULT
from workbench.tracing.ends import Source, Target
from workbench.tracing.story import Story

_FITTING = {
    "mtu": ("mtu",),
    "link-down": ("flap",),
    # The kernel takes a connection in the name of a process that stands still.
    "delivered": ("processPause",),
    "no-route": ("routeRemoved", "ruleRemoved"),
    "no-neighbour": ("flap", "nodeFreeze"),
    "no-answer": ("processPause", "nodeFreeze"),
    "lost": ("flap", "loss", "mtu", "rate", "nodeFreeze"),
    "not-listening": ("ruleRemoved", "processKill"),
    "rejected": ("ruleRemoved",),
}


def name_node(story: Story, cluster: ResolvedCluster, target: Target) -> None:
    """Adds to the reason that the node that the packet was for does not run."""
    steps = [step for leg in story.legs[:1] for visit in leg.visits for step in visit.steps]
    ends = [step.data["destination"] for step in steps if step.kind in ("in", "out")]
    address = IPv4Address(ends[-1] if ends else target.address)
    for node in cluster.nodes:
        there = address == node.address or (node.pod_range is not None and address in node.pod_range)
        if there and node.state != "running" and story.result != "delivered":
            story.reason += f"; node/{node.name}, where it was to go, is {node.state}"


def name_faults(story: Story, world: World, source: Source, target: Target) -> None:
    """Adds to the reason which Faults are active on the packet's way."""
    types = _FITTING.get(story.result, ())
    if not types:
        return
    on_way = {source.name, target.name, *(visit.place for leg in story.legs for visit in leg.visits)}
    on_way |= {f"node/{pod['spec']['nodeName']}" for pod in target.selection.pods}
    for fault in world.objects(FAULT):
        status = fault.get("status") or {}
        places = sorted(on_way & set(status.get("places", ())))
        if status.get("phase") == "Active" and fault["spec"]["type"] in types and places:
            story.reason += f"; fault {fault['metadata']['name']} ({fault['spec']['type']}) is active at {places[0]}"
