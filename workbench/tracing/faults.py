"""Active Faults that fit how a packet ended, where no rule of theirs was seen: a small MTU, a flapping link.

What is said is that such a Fault is there, not more: the kernel does not tell who made a link small.
"""

from __future__ import annotations

from controlplane.explain.world import World
from controlplane.faults.definition import FAULT
from workbench.tracing.ends import Source, Target
from workbench.tracing.story import Story

_FITTING = {
    "mtu": ("mtu",),
    "link-down": ("flap",),
    "no-route": ("routeRemoved",),
    "no-answer": ("processPause", "nodeFreeze"),
    "lost": ("flap", "loss", "mtu", "rate", "nodeFreeze"),
    "not-listening": ("ruleRemoved", "processKill"),
    "rejected": ("ruleRemoved",),
}


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
