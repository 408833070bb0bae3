"""From what was heard to the story: packets in the order of time, between them the rules of each namespace."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controlplane.config import ResolvedCluster
from controlplane.explain.world import World
from netsim import firewall, namespace
from netsim.capture import Endpoints, Packet, Point, Summary, dissect
from netsim.errors import CommandFailed
from netsim.trace import PROBE_DSCP, PacketHead
from netsim.trace.events import FLAGS
from netsim.vpc.plan import NODE_NIC
from workbench.places import AddressBook
from workbench.tracing.ends import Source, Target
from workbench.tracing.evidence import Evidence
from workbench.tracing.judging import judge
from workbench.tracing.passes import Pass, steps_of
from workbench.tracing.story import Leg, Step, Story, Visit

_ETHERNET = 14
_TOS, _TTL = _ETHERNET + 1, _ETHERNET + 8
_UDP_AND_VXLAN = 16
_ICMP_ERRORS = (3, 11)


@dataclass(frozen=True, slots=True)
class Seen:
    """The packet at one point. `outer` is what carries it there, where VXLAN does, and `outer_ttl` of that."""

    point: Point
    packet: Packet
    summary: Summary
    ttl: int
    dscp: int
    outer: Summary | None = None
    outer_ttl: int = 0

    @property
    def ends(self) -> Endpoints:
        """Who speaks to whom, as it is at that point."""
        assert self.summary.endpoints is not None
        return self.summary.endpoints


def tell(world: World, cluster: ResolvedCluster, source: Source, target: Target, heard: Evidence) -> Story:
    """The story of the probe."""
    book = AddressBook(world, cluster)
    story = Story(source.name, target.name, heard.probe.protocol)
    every = [seen for packet in heard.packets if (seen := _seen(packet, heard)) is not None]
    request = _request(every, heard)
    if request:
        story.legs.append(_leg("request", request, heard, book))
        reply = _reply(every, request, heard)
        if reply:
            story.legs.append(_leg("reply", reply, heard, book))
    elif (stopped := _stopped_at_once(source, heard, book)) is not None:
        story.legs.append(stopped)
    judge(story, source, target, heard, book)
    return story


def _seen(packet: Packet, heard: Evidence) -> Seen | None:
    point = heard.points[packet.interface]
    if packet.foreign and point.ifname == NODE_NIC:
        # A bridge that does not know a MAC address sends to all: who is not meant does not take it.
        return None
    summary, frame = dissect(packet.data), packet.data
    outer, outer_ttl = None, 0
    if summary.inner is not None:
        outer, outer_ttl = summary, frame[_TTL]
        summary, frame = summary.inner, frame[_ETHERNET + (frame[_ETHERNET] & 15) * 4 + _UDP_AND_VXLAN :]
    if summary.endpoints is None or not summary.identity or len(frame) < _ETHERNET + 20:
        return None
    return Seen(point, packet, summary, frame[_TTL], frame[_TOS] >> 2, outer, outer_ttl)


def _request(every: Sequence[Seen], heard: Evidence) -> list[Seen]:
    """The probe's first packet wherever it was seen."""
    marked = [seen for seen in every if seen.dscp == PROBE_DSCP and seen.ends.source == heard.sender[0]]
    return [seen for seen in every if seen.summary.identity == marked[0].summary.identity] if marked else []


def _stopped_at_once(source: Source, heard: Evidence, book: AddressBook) -> Leg | None:
    """The way of a probe that no link saw, because a rule where it was sent has ended it."""
    # A pod on its node's network has the node's rules.
    place = heard.places.get(source.netns, "")
    every = heard.passes.get(place, [])
    # What comes back at once, an ICMP error from the same address, is another packet.
    passes = [each for each in every if _identity(each.head) == _identity(every[0].head)]
    if not any(each.dropped for each in passes):
        return None
    head, visit = passes[0].head, Visit(place)
    named = f"{_end(head.source, head.source_port, book)} → {_end(head.destination, head.destination_port, book)}"
    _fill(visit, [], passes, heard, book)
    return Leg("request", f"{named} {head.protocol.upper()}", [visit])


def _identity(head: PacketHead) -> tuple[str, str, int]:
    """What stays as it is while a packet is on its way, and tells it from what comes back."""
    return head.protocol, head.source, head.number


def _reply(every: Sequence[Seen], request: Sequence[Seen], heard: Evidence) -> list[Seen]:
    """The first thing that came back, wherever it was seen."""
    forms = {seen.ends for seen in request}
    for seen in every:
        if seen.packet.time >= request[0].packet.time and _answers(seen, request[0], forms):
            return _once(each for each in every if each.summary.identity == seen.summary.identity)
    return []


def _once(seen: Iterable[Seen]) -> list[Seen]:
    """Without what was sent again: it comes by the same point with the same TTL."""
    first: dict[tuple[Point, bool, int, int], Seen] = {}
    for each in seen:
        first.setdefault((each.point, each.packet.outgoing, each.ttl, each.outer_ttl), each)
    return list(first.values())


def _answers(seen: Seen, request: Seen, forms: set[Endpoints]) -> bool:
    identity, asked = seen.summary.identity, request.summary.identity
    if identity[0] == "ICMP" and identity[2] in _ICMP_ERRORS:
        return any(f"to {form.destination}:{form.destination_port}" in seen.summary.info for form in forms)
    if identity[0] != asked[0] or identity == asked:
        return False
    if identity[0] == "TCP":
        assert isinstance(asked[2], int)
        return identity[3] == (asked[2] + 1) % (1 << 32)
    if identity[0] == "ICMP":
        return identity[2] == 0 and identity[3] == asked[3] and seen.ends.reply in forms
    return seen.ends.reply in forms


def _leg(direction: str, seen: Sequence[Seen], heard: Evidence, book: AddressBook) -> Leg:
    first = seen[0]
    named = f"{_end(first.ends.source, first.ends.source_port, book)} → "
    named += f"{_end(first.ends.destination, first.ends.destination_port, book)}"
    leg = Leg(
        "request" if direction == "request" else "reply", f"{named} {first.summary.protocol} {first.summary.info}"
    )
    forms = [first.summary, *(each.outer for each in seen if each.outer is not None)]
    left = {place: [each for each in passes if _is_any(each.head, forms)] for place, passes in heard.passes.items()}
    for group in _by_namespace(seen):
        place = _place(group[0].point, heard)
        visit = Visit(place)
        ours = _ours(left.get(place, []), group, forms[1:])
        left[place] = [each for each in left.get(place, []) if each not in ours]
        _fill(visit, group, ours, heard, book)
        leg.visits.append(visit)
    for place, passes in left.items():
        if passes and place not in {visit.place for visit in leg.visits}:
            visit = Visit(place)
            _fill(visit, [], passes, heard, book)
            leg.visits.append(visit)
    return leg


def _ours(passes: Sequence[Pass], group: Sequence[Seen], carriers: Sequence[Summary]) -> list[Pass]:
    """The passes of this visit: at a second one in the same namespace the TTL is smaller.

    What carries the packet has a TTL of its own, and passes only where it was seen.
    """
    inside = {group[0].ttl, group[0].ttl - 1}
    outside = {seen.outer_ttl - less for seen in group if seen.outer is not None for less in (0, 1)}
    return [each for each in passes if each.head.ttl in (outside if _is_any(each.head, carriers) else inside)]


def _fill(visit: Visit, group: Sequence[Seen], passes: Sequence[Pass], heard: Evidence, book: AddressBook) -> None:
    inward = [seen for seen in group if not seen.packet.outgoing]
    outward = [seen for seen in group if seen.packet.outgoing]
    visit.steps += [_link("in", seen) for seen in inward]
    rules = heard.books.get(visit.place)
    interpreter = heard.interpreters.get(visit.place.removeprefix("node/"))
    carriers = [seen.outer for seen in group if seen.outer is not None]
    carried = bool(inward and inward[-1].outer)
    routed: set[bool] = set()
    plain = [each for each in passes if not _is_any(each.head, carriers)]
    before = _ends(plain[0].head) if plain else (inward or outward)[0].ends if group else None
    for each in passes:
        if (each not in plain) != carried:
            visit.steps.append(_tunnel(carriers[-1], carried, book))
            carried = not carried
        ends = _ends(each.head)
        if each in plain and before is not None and ends != before:
            visit.steps.append(_translation(before, ends, book))
            before = ends
        if carried not in routed and rules is not None and rules.hook(each.table, each.chain) in ("forward", "input"):
            visit.steps.append(_route(each, visit.place, heard))
            routed.add(carried)
        if rules is not None:
            visit.steps += steps_of(each, rules, interpreter)
    if outward and bool(outward[-1].outer) != carried:
        visit.steps.append(_tunnel(carriers[-1], carried, book))
    if not passes and outward and not inward:
        visit.steps.append(_own_route(outward[0], visit.place, heard))
    if before is not None and outward and outward[-1].ends != before:
        visit.steps.append(_translation(before, outward[-1].ends, book))
    if inward and outward and inward[0].ends != outward[-1].ends:
        visit.steps += _connections(inward[0].ends, visit.place, heard)
    visit.steps += [_link("out", seen) for seen in outward]


def _link(kind: str, seen: Seen) -> Step:
    data = {
        "link": seen.point.ifname,
        "point": seen.point.name,
        "destination": seen.ends.destination,
        "port": seen.ends.destination_port,
        "ttl": seen.ttl,
        "length": seen.packet.length,
    }
    text = f"{seen.point.ifname} ({seen.point.name})"
    return Step("in" if kind == "in" else "out", text, seen.packet.time, data)


def _translation(before: Endpoints, after: Endpoints, book: AddressBook) -> Step:
    parts = []
    if (before.destination, before.destination_port) != (after.destination, after.destination_port):
        old, new = (_end(each.destination, each.destination_port, book) for each in (before, after))
        parts.append(("destination", old, new))
    if (before.source, before.source_port) != (after.source, after.source_port):
        old, new = (_end(each.source, each.source_port, book) for each in (before, after))
        parts.append(("source", old, new))
    text = ", ".join(f"the {which} {old} becomes {new}" for which, old, new in parts)
    return Step("nat", text, data={which: {"before": old, "after": new} for which, old, new in parts})


def _tunnel(carrier: Summary, leaves: bool, book: AddressBook) -> Step:
    assert carrier.endpoints is not None
    source, destination = (_end(each, 0, book) for each in (carrier.endpoints.source, carrier.endpoints.destination))
    text = f"{'comes out of' if leaves else 'goes into'} VXLAN, {carrier.info}, from {source} to {destination}"
    return Step("tunnel", text, data={"source": source, "destination": destination, "carries": not leaves})


def _route(each: Pass, place: str, heard: Evidence) -> Step:
    question = [each.head.destination]
    netns = heard.namespaces.get(place)
    if each.iif and netns is not None:
        # A link that has gone since needs no question of its own.
        with namespace.entered(netns), suppress(OSError):
            question += ["from", each.head.source, "iif", socket.if_indextoname(each.iif)]
    return _looked_up(question, place, heard)


def _own_route(seen: Seen, place: str, heard: Evidence) -> Step:
    return _looked_up([seen.ends.destination], place, heard)


def _looked_up(question: Sequence[str], place: str, heard: Evidence) -> Step:
    """What the kernel's routing says of it, asked a moment later."""
    netns = heard.namespaces.get(place)
    if netns is None:
        return Step("route", "not asked")
    try:
        with namespace.entered(netns):
            answer = firewall.run(["ip", "route", "get", *question])
    except CommandFailed as error:
        said = error.stderr.strip().removeprefix("RTNETLINK answers: ")
        return Step("route", f"no route to {question[0]}: {said}", data={"error": said})
    text = re.sub(r"\s+", " ", answer.replace("\n", " ")).removesuffix(" cache ").strip()
    if " via " in text and (hops := _next_hops(question, netns)):
        # Which of them it is the packet's hash says, which cannot be asked: the link by which it leaves shows it.
        text = re.sub(r" via \S+ dev \S+", f" via one of {', '.join(hops)}", text)
    return Step("route", re.sub(r" (uid \d+|cache\b.*)", "", text), data={"route": text})


def _next_hops(question: Sequence[str], netns: Path) -> list[str]:
    """Those of a route that has several."""
    with suppress(CommandFailed), namespace.entered(netns):
        return re.findall(r"nexthop via (\S+ dev \S+)", firewall.run(["ip", "route", "get", "fibmatch", *question]))
    return []


def _connections(ends: Endpoints, place: str, heard: Evidence) -> list[Step]:
    """The entry of the connection table that holds a translation."""
    netns = heard.namespaces.get(place)
    if netns is None or ends.protocol not in ("TCP", "UDP", "ICMP"):
        return []
    question = [
        "conntrack",
        "-L",
        "-p",
        ends.protocol.lower(),
        "--orig-src",
        ends.source,
        "--orig-dst",
        ends.destination,
    ]
    try:
        with namespace.entered(netns):
            listed = firewall.run(question)
    except CommandFailed:
        return []
    wanted = f"sport={ends.source_port} " if ends.source_port else ""
    lines = [
        re.sub(r"\s+", " ", re.sub(r"mark=\d+ ", "", line)).strip() for line in listed.splitlines() if wanted in line
    ]
    return [Step("connection", line, data={"entry": line}) for line in lines[:1]]


def _by_namespace(seen: Sequence[Seen]) -> Iterable[list[Seen]]:
    groups: list[list[Seen]] = []
    for each in seen:
        if groups and groups[-1][-1].point.netns == each.point.netns:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _place(point: Point, heard: Evidence) -> str:
    return heard.places.get(point.netns) or point.name


def _is_any(head: PacketHead, forms: Iterable[Summary]) -> bool:
    return any(_is(head, form) for form in forms)


def _is(head: PacketHead, form: Summary) -> bool:
    """Whether the kernel's event is of this packet."""
    identity = form.identity
    if head.protocol != str(identity[0]).lower() or head.number != identity[1]:
        return False
    if identity[0] == "TCP":
        bits = identity[4]
        assert isinstance(bits, int)
        return head.flags == "".join(letter for bit, letter in FLAGS if bits & bit)
    return identity[0] != "ICMP" or head.flags == str(identity[2])


def _ends(head: PacketHead) -> Endpoints:
    protocol = head.protocol.upper()
    return Endpoints(protocol, head.source, head.source_port, head.destination, head.destination_port)


def _end(address: str, port: int, book: AddressBook) -> str:
    name = book.name_of(address)
    shown = address if name == address else f"{name} ({address})"
    return f"{shown}:{port}" if port else shown
