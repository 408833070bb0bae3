"""From a Fault's spec and what it means at this moment to effects in the kernel. Blocking: links are looked up."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.config import ResolvedCluster, ResolvedNode
from controlplane.fabric import node_plan
from controlplane.faults.model import SHAPES, Spec
from controlplane.faults.selection import Places, PodPlace
from netsim import link, namespace
from netsim.errors import NotFound
from netsim.faults import (
    Cut,
    Effect,
    LinkDown,
    Match,
    NamesLost,
    RouteRemoved,
    RuleRemoved,
    Shape,
    SmallMtu,
    Stopped,
)
from netsim.netlink import Netlink
from netsim.vpc.plan import NODE_NIC, ROUTER

NODE_CGROUP = ""
Cgroup = Callable[[str, str, str], Path]
"""Of a node, or with a pod's uid and a container's id that of a container."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What the selections of a Fault mean now; None for one that it does not have."""

    origin: Places | None
    to: Places | None
    target: Places | None

    @property
    def all(self) -> list[Places]:
        return [places for places in (self.origin, self.to, self.target) if places is not None]

    @property
    def missing(self) -> bool:
        """Whether one of them means nothing at this moment."""
        return any(not places.texts for places in self.all)


class Effects:
    """Those of one cluster at one moment."""

    def __init__(self, cluster: ResolvedCluster, cgroup: Cgroup) -> None:
        self._cluster = cluster
        self._cgroup = cgroup

    def of(self, spec: Spec, meant: Meant, *, down: bool = False) -> list[Effect]:
        """What there is to do; `down` is which half of its period a flapping link is in. Raises `NetsimError`."""
        if meant.missing:
            return []
        if spec.type == "partition":
            return list(self._partition(spec, meant))
        if spec.type in SHAPES:
            return list(self._shapes(spec, meant))
        target = meant.target or Places()
        simple: Mapping[str, Callable[[Spec, Places], Iterable[Effect]]] = {
            "mtu": self._mtu,
            "dnsFailure": self._names,
            "routeRemoved": self._routes,
            "ruleRemoved": self._rules,
            "processPause": self._paused,
            "nodeFreeze": self._frozen,
        }
        if spec.type == "flap":
            return list(self._links_down(target)) if down else []
        return list(simple[spec.type](spec, target)) if spec.type in simple else []

    def cgroups(self, spec: Spec, pods: Iterable[PodPlace]) -> list[str]:
        """The cgroups of the containers that are meant."""
        return [
            str(self._cgroup(pod.node, pod.uid, container))
            for pod in pods
            for name, container in pod.containers
            if not spec.containers or name in spec.containers
        ]

    def _partition(self, spec: Spec, meant: Meant) -> Iterable[Effect]:
        assert meant.origin is not None, "checked with the spec"
        ends, others = meant.origin.addresses, meant.to.addresses if meant.to is not None else ()
        pairs = [(ends, others)] if spec.direction in ("both", "out") else []
        pairs += [(others, ends)] if spec.direction in ("both", "in") else []
        for node in self._nodes_of(meant.origin, *([meant.to] if meant.to is not None else [])):
            yield Cut(self._path(node), tuple(pairs))

    def _shapes(self, spec: Spec, meant: Meant) -> Iterable[Effect]:
        target, direction = meant.target or meant.to, spec.direction
        assert target is not None, "checked with the schema"
        others: tuple[str, ...] = ("",)
        if meant.origin is not None and (target.pods or target.nodes):
            # There both ends are seen as they are; at the sender a Service may stand for the other.
            others = meant.origin.addresses
            direction = {"in": "out", "out": "in"}.get(direction, direction)
        elif meant.origin is not None:
            target, others = meant.origin, target.cidrs
        for netns, ifname in self._ends(target, outer=False) if direction in ("both", "out") else ():
            yield self._shape(spec, netns, ifname, tuple(Match(target=each) for each in others))
        for netns, ifname in self._ends(target, outer=True) if direction in ("both", "in") else ():
            yield self._shape(spec, netns, ifname, tuple(Match(source=each) for each in others))

    def _shape(self, spec: Spec, netns: str, ifname: str, matches: tuple[Match, ...]) -> Shape:
        return Shape(netns, ifname, matches, spec.rate, spec.delay, spec.jitter, spec.loss)

    def _mtu(self, spec: Spec, target: Places) -> Iterable[Effect]:
        return (SmallMtu(netns, ifname, spec.mtu) for netns, ifname in self._ends(target, outer=False))

    def _links_down(self, target: Places) -> Iterable[Effect]:
        return (LinkDown(netns, ifname) for netns, ifname in self._ends(target, outer=True))

    def _names(self, spec: Spec, target: Places) -> Iterable[Effect]:
        for node in self._nodes_of(target):
            own = [pod.address for pod in target.pods if pod.node == node]
            whole = Places(nodes=tuple(each for each in target.nodes if each.name == node))
            yield NamesLost(self._path(node), (*own, *whole.addresses), spec.names)

    def _routes(self, spec: Spec, target: Places) -> Iterable[Effect]:
        inside = [str(pod.netns) for pod in target.pods] + [self._path(node.name) for node in self._running(target)]
        inside += [self._path(ROUTER)] if target.router else []
        return (RouteRemoved(netns, spec.route) for netns in inside)

    def _rules(self, spec: Spec, target: Places) -> Iterable[Effect]:
        nodes = (self._path(node.name) for node in self._running(target))
        return (RuleRemoved(netns, spec.table, spec.rule, spec.chain) for netns in nodes)

    def _paused(self, spec: Spec, target: Places) -> Iterable[Effect]:
        return (Stopped(cgroup) for cgroup in self.cgroups(spec, target.pods))

    def _frozen(self, _: Spec, target: Places) -> Iterable[Effect]:
        for node in self._running(target):
            own = Places(nodes=(node,)).addresses
            yield Cut(self._path(node.name), ((own, ()), ((), own)), why="nodeFreeze")
            yield Stopped(str(self._cgroup(node.name, NODE_CGROUP, "")))

    def _ends(self, places: Places, *, outer: bool) -> Iterable[tuple[str, str]]:
        """The links by which places send, or, `outer`, by which what is for them is sent."""
        for pod in places.pods:
            yield self._outer_end(pod) if outer else (str(pod.netns), NODE_NIC)
        for node in self._running(places):
            yield (self._path(ROUTER), node_plan(node).port) if outer else (self._path(node.name), NODE_NIC)

    def _outer_end(self, pod: PodPlace) -> tuple[str, str]:
        node = self._path(pod.node)
        with namespace.entered(pod.netns), Netlink() as netlink:
            peer = link.get_link(netlink, NODE_NIC).peer
        with namespace.entered(node), Netlink() as netlink:
            found = next((each.ifname for each in link.list_links(netlink) if each.index == peer), None)
        if found is None:
            raise NotFound(f"find the node's end of {pod.text}", errno.ENODEV)
        return node, found

    def _running(self, places: Places) -> list[ResolvedNode]:
        return [node for node in places.nodes if namespace.exists(f"{self._cluster.name}-{node.name}")]

    def _nodes_of(self, *places: Places) -> list[str]:
        """The names of the nodes that these are, or are on."""
        names = {pod.node for each in places for pod in each.pods}
        return sorted(names | {node.name for each in places for node in self._running(each)})

    def _path(self, name: str) -> str:
        return str(namespace.namespace_path(f"{self._cluster.name}-{name}"))


def is_gone(error: Exception) -> bool:
    """Whether something went away while it was worked on: then it is looked at again."""
    return isinstance(error, NotFound | FileNotFoundError)
