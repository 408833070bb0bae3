"""Preemption: which pods of lower priority would have to go, and from which node, so that a pod fits.

Pure, as upstream's DefaultPreemption decides: a node on which removing pods can help at all; there every pod of lower
priority is taken away, and as many as possible are let off again, those first whose disruption budget would be
violated; of the nodes the one that loses least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.scheduler.decision import Decision, refusal_of, unavailable
from controlplane.scheduler.framework import FilterPlugin
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

FEWEST_CANDIDATES = 100
SHARE_OF_CANDIDATES = 10
"""One node in so many is tried, but not fewer than the above; more would make a better choice, and take longer."""

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
NEVER = "not eligible due to preemptionPolicy=Never."
UNDER_WAY = "not eligible due to a terminating pod on the nominated node."


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that would do without `victims`, the most important first; `violations` of disruption budgets."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """`candidate` is None where nothing helps; `message` then says why, in upstream's words.

    `waiting`: an earlier preemption for the pod is under way, and its nomination stands.
    """

    candidate: Candidate | None
    message: str = ""
    waiting: bool = False


def preempt(
    pod: PodInfo,
    decision: Decision,
    nodes: Sequence[NodeInfo],
    filters: Sequence[FilterPlugin],
    *,
    budgets: Iterable[Object],
    nominated: str = "",
) -> Outcome:
    """The best way to make room for `pod`, which `decision` found no node for; `nominated` is the node that it was
    promised before."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return Outcome(None, NEVER)
    by_name = {node.name: node for node in nodes}
    if nominated in by_name and _is_under_way(pod, by_name[nominated], decision):
        return Outcome(None, UNDER_WAY, waiting=True)
    known = list(budgets)
    limit = max(len(nodes) // SHARE_OF_CANDIDATES, FEWEST_CANDIDATES)
    candidates: list[Candidate] = []
    refused: Counter[str] = Counter()
    for name, (_, refusal) in decision.refusals.items():
        if not refusal.resolvable:
            refused[NOT_HELPFUL] += 1
            continue
        if len(candidates) == limit:
            break
        tried = _try(pod, by_name[name], nodes, filters, known)
        if isinstance(tried, Candidate):
            candidates.append(tried)
        else:
            refused.update(tried)
    if not candidates:
        return Outcome(None, unavailable(decision.total, refused))
    return Outcome(min(candidates, key=_cost))


def _is_under_way(pod: PodInfo, node: NodeInfo, decision: Decision) -> bool:
    refused = decision.refusals.get(node.name)
    if refused is not None and not refused[1].resolvable:
        return False
    return any(other.is_deleting and other.priority < pod.priority for other in node.pods.values())


def _try(
    pod: PodInfo,
    node: NodeInfo,
    nodes: Sequence[NodeInfo],
    filters: Sequence[FilterPlugin],
    budgets: Sequence[Object],
) -> Candidate | tuple[str, ...]:
    """The victims on one node, or the reasons why none would help."""
    lower = [other for other in node.pods.values() if other.priority < pod.priority]
    if not lower:
        return (NO_VICTIMS,)
    trial = node.copy()
    others = [trial if each is node else each for each in nodes]
    for victim in lower:
        trial.remove(victim.uid)
    refusal = refusal_of(pod, trial, others, filters)
    if refusal is not None:
        return refusal.reasons
    violating, harmless = _by_budget(sorted(lower, key=_importance), budgets)
    victims, violations = [], 0
    for group, counts in ((violating, True), (harmless, False)):
        for victim in group:
            trial.add(victim)
            if refusal_of(pod, trial, others, filters) is not None:
                trial.remove(victim.uid)
                victims.append(victim)
                violations += counts
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def _by_budget(pods: Iterable[PodInfo], budgets: Sequence[Object]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Those that a disruption budget wants to keep, and the others."""
    left = [(budget.get("status") or {}).get("disruptionsAllowed", 0) for budget in budgets]
    selectors = [compile_selector(budget["spec"].get("selector")) for budget in budgets]
    violating: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for pod in pods:
        kept = False
        for number, budget in enumerate(budgets):
            if pod.labels and budget["metadata"]["namespace"] == pod.namespace and selectors[number](pod.labels):
                if pod.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                    continue
                left[number] -= 1
                kept = kept or left[number] < 0
        (violating if kept else harmless).append(pod)
    return violating, harmless


def _importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the more important first: of higher priority, then running for longer."""
    return -pod.priority, started(pod)


def _cost(candidate: Candidate) -> tuple[int, int, int, int, tuple[int, ...]]:
    """What a node loses, the least first: budgets, the priority of the most important victim, the sum of priorities,
    how many there are, and how long the most important ones have been running."""
    victims = candidate.victims
    highest = victims[0].priority if victims else 0
    total = sum(victim.priority + (1 << 31) for victim in victims)
    earliest = min((started(victim) for victim in victims if victim.priority == highest), default="")
    return candidate.violations, highest, total, len(victims), tuple(-ord(letter) for letter in earliest)


def started(pod: PodInfo) -> str:
    """When the pod started, as text that sorts; a pod that has not is the latest."""
    return str((pod.pod.get("status") or {}).get("startTime") or "9")
