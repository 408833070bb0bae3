"""`netsim explain pod`: where a pod is in the kernel, and what reaches it. One function per section."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.kinds import NODE, POD, SERVICE
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.explain.world import Section, World, find

PodSection = Callable[[World, Object], Section | None]


def explain_pod(world: World, namespace: str, name: str) -> list[Section]:
    """Every section that has something to say of the pod."""
    pod = find(world, POD, namespace, name)
    sections = (section(world, pod) for section in SECTIONS)
    return [section for section in sections if section is not None]


def _place(world: World, pod: Object) -> Section:
    status, node = pod.get("status") or {}, pod["spec"].get("nodeName") or ""
    addresses = {a["type"]: a["address"] for n in _named(world, node) for a in n["status"].get("addresses", ())}
    data = {
        "phase": status.get("phase", "Pending"),
        "node": node or None,
        "nodeAddress": addresses.get("InternalIP"),
        "podIP": status.get("podIP"),
        "hostNetwork": bool(pod["spec"].get("hostNetwork")),
    }
    where = f"{node} ({data['nodeAddress']})" if node else "no node yet"
    lines = [f"phase    {data['phase']}", f"node     {where}", f"address  {data['podIP'] or 'none yet'}"]
    if data["hostNetwork"]:
        lines.append("network  the node's own: no NetworkPolicy concerns it")
    return Section("pod", f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}", lines, data)


def _services(world: World, pod: Object) -> Section:
    namespace, labels = pod["metadata"]["namespace"], pod["metadata"].get("labels") or {}
    found = []
    for service in world.objects(SERVICE):
        selector = service["spec"].get("selector")
        same = service["metadata"]["namespace"] == namespace
        if same and selector and compile_selector({"matchLabels": selector})(labels):
            found.append({"name": service["metadata"]["name"], "clusterIP": service["spec"].get("clusterIP")})
    lines = [f"{each['name']}  {each['clusterIP']}" for each in found] or ["none selects it"]
    return Section("services", "Services", lines, found)


def _named(world: World, node: str) -> list[Object]:
    return [found for found in world.objects(NODE) if found["metadata"]["name"] == node]


SECTIONS: tuple[PodSection, ...] = (_place, _services)
"""In the order in which they are shown; a section that returns None is left out."""
