"""Doing it: watches and captures are set up, the probe is sent, and all that was heard becomes the story."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import TypeVar

from controlplane.config import ResolvedCluster
from controlplane.directories import CACHE_ROOT, Directories
from controlplane.explain import saved
from controlplane.explain.meaning import Interpreter
from controlplane.explain.policies import PolicyIndex
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import World
from netsim import hostlock
from netsim.capture import Point, Recorder, StreamReader
from netsim.trace import Probe, RuleBook, Watch
from netsim.trace.probe import PROBE_DSCP, Protocol
from netsim.vpc.overlay import PORT
from netsim.vpc.plan import UPLINK
from workbench.places import Selection, points_of
from workbench.places.points import each_once, node_netns
from workbench.tracing.ends import Source, Target
from workbench.tracing.evidence import Evidence
from workbench.tracing.faults import name_faults, name_node
from workbench.tracing.passes import gather
from workbench.tracing.story import Story
from workbench.tracing.telling import tell

_SETTLE_SECONDS = 0.06
"""Until rings and trace sockets have told what they have."""
_MOST_NODES = 16
_SNAPLEN = 256
_RING_BYTES = 1 << 20
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def trace(
    world: World,
    cluster: ResolvedCluster,
    directories: Directories,
    ends: tuple[Source, Target],
    *,
    protocol: Protocol,
    size: int = 0,
    timeout: float = 1.0,
) -> Story:
    """Sends one probe from the source to the target and tells what became of it."""
    source, target = ends
    probe = Probe(source.netns, protocol, target.address, 0 if protocol == "icmp" else target.port, size, timeout)
    lock = directories.run / "traces"
    lock.mkdir(exist_ok=True)
    # One after the other: a table in a node is of one process, and a probe is told from no other by its DSCP.
    with hostlock.held(lock):
        evidence = _gathered(world, cluster, directories, ends, probe)
    story = tell(world, cluster, source, target, evidence)
    name_node(story, cluster, target)
    name_faults(story, world, source, target)
    return story


def _gathered(
    world: World, cluster: ResolvedCluster, directories: Directories, ends: tuple[Source, Target], probe: Probe
) -> Evidence:
    source, target = ends
    nodes = _nodes(cluster, source, target)
    points = _points(cluster, directories, source, target, nodes)
    watched = {f"node/{node}": node_netns(cluster, node) for node in nodes}
    watched["router"] = points[-1].netns
    with ExitStack() as stack, tempfile.TemporaryFile() as file:
        watches = {place: Watch(netns) for place, netns in watched.items()}
        for watch in watches.values():
            stack.callback(watch.stop)
        recorder = _recorder(points, file.fileno(), cluster.name, target)
        stack.callback(recorder.kill)
        _at_once(lambda start: start(), [recorder.start, *(watch.start for watch in watches.values())])
        sender, outcome = probe.send()
        time.sleep(_SETTLE_SECONDS)
        recorder.stop()
        heard = dict(zip(watches, map(gather, _at_once(Watch.stop, watches.values())), strict=True))
        # Rules are many: they are read where the packet has met some.
        met = [place for place, passes in heard.items() if passes]
        books = dict(zip(met, _at_once(RuleBook.of, [watched[place] for place in met]), strict=True))
        file.seek(0)
        packets = list(StreamReader(file))
    found = Evidence(probe, sender, outcome, points, packets, heard, books)
    found.places = {netns: place for place, netns in watched.items()}
    found.namespaces = {found.places.get(point.netns, point.name): point.netns for point in points}
    found.namespaces[source.name] = source.netns
    found.interpreters = _interpreters(world, books)
    return found


def _at_once(do: Callable[[Asked], Answer], those: Iterable[Asked]) -> list[Answer]:
    """For programs that are waited for, each in another namespace. Raises what the first of them raised."""
    with ThreadPoolExecutor(_MOST_NODES) as pool:
        return list(pool.map(do, those))


def _interpreters(world: World, books: Mapping[str, RuleBook]) -> dict[str, Interpreter]:
    services, policies = ServiceIndex(world), PolicyIndex(world)
    found = {place.removeprefix("node/"): book for place, book in books.items() if place.startswith("node/")}
    return {node: Interpreter(services, policies, node, saved.parse(book.saved)) for node, book in found.items()}


def _nodes(cluster: ResolvedCluster, source: Source, target: Target) -> list[str]:
    """All nodes, or in a large cluster those that the packet can come to."""
    running = [node.name for node in cluster.nodes if node.state == "running"]
    if len(running) <= _MOST_NODES:
        return running
    likely = {source.node, *(pod["spec"]["nodeName"] for pod in target.selection.pods), *target.selection.nodes}
    return [name for name in running if name in likely]


def _points(
    cluster: ResolvedCluster, directories: Directories, source: Source, target: Target, nodes: Sequence[str]
) -> list[Point]:
    pods = ([source.pod] if source.pod is not None else []) + list(target.selection.pods)
    unique = {pod["metadata"]["uid"]: pod for pod in pods}
    found = []
    if unique:
        found += points_of(Selection("", tuple(unique.values())), ("pod", "veth"), cluster, directories)
    if nodes:
        found += points_of(Selection("", nodes=tuple(nodes)), ("bridge", "node", "router"), cluster, directories)
    router = points_of(Selection("", router=True), (), cluster, directories)
    found += [point for point in router if point.ifname == UPLINK]
    return each_once(found)


def _recorder(points: Sequence[Point], output: int, cluster: str, target: Target) -> Recorder:
    answering = sorted({target.address, *(pod["status"]["podIP"] for pod in target.selection.pods)})
    plain = [f"ip[1] & 0xfc = {PROBE_DSCP << 2}", "icmp", *(f"host {address}" for address in answering)]
    # The same in what VXLAN carries, behind 30 bytes of UDP, VXLAN and Ethernet.
    carried = [f"udp[31] & 0xfc = {PROBE_DSCP << 2}", "udp[39] = 1"]
    carried += [f"udp[{at}:4] = {int(IPv4Address(address))}" for address in answering for at in (42, 46)]
    text = f"{' or '.join(plain)} or (udp dst port {PORT} and ({' or '.join(carried)}))"
    return Recorder(
        points,
        output,
        cache=CACHE_ROOT,
        cluster=cluster,
        filter_text=text,
        snaplen=_SNAPLEN,
        memory=_RING_BYTES * len(points),
    )
