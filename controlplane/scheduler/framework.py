"""What a scheduling plugin is: a filter that says why a node does not do, a score that says how well.

A plugin is asked once per pod and gives a function for its nodes, or None when it has nothing to
say about that pod; so a pod without constraints costs nothing for constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

MAX_SCORE = 100.0


class ClusterEvent(Enum):
    """What can happen in a cluster that lets a pod fit that did not fit before."""

    NODE_ADDED = auto()
    NODE_LABELS = auto()
    NODE_TAINTS = auto()
    NODE_SCHEDULABLE = auto()
    NODE_ALLOCATABLE = auto()
    POD_ADDED = auto()
    POD_GONE = auto()
    STORAGE = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node does not do. `resolvable`: whether removing other pods from it could help; `of_pod`: the same is wrong
    on every node."""

    reasons: tuple[str, ...]
    resolvable: bool = False
    of_pod: bool = False


NodeFilter = Callable[[NodeInfo], Refusal | None]


class FilterPlugin(Protocol):
    """`wakes_on`: the events after which a pod refused by this plugin is worth another try."""

    name: str
    wakes_on: frozenset[ClusterEvent]

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        """The test of one node for `pod`, `nodes` being all there are; None to let every node pass."""
        ...


class ScorePlugin(Protocol):
    """`weight` multiplies the scores of this plugin, as in upstream's default profile."""

    name: str
    weight: int

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        """A score from 0 to 100 for each of the nodes that passed; None to say nothing."""
        ...


def normalized(values: Sequence[float], *, reverse: bool = False) -> list[float]:
    """Scales to 0..100 by the largest; `reverse` makes the smallest the best."""
    largest = max(values)
    if largest == 0:
        return [MAX_SCORE if reverse else 0.0] * len(values)
    scaled = [value * MAX_SCORE / largest for value in values]
    return [MAX_SCORE - value for value in scaled] if reverse else scaled
