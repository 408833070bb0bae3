"""`netsim explain pod`: where a pod is in the kernel, and what reaches it. One function per section."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.kinds import NODE, POD, SERVICE
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.explain.policies import PolicyIndex, set_members
from controlplane.explain.scheduling import scheduling
from controlplane.explain.world import Section, World, find
from controlplane.policy.rules import postures_of

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


def _attachment(world: World, pod: Object) -> Section | None:
    found = world.attachment(pod["metadata"]["uid"])
    if found is None:
        return None
    lines = [
        f"network namespace  {found['netns']}",
        f"on its node        {found['port']}" + (f" in bridge {found['bridge']}" if found["bridge"] else ""),
        *(f"address            {address}" for address in found["addresses"]),
        *(f"route              {route}" for route in found["routes"]),
    ]
    return Section("attachment", "Attachment", lines, dict(found))


def _policies(world: World, pod: Object) -> Section:
    index = PolicyIndex(world)
    subject = index.pods.get(pod["metadata"]["uid"])
    policies = index.selecting(subject) if subject is not None else []
    if not policies or subject is None:
        return Section("policies", "NetworkPolicies", ["none selects it: everything is allowed"], [])
    lines, data = [], []
    members = set_members(world.sets(subject.node)) if subject.node in world.nodes() else {}
    for posture in postures_of(policies):
        entries = [each for each in members.get(posture.name, ()) if each.entry == subject.address]
        denied = entries[0].packets if entries else 0
        lines.append(f"{posture.direction} is decided by {posture.text}: {denied} packets denied ({posture.name})")
        if not entries:
            lines.append("  not in the kernel yet")
        names = [policy.text for policy in posture.policies]
        data.append({"direction": posture.direction, "policies": names, "chain": posture.name, "denied": denied})
    return Section("policies", "NetworkPolicies", lines, data)


def _named(world: World, node: str) -> list[Object]:
    return [found for found in world.objects(NODE) if found["metadata"]["name"] == node]


SECTIONS: tuple[PodSection, ...] = (_place, scheduling, _attachment, _services, _policies)
"""In the order in which they are shown; a section that returns None is left out."""
