"""Why a pod is on its node, or on none: the scheduler's own filters and scores, run over the objects as they are now.

Nothing is changed and nothing remembered: of a pod that has a node it says what would be decided today, with the pod
itself taken away first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.kinds import (
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    STORAGE_CLASS,
)
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.explain.world import Section, World
from controlplane.scheduler.claims import Claims
from controlplane.scheduler.decision import decide, explain, refusals_of, weighted_scores
from controlplane.scheduler.framework import FilterPlugin
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.plugins import default_plugins
from controlplane.scheduler.pod_info import PodInfo
from controlplane.scheduler.preemption import preempt

SCHEDULER = "default-scheduler"
_NO_CLIENT: Any = None
"""Nothing is watched here, and nothing written."""


def scheduling(world: World, pod: Object) -> Section | None:
    """For each node the filter that refuses the pod, or what each score gives it; None for a pod that has ended."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    asked = PodInfo.of({**pod, "spec": {**pod["spec"], "nodeName": None}})
    nodes = _nodes(world, asked.uid)
    namespaces = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in world.objects(NAMESPACE)}
    filters, scores = default_plugins(lambda name: namespaces.get(name, {}), _claims(world))
    refusals = refusals_of(asked, nodes, filters)
    fitting = [node for node in nodes if node.name not in refusals]
    given = weighted_scores(asked, fitting, scores) if fitting else {}
    data: list[dict[str, Any]] = []
    for node in nodes:
        if node.name in refusals:
            plugin, refusal = refusals[node.name]
            data.append({"node": node.name, "refusedBy": plugin.name, "reasons": list(refusal.reasons)})
        else:
            place = fitting.index(node)
            points = {name: values[place] for name, values in given.items()}
            data.append({"node": node.name, "scores": points, "total": sum(points.values())})
    lines = [_line(entry, pod["spec"].get("nodeName")) for entry in sorted(data, key=_rank)]
    return Section(
        "scheduling", "Scheduling, as of now", [*_remarks(pod), *lines, *_outlook(world, asked, nodes, filters)], data
    )


def _remarks(pod: Object) -> list[str]:
    found, spec = [], pod["spec"]
    if spec.get("schedulerName", SCHEDULER) != SCHEDULER:
        found.append(f"it is for the scheduler {spec['schedulerName']}, not for this one")
    gates = [gate["name"] for gate in spec.get("schedulingGates") or ()]
    if gates:
        found.append(f"it is not looked at before these gates are gone: {', '.join(gates)}")
    promised = (pod.get("status") or {}).get("nominatedNodeName")
    if promised and not spec.get("nodeName"):
        found.append(f"{promised} was promised to it; the pods that have to go are on their way")
    return found


def _outlook(world: World, pod: PodInfo, nodes: Sequence[NodeInfo], filters: Sequence[FilterPlugin]) -> list[str]:
    """What would be said of a pod that fits nowhere, and who would have to go for it."""
    decision = decide(pod, nodes, filters, ())
    if decision.node is not None:
        return []
    lines = [explain(decision)]
    if nodes:
        outcome = preempt(pod, decision, nodes, filters, budgets=world.objects(POD_DISRUPTION_BUDGET))
        if outcome.candidate is not None:
            names = ", ".join(f"{victim.namespace}/{victim.name}" for victim in outcome.candidate.victims)
            lines.append(f"preemption would take it to {outcome.candidate.node}, and these away: {names}")
        else:
            lines.append(f"preemption: {outcome.message}")
    return lines


def _claims(world: World) -> Claims:
    informers = Informers(_NO_CLIENT)
    claims = Claims(_NO_CLIENT, informers)
    for kind in (PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME, STORAGE_CLASS, POD):
        informers.of(kind).load(world.objects(kind))
    return claims


def _nodes(world: World, left_out: str) -> list[NodeInfo]:
    """The nodes with the pods on them, but for the one with that uid."""
    nodes: dict[str, NodeInfo] = {}
    for node in world.objects(NODE):
        info = nodes[node["metadata"]["name"]] = NodeInfo(node["metadata"]["name"])
        info.set_node(node)
    for pod in world.objects(POD):
        on = nodes.get(pod["spec"].get("nodeName") or "")
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if on is not None and not ended and pod["metadata"]["uid"] != left_out:
            on.add(PodInfo.of(pod))
    return list(nodes.values())


def _line(entry: Mapping[str, Any], here: str | None) -> str:
    name = f"{entry['node']}{' (it is here)' if entry['node'] == here else ''}"
    if "refusedBy" in entry:
        return f"{name}  refused by {entry['refusedBy']}: {', '.join(entry['reasons'])}"
    parts = ", ".join(f"{plugin} {points:.0f}" for plugin, points in entry["scores"].items())
    return f"{name}  score {entry['total']:.0f}" + (f": {parts}" if parts else "")


def _rank(entry: Mapping[str, Any]) -> tuple[bool, float, str]:
    return "refusedBy" in entry, -entry.get("total", 0.0), entry["node"]
