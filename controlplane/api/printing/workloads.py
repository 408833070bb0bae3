"""Rows of kinds that keep pods running."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, age, container_cells, labels_text
from controlplane.api.selectors import format_selector
from controlplane.api.types import Column, Object

_WIDE = (
    Column("Containers", priority=1, description="Names of each container in the template."),
    Column("Images", priority=1, description="Images referenced by each container in the template."),
    Column("Selector", priority=1, description="Label selector for pods."),
)

DEPLOYMENT_COLUMNS = (
    NAME,
    Column("Ready", description="Number of the pod with ready state"),
    Column("Up-to-date", description="Pods that have the desired template spec."),
    Column("Available", description="Pods that are available for at least minReadySeconds."),
    AGE,
    *_WIDE,
)

REPLICA_SET_COLUMNS = (
    NAME,
    Column("Desired", "integer", description="The number of desired pods."),
    Column("Current", "integer", description="The most recently observed number of pods."),
    Column("Ready", "integer", description="The number of pods with a Ready condition."),
    AGE,
    *_WIDE,
)

DAEMON_SET_COLUMNS = (
    NAME,
    Column("Desired", "integer", description="The number of nodes that should run the daemon pod."),
    Column("Current", "integer", description="The number of nodes that run a daemon pod and should."),
    Column("Ready", "integer", description="The number of nodes whose daemon pod is ready."),
    Column("Up-to-date", "integer", description="The number of nodes that run the present template."),
    Column("Available", "integer", description="The number of nodes whose daemon pod is available."),
    Column("Node Selector", description="The labels that a node must have to run the daemon pod."),
    AGE,
    *_WIDE,
)

STATEFUL_SET_COLUMNS = (
    NAME,
    Column("Ready", description="Number of the pod with ready state"),
    AGE,
    *_WIDE[:2],
)

REVISION_COLUMNS = (
    NAME,
    Column("Controller", description="Controller of the object"),
    Column("Revision", description="The revision of the state represented by the data."),
    AGE,
)


def deployment_row(obj: Object, now: float) -> list[Any]:
    """The cells of one Deployment."""
    spec, status = obj["spec"], obj.get("status", {})
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        str(status.get("updatedReplicas", 0)),
        str(status.get("availableReplicas", 0)),
        age(obj, now),
        *container_cells(spec.get("template", {})),
        format_selector(spec.get("selector")),
    ]


def replica_set_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ReplicaSet."""
    spec, status = obj["spec"], obj.get("status", {})
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj, now),
        *container_cells(spec.get("template", {})),
        format_selector(spec.get("selector")),
    ]


def daemon_set_row(obj: Object, now: float) -> list[Any]:
    """The cells of one DaemonSet."""
    spec, status = obj["spec"], obj.get("status", {})
    template = spec.get("template", {})
    return [
        obj["metadata"]["name"],
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        labels_text(template.get("spec", {}).get("nodeSelector")),
        age(obj, now),
        *container_cells(template),
        format_selector(spec.get("selector")),
    ]


def stateful_set_row(obj: Object, now: float) -> list[Any]:
    """The cells of one StatefulSet."""
    spec, status = obj["spec"], obj.get("status", {})
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        age(obj, now),
        *container_cells(spec.get("template", {})),
    ]


def revision_row(obj: Object, now: float) -> list[Any]:
    """The cells of one ControllerRevision."""
    owners = obj["metadata"].get("ownerReferences", ())
    owner = next((one for one in owners if one.get("controller")), None)
    shown = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        shown = f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"
    return [obj["metadata"]["name"], shown, str(obj.get("revision", 0)), age(obj, now)]
