"""What the kernel says of a packet's further way: links that are down or too small, and neighbours that are silent."""

from __future__ import annotations

import json
from pathlib import Path

from netsim import firewall, link, namespace
from netsim.capture import Point
from netsim.errors import CommandFailed, NotFound
from netsim.link import Link
from netsim.netlink import Netlink
from netsim.vpc.plan import UPLINK
from workbench.tracing.ends import Source, Target
from workbench.tracing.evidence import Evidence
from workbench.tracing.story import Step, Story

_ETHERNET = 14
_OTHER_END = {"pod": "veth", "veth": "pod", "node": "router", "router": "node"}
_UNANSWERED = ("INCOMPLETE", "FAILED")


def link_down(story: Story, source: Source, target: Target, heard: Evidence) -> tuple[str, str] | None:
    """Which link on its way is down or gone, and where."""
    for point in _on_way(story, source, target, heard):
        place = heard.places.get(point.netns, point.name)
        found = _link(point)
        if found is None:
            return f"link {point.ifname} of {place} is gone", place
        if not found.up:
            return f"link {point.ifname} of {place} is down", place
    return None


def too_small(last: Step, heard: Evidence) -> tuple[str, str] | None:
    """Whether it left by a link whose other end takes no packets of its length, and where that is."""
    point = next((each for each in heard.points if each.name == _other_end(str(last.data.get("point", "")))), None)
    found = _link(point) if point is not None else None
    length = int(last.data.get("length", 0)) - _ETHERNET
    if last.kind != "out" or point is None or found is None or length <= found.mtu:
        return None
    place = heard.places.get(point.netns, point.name)
    return f"it has {length} bytes, and {point.ifname} of {place} takes {found.mtu}", place


def nobody_there(netns: Path, destination: str) -> str:
    """Why the kernel of a namespace has nobody to hand it to; "" if it has, or knows of none."""
    try:
        with namespace.entered(netns):
            (way,) = json.loads(firewall.run(["ip", "-j", "route", "get", destination]))
            hop = way.get("gateway", destination)
            known = json.loads(firewall.run(["ip", "-j", "neigh", "show", "to", hop, "dev", way["dev"]]) or "[]")
    except (CommandFailed, NotFound):
        return ""
    if any(state in _UNANSWERED for each in known for state in each.get("state", ())):
        return f"nobody on {way['dev']} answers ARP for {hop}"
    return ""


def _on_way(story: Story, source: Source, target: Target, heard: Evidence) -> list[Point]:
    """The links of the places that it came to or was to come to."""
    visited = {visit.place for leg in story.legs for visit in leg.visits}
    visited |= {source.name, target.name, f"node/{source.node}"}
    if len(target.selection.pods) == 1:
        visited |= {target.selection.text, f"node/{target.selection.pods[0]['spec']['nodeName']}"}
    return [point for point in heard.points if _names(point) & visited or point.ifname == UPLINK]


def _names(point: Point) -> set[str]:
    """The place that a link is of: a pod's for both ends of its pair, a node's for those of its NIC and its bridge."""
    before, _, rest = point.name.rpartition("/")
    lead, _, word = before.rpartition("/")
    kind = {"veth": "pod", "bridge": "node", "router": "node"}.get(word, word)
    return {f"{lead}/{kind}/{rest}" if lead else f"{kind}/{rest}"}


def _other_end(name: str) -> str:
    before, _, rest = name.rpartition("/")
    lead, _, word = before.rpartition("/")
    other = _OTHER_END.get(word, "")
    return f"{lead}/{other}/{rest}" if lead else f"{other}/{rest}"


def _link(point: Point) -> Link | None:
    try:
        with namespace.entered(point.netns), Netlink() as netlink:
            return link.get_link(netlink, point.ifname)
    except NotFound:
        return None
