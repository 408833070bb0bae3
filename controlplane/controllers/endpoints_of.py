"""From a Service and its pods to endpoints: which pods count, on which ports, in which condition.

Pure functions, shared by the EndpointSlice and the Endpoints controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.meta import is_deleting
from controlplane.controllers.pods import is_ready, is_terminal

Zone = Callable[[str], str | None]
"""The zone of a node by its name."""

PortSet = tuple[tuple[str, str, int | None, str], ...]
"""The ports of one group of endpoints: name, protocol, number, application protocol ("" for none)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a Service, as an EndpointSlice has it; `key` is what stays while it changes."""

    key: str
    wire: dict[str, Any]


def selects(service: Object, pod: Object) -> bool:
    """Whether a Service has a selector and it fits the pod."""
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= (pod["metadata"].get("labels") or {}).items()


def has_endpoints(service: Object) -> bool:
    """Whether the controllers keep the endpoints of this Service: it selects pods and is no alias."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def concerns(pod: Object) -> tuple[Any, ...]:
    """Everything about a pod that an endpoint shows or depends on; equal means nothing to do."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    return (
        is_ready(pod),
        is_deleting(pod),
        is_terminal(pod),
        status.get("podIP"),
        spec.get("nodeName"),
        metadata.get("labels"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )


def is_endpoint(pod: Object) -> bool:
    """Whether the pod has an address and is not finished; terminating pods are still endpoints."""
    return bool((pod.get("status") or {}).get("podIP")) and not is_terminal(pod)


def endpoint_of(service: Object, pod: Object, zone: Zone) -> Endpoint:
    """The endpoint that `pod` is for `service`."""
    metadata, spec = pod["metadata"], pod["spec"]
    terminating, serving = is_deleting(pod), is_ready(pod)
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    wire: dict[str, Any] = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": unready_too or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    node = spec.get("nodeName")
    if node:
        wire["nodeName"] = node
        where = zone(node)
        if where:
            wire["zone"] = where
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        wire["hostname"] = spec["hostname"]
    hints = _hints(service["spec"].get("trafficDistribution"), wire)
    if hints:
        wire["hints"] = hints
    return Endpoint(metadata["uid"], wire)


def _hints(distribution: str | None, endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """For whom an endpoint is meant, which proxies honour when all endpoints say so; upstream hints ready ones only.

    PreferSameNode names the zone too: where a node has no endpoint of its own, its zone's are next.
    """
    if distribution not in ("PreferClose", "PreferSameZone", "PreferSameNode") or not endpoint["conditions"]["ready"]:
        return {}
    hints: dict[str, Any] = {}
    if "zone" in endpoint:
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if distribution == "PreferSameNode" and "nodeName" in endpoint:
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


def ports_of(service: Object, pod: Object) -> PortSet:
    """The Service's ports as this pod has them; a named port that it lacks is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is not None:
            found.append((port.get("name", ""), port.get("protocol", "TCP"), number, port.get("appProtocol", "")))
    return tuple(found)


def target_port(port: Mapping[str, Any], pod: Object) -> int | None:
    """The number behind a Service port's targetPort; None for a name that the pod does not have."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    protocol = port.get("protocol", "TCP")
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and candidate.get("protocol", "TCP") == protocol:
                number: int = candidate["containerPort"]
                return number
    return None


def wire_ports(ports: PortSet) -> list[dict[str, Any]]:
    """The ports as EndpointSlices and Endpoints write them."""
    written = []
    for name, protocol, number, application in ports:
        port: dict[str, Any] = {"name": name, "protocol": protocol}
        if number is not None:
            port["port"] = number
        if application:
            port["appProtocol"] = application
        written.append(port)
    return written


def read_ports(slice_: Object) -> PortSet:
    """The ports of a written slice, to compare with those wanted."""
    return tuple(
        (port.get("name", ""), port.get("protocol", "TCP"), port.get("port"), port.get("appProtocol", ""))
        for port in slice_.get("ports") or ()
    )


def grouped(service: Object, pods: Iterable[Object], zone: Zone) -> dict[PortSet, dict[str, Endpoint]]:
    """Endpoints by the ports they have in common, and by key."""
    groups: dict[PortSet, dict[str, Endpoint]] = {}
    for pod in pods:
        if is_endpoint(pod):
            endpoint = endpoint_of(service, pod, zone)
            groups.setdefault(ports_of(service, pod), {})[endpoint.key] = endpoint
    return groups
