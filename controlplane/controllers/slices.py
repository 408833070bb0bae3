"""Which EndpointSlices to create, change and delete, so that few are written when little changes.

Pure: endpoints stay in the slice where they are, free places are filled next, and only then is a
slice added. As upstream, at most a hundred endpoints a slice, and a Service without endpoints
keeps one empty slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.api.kinds import ENDPOINT_SLICE
from controlplane.api.types import Object
from controlplane.controllers.endpoints_of import Endpoint, PortSet, read_ports, wire_ports
from controlplane.controllers.meta import controller_reference

MAX_ENDPOINTS = 100
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

Endpoints = list[dict[str, Any]]


@dataclass(slots=True)
class Changes:
    """`create` and `update` are whole slices; `delete` are slices as they are."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


def plan(
    service: Object, groups: Mapping[PortSet, Mapping[str, Endpoint]], existing: Iterable[Object], trigger: str
) -> Changes:
    """What makes `existing` hold the endpoints of `groups`; `trigger` is when the last of them changed."""
    changes = Changes()
    by_ports: dict[PortSet, list[Object]] = {}
    for slice_ in existing:
        by_ports.setdefault(read_ports(slice_), []).append(slice_)
    wanted = dict(groups) or {(): {}}
    for ports, slices in by_ports.items():
        if ports not in wanted:
            changes.delete += slices
    for ports, endpoints in wanted.items():
        _plan_group(service, ports, endpoints, by_ports.get(ports, []), trigger, changes)
    _recycle(changes)
    return changes


def _recycle(changes: Changes) -> None:
    """Turns pairs of delete and create into one update: a slice keeps its name, and nobody sees a gap."""
    while changes.create and changes.delete:
        new, old = changes.create.pop(), changes.delete.pop()
        metadata = {**old["metadata"], "labels": new["metadata"]["labels"]}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **new["metadata"].get("annotations", {})}
        changes.update.append({**new, "metadata": metadata})


def _plan_group(
    service: Object,
    ports: PortSet,
    endpoints: Mapping[str, Endpoint],
    slices: list[Object],
    trigger: str,
    changes: Changes,
) -> None:
    missing = dict(endpoints)
    kept = [(slice_, _still_wanted(slice_, missing)) for slice_ in slices]
    to_place = [endpoint.wire for endpoint in missing.values()]
    # The fullest first: so the others empty out and go.
    kept.sort(key=lambda pair: -len(pair[1]))
    may_be_empty = not endpoints
    for slice_, held in kept:
        free = MAX_ENDPOINTS - len(held)
        held += to_place[:free]
        to_place = to_place[free:]
        if not held and not may_be_empty:
            changes.delete.append(slice_)
            continue
        may_be_empty = False
        changed = _updated(service, slice_, held, trigger)
        if changed is not None:
            changes.update.append(changed)
    while to_place or (may_be_empty and not kept):
        changes.create.append(_new(service, ports, to_place[:MAX_ENDPOINTS], trigger))
        to_place = to_place[MAX_ENDPOINTS:]
        may_be_empty = False


def _still_wanted(slice_: Object, missing: dict[str, Endpoint]) -> Endpoints:
    """The endpoints that the slice keeps, in their present form; takes them off `missing`."""
    held = []
    for written in slice_.get("endpoints") or ():
        wanted = missing.pop((written.get("targetRef") or {}).get("uid", ""), None)
        if wanted is not None:
            held.append(written if written == wanted.wire else wanted.wire)
    return held


def _updated(service: Object, slice_: Object, endpoints: Endpoints, trigger: str) -> Object | None:
    metadata = slice_["metadata"]
    labels = slice_labels(service)
    if endpoints == (slice_.get("endpoints") or []) and labels == metadata.get("labels"):
        return None
    annotations = dict(metadata.get("annotations") or {})
    if trigger:
        annotations[TRIGGER_TIME] = trigger
    return {**slice_, "metadata": {**metadata, "labels": labels, "annotations": annotations}, "endpoints": endpoints}


def _new(service: Object, ports: PortSet, endpoints: Endpoints, trigger: str) -> Object:
    metadata: dict[str, Any] = {
        "generateName": f"{service['metadata']['name']}-",
        "namespace": service["metadata"]["namespace"],
        "labels": slice_labels(service),
        "ownerReferences": [controller_reference(service)],
    }
    if trigger:
        metadata["annotations"] = {TRIGGER_TIME: trigger}
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.name,
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": wire_ports(ports),
    }


def slice_labels(service: Object) -> dict[str, str]:
    """The Service's own labels and those by which proxies and DNS find its slices."""
    labels = {name: value for name, value in (service["metadata"].get("labels") or {}).items() if name != HEADLESS}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return {**labels, SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: MANAGER}
