"""Places as the selections of a Fault: what names mean now and later, where they can say it."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Any

from controlplane.config import ResolvedCluster
from controlplane.explain.world import World
from workbench.places.selection import DEFAULT_NAMESPACE, NoSuchPlace, Selection, select


def describe(world: World, cluster: ResolvedCluster, text: str, namespace: str = DEFAULT_NAMESPACE) -> dict[str, Any]:
    """The selection of a Fault that means `text`, which may also be a range of addresses. Raises `NoSuchPlace`."""
    try:
        return {"cidrs": [str(IPv4Network(text, strict=False))]}
    except (AddressValueError, NetmaskValueError, ValueError):
        return _described(select(world, cluster, text, namespace))


def _described(selection: Selection) -> dict[str, Any]:
    if selection.router:
        return {"router": True}
    if selection.nodes:
        return {"nodes": list(selection.nodes)}
    if selection.service is not None:
        metadata = selection.service["metadata"]
        return {"namespace": metadata["namespace"], "services": [metadata["name"]]}
    if selection.pods_by is not None:
        namespace, selector = selection.pods_by
        where: dict[str, Any] = {"namespace": namespace} if namespace else {"namespaceSelector": {}}
        return {**where, "podSelector": selector}
    if not selection.pods:
        raise NoSuchPlace(f"{selection.text} selects nothing that has a network at this moment")
    names = [pod["metadata"]["name"] for pod in selection.pods]
    return {"namespace": selection.pods[0]["metadata"]["namespace"], "pods": names}
