"""Rows of nodes, namespaces, events, leases and priority classes."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, UNKNOWN, age, since
from controlplane.api.types import Column, Object

ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"

NODE_COLUMNS = (
    NAME,
    Column("Status", description="The status of the node"),
    Column("Roles", description="The roles of the node"),
    AGE,
    Column("Version", description="Kubelet Version reported by the node."),
    Column("Internal-IP", priority=1, description="Address within the VPC."),
    Column("External-IP", priority=1, description="Address outside the VPC."),
    Column("OS-Image", priority=1, description="OS Image reported by the node."),
    Column("Kernel-Version", priority=1, description="Kernel Version reported by the node."),
    Column("Container-Runtime", priority=1, description="ContainerRuntime Version reported by the node."),
)

NAMESPACE_COLUMNS = (NAME, Column("Status", description="The status of the namespace"), AGE)

EVENT_COLUMNS = (
    Column("Last Seen", description="When the event was last seen."),
    Column("Type", description="Normal or Warning."),
    Column("Reason", description="Why it happened."),
    Column("Object", description="What it is about."),
    Column("Subobject", priority=1, description="The part of the object that it is about."),
    Column("Source", priority=1, description="Who reports it."),
    Column("Message", description="What happened."),
    Column("First Seen", priority=1, description="When the event was first seen."),
    Column("Count", priority=1, description="How often it was seen."),
    Column("Name", format="name", priority=1, description="Name of the event."),
)

LEASE_COLUMNS = (NAME, Column("Holder", description="Who holds the lease."), AGE)

PRIORITY_CLASS_COLUMNS = (
    NAME,
    Column("Value", "integer", description="The priority of pods of this class."),
    Column("Global-Default", "boolean", description="Whether pods without a class get this one."),
    AGE,
    Column("PreemptionPolicy", description="Whether pods of this class preempt others."),
)


def node_row(obj: Object, now: float) -> list[Any]:
    """The cells of one node."""
    info = obj.get("status", {}).get("nodeInfo", {})
    return [
        obj["metadata"]["name"],
        _node_status(obj),
        _roles(obj["metadata"].get("labels", {})) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: Object) -> str:
    conditions = obj.get("status", {}).get("conditions", ())
    ready = next((one.get("status") for one in conditions if one.get("type") == "Ready"), None)
    shown = "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else shown


def _roles(labels: dict[str, str]) -> str:
    found = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    found.add(labels.get(ROLE_LABEL, ""))
    return ",".join(sorted(found - {""}))


def _address(obj: Object, type_: str) -> str:
    addresses = obj.get("status", {}).get("addresses", ())
    return next((one.get("address", "") for one in addresses if one.get("type") == type_), NONE)


def namespace_row(obj: Object, now: float) -> list[Any]:
    """The cells of one namespace."""
    return [obj["metadata"]["name"], obj.get("status", {}).get("phase", ""), age(obj, now)]


def event_row(obj: Object, now: float) -> list[Any]:
    """The cells of one event."""
    about, series = obj.get("involvedObject", {}), obj.get("series", {})
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    return [
        since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        _source(obj),
        obj.get("message", "").strip(),
        since(first, now),
        series.get("count") or obj.get("count") or 1,
        obj["metadata"]["name"],
    ]


def _source(obj: Object) -> str:
    source = obj.get("source", {})
    component = source.get("component") or obj.get("reportingComponent", "")
    host = source.get("host") or ("" if source.get("component") else obj.get("reportingInstance", ""))
    return f"{component}, {host}" if host else str(component)


def lease_row(obj: Object, now: float) -> list[Any]:
    """The cells of one lease."""
    return [obj["metadata"]["name"], obj.get("spec", {}).get("holderIdentity", ""), age(obj, now)]


def priority_class_row(obj: Object, now: float) -> list[Any]:
    """The cells of one priority class."""
    policy = obj.get("preemptionPolicy", "")
    return [obj["metadata"]["name"], obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now), policy]
