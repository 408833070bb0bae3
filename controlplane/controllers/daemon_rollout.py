"""The next step of a DaemonSet: pods to delete and nodes to create pods on; pure functions of what is.

`manage` brings each node to one pod where one belongs. `roll` replaces pods of old templates: without
surge by deleting as many as may be unavailable, with surge by creating beside the old pod and deleting
that when the new one is available. The numbers follow upstream's pkg/controller/daemon/update.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from controlplane.api.types import Object
from controlplane.controllers.daemon_pods import Fit
from controlplane.controllers.meta import created_at, is_deleting
from controlplane.controllers.pods import available_in, is_ready, phase
from controlplane.controllers.revisions import HASH_LABEL
from controlplane.controllers.rollout import scaled


class Step(NamedTuple):
    """`delete` are pods, `create` names of nodes; `finished` are pods that ended and are to be deleted too."""

    delete: list[Object]
    create: list[str]
    finished: list[Object]


class View(NamedTuple):
    """What a step is taken on: pods by node, the fit of each node that exists, the present template's hash."""

    ds: Object
    pods: Mapping[str, Sequence[Object]]
    fits: Mapping[str, Fit]
    revision_hash: str
    now: float

    def is_new(self, pod: Object) -> bool:
        return bool((pod["metadata"].get("labels") or {}).get(HASH_LABEL) == self.revision_hash)

    def is_available(self, pod: Object) -> bool:
        return available_in(pod, self.ds["spec"].get("minReadySeconds", 0), self.now) == 0


def limits(ds: Object, desired: int) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods."""
    strategy = ds["spec"].get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    surge = scaled(rolling.get("maxSurge", 0), desired, up=True)
    unavailable = scaled(rolling.get("maxUnavailable", 1), desired, up=True)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def desired_nodes(view: View) -> int:
    """How many nodes should have a pod."""
    return sum(fit.should_run for fit in view.fits.values())


def manage(view: View) -> Step:
    """Missing pods, pods where none belong, second pods on a node."""
    step = Step([], [], [])
    surge, _ = limits(view.ds, desired_nodes(view))
    for node, fit in view.fits.items():
        pods = view.pods.get(node, ())
        if fit.should_run and not pods:
            step.create.append(node)
        elif not fit.may_stay:
            step.delete.extend(pod for pod in pods if not is_deleting(pod))
        else:
            _thin_out(view, pods, step, surge=surge > 0)
    for node, pods in view.pods.items():
        if node not in view.fits:
            # A pod bound to a node that is gone is for the pod collector, which gives the node time to return.
            step.delete.extend(pod for pod in pods if not is_deleting(pod) and not pod["spec"].get("nodeName"))
    return step


def _thin_out(view: View, pods: Sequence[Object], step: Step, *, surge: bool) -> None:
    running = []
    for pod in sorted(pods, key=created_at):
        if is_deleting(pod):
            continue
        if phase(pod) in ("Failed", "Succeeded"):
            step.finished.append(pod)
        else:
            running.append(pod)
    if len(running) <= 1:
        return
    if not surge:
        step.delete.extend(running[1:])
        return
    new = [pod for pod in running if view.is_new(pod)]
    old = [pod for pod in running if not view.is_new(pod)]
    step.delete.extend([*new[1:], *old[1:]])
    if new and old and (not is_ready(old[0]) or view.is_available(new[0])):
        step.delete.append(old[0])


def roll(view: View) -> Step:
    """The step of a rolling update, when `manage` has nothing to do."""
    surge, unavailable = limits(view.ds, desired_nodes(view))
    return _roll_with_surge(view, surge) if surge else _roll_by_deleting(view, unavailable)


def _one_of_each(view: View, pods: Sequence[Object]) -> tuple[Object | None, Object | None] | None:
    """The new and the old pod of a node; None where there are more, which `manage` will see to."""
    living = [pod for pod in pods if not is_deleting(pod)]
    new = [pod for pod in living if view.is_new(pod)]
    old = [pod for pod in living if not view.is_new(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _roll_by_deleting(view: View, unavailable: int) -> Step:
    missing = 0
    replace: list[Object] = []
    candidates: list[Object] = []
    for node in _nodes(view):
        pair = _one_of_each(view, view.pods.get(node, ()))
        new, old = pair or (None, None)
        if (new is None) == (old is None):
            missing += 1
        elif new is not None:
            missing += not view.is_available(new)
        elif old is not None and not view.is_available(old):
            replace.append(old)
            missing += 1
        elif old is not None:
            candidates.append(old)
    return Step([*replace, *candidates[: max(0, unavailable - missing)]], [], [])


def _roll_with_surge(view: View, surge: int) -> Step:
    surging, available = 0, 0
    done: list[Object] = []
    leaving: list[Object] = []
    replace: list[str] = []
    candidates: list[str] = []
    for node in _nodes(view):
        pair = _one_of_each(view, view.pods.get(node, ()))
        if pair is None:
            surging += 1
            continue
        new, old = pair
        present = old or new
        available += present is not None and view.is_available(present)
        if old is None:
            continue
        if new is not None:
            if view.is_available(new):
                done.append(old)
            else:
                surging += 1
        elif node not in view.fits or not view.fits[node].should_run:
            (leaving if view.is_available(old) else done).append(old)
        else:
            (candidates if view.is_available(old) else replace).append(node)
    done += leaving[: max(0, available - desired_nodes(view))]
    return Step(done, [*replace, *candidates[: max(0, surge - surging)]], [])


def _nodes(view: View) -> list[str]:
    """Nodes that should have a pod, and others that have one."""
    wanted = [node for node, fit in view.fits.items() if fit.should_run]
    return [*wanted, *(node for node in view.pods if node not in wanted)]
