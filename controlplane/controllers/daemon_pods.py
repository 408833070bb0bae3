"""Which nodes a DaemonSet's pods belong on, and the pod for each of them; pure.

The scheduler binds these pods like all others: a pod is tied to its node by a required node affinity
on the node's name, and tolerates what is wrong with a node that it is there to look after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from controlplane.api.kinds.daemon_set import TEMPLATE_GENERATION
from controlplane.api.node_selectors import matches_terms
from controlplane.api.tolerations import tolerates
from controlplane.api.types import Object
from controlplane.controllers.meta import annotation, is_deleting
from controlplane.controllers.pod_control import pod_of_template
from controlplane.controllers.pods import is_terminal
from controlplane.controllers.revisions import HASH_LABEL

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
GENERATION_LABEL = "pod-template-generation"
NODE_FIELD = "metadata.name"

_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


class Fit(NamedTuple):
    """Whether a node should have a pod, and whether a pod that is there may stay."""

    should_run: bool
    may_stay: bool


def daemon_pod(ds: Object, revision_hash: str) -> Object:
    """The pod of the present template, without a node yet."""
    pod = pod_of_template(ds)
    labels = {**pod["metadata"].get("labels", {}), HASH_LABEL: revision_hash}
    generation = annotation(ds, TEMPLATE_GENERATION)
    if generation:
        labels[GENERATION_LABEL] = generation
    pod["metadata"]["labels"] = labels
    pod["spec"] = {**pod["spec"], "tolerations": daemon_tolerations(pod["spec"])}
    return pod


def daemon_tolerations(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The tolerations of the template, and those that every daemon pod has."""
    wanted: list[dict[str, Any]] = list(spec.get("tolerations") or ())
    names = _TOLERATED if not spec.get("hostNetwork") else (*_TOLERATED, ("network-unavailable", "NoSchedule"))
    for name, effect in names:
        one = {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
        if one not in wanted:
            wanted.append(one)
    return wanted


def tied_to(pod: Object, node: str) -> Object:
    """`pod` with a required affinity to one node, instead of any terms that it had."""
    affinity = pod["spec"].get("affinity") or {}
    term = {"matchFields": [{"key": NODE_FIELD, "operator": "In", "values": [node]}]}
    of_node = {**(affinity.get("nodeAffinity") or {}), REQUIRED: {"nodeSelectorTerms": [term]}}
    return {**pod, "spec": {**pod["spec"], "affinity": {**affinity, "nodeAffinity": of_node}}}


def node_of(pod: Object) -> str:
    """The node that a daemon pod is bound or tied to; "" for neither."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        bound: str = spec["nodeName"]
        return bound
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == NODE_FIELD and field.get("operator") == "In" and len(field.get("values", ())) == 1:
                tied: str = field["values"][0]
                return tied
    return ""


def by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """The pods of a DaemonSet by node; those that have ended and are being deleted count no more."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        if not (is_deleting(pod) and is_terminal(pod)):
            found.setdefault(node_of(pod), []).append(pod)
    return found


def fit(ds: Object, node: Object) -> Fit:
    """Judges one node by name, selector, affinity and taints, as the scheduler will."""
    spec, labels = ds["spec"]["template"]["spec"], node["metadata"].get("labels") or {}
    name = node["metadata"]["name"]
    if spec.get("nodeName") not in (None, "", name) or not _selected(spec, name, labels):
        return Fit(should_run=False, may_stay=False)
    tolerations = daemon_tolerations(spec)
    effects = {taint["effect"] for taint in _taints(node) if not tolerates(tolerations, taint)}
    if effects & {"NoSchedule", "NoExecute"}:
        return Fit(should_run=False, may_stay="NoExecute" not in effects)
    return Fit(should_run=True, may_stay=True)


def _selected(spec: dict[str, Any], name: str, labels: dict[str, str]) -> bool:
    if not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    return required is None or matches_terms(required.get("nodeSelectorTerms") or (), name, labels)


def _taints(node: Object) -> Sequence[dict[str, Any]]:
    taints: Sequence[dict[str, Any]] = (node.get("spec") or {}).get("taints") or ()
    return taints
