"""A VPC made real. Its methods block and are for one thread at a time, in the host's network namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType

from netsim import modules, namespace, offload
from netsim.errors import translated
from netsim.netlink import Netlink
from netsim.vpc import firewall, overlay, router, shaping, static_routes, uplink
from netsim.vpc import node as nodes
from netsim.vpc.plan import UPLINK, NodePlan, VpcPlan
from netsim.vpc.policy import PathRule

_BACKLOG = 1024


class Vpc:
    """The kernel objects of a `VpcPlan`. Holds two netlink sockets, and knows the nodes that it was told of."""

    def __init__(self, plan: VpcPlan) -> None:
        self.plan = plan
        self._nodes: dict[str, NodePlan] = {}
        self._peers: dict[str, tuple[NodePlan, ...]] = {}
        self._outages: dict[str, int] = {}
        self._firewall = ""
        self._paths: tuple[tuple[PathRule, ...], str] | None = None
        self._host: Netlink | None = None
        self._router: Netlink | None = None

    def ensure(self, members: Iterable[NodePlan] = ()) -> None:
        """The router, its subnets and the link to the host, and the nodes; what is right already is not touched.

        Nodes that are there already belong in `members`: rules by tag and zone are made for those that are named.
        """
        shaping.require(self.plan.paths)
        # What was made before may have been changed by hand since.
        self._firewall, self._paths = "", None
        self._peers.clear()
        modules.ensure_bridge_filtering()
        router.ensure_router(self.plan)
        uplink.ensure_uplink(self._at_host(), self._inside(), self.plan)
        self._complete_packets(*(subnet.bridge for subnet in self.plan.subnets), UPLINK)
        for node in members:
            self._plug_in(node)
        self._settle()

    def ensure_node(self, node: NodePlan) -> None:
        """The node's namespace, plugged in and reachable, and what the router knows of it."""
        self._plug_in(node)
        self._settle()

    def restore_way_out(self, node: NodePlan) -> None:
        """Gives a node its routes back if its link has come up again. Raises `NotFound` if the node is gone."""
        self._outages[node.name] = nodes.restore_way_out(self.plan, node, self._outages.get(node.name, 0))

    def delete_node(self, name: str) -> None:
        """The opposite; whatever still runs inside the node has lost its network. Absent is no error."""
        self._nodes.pop(name, None)
        self._peers.pop(name, None)
        self._outages.pop(name, None)
        nodes.delete_node(self._inside(), self.plan, name)
        self._settle()

    def set_paths(self, paths: Iterable[PathRule]) -> None:
        """Has the ways between places carry what these say; those that are as before do not notice.

        Raises `MissingRequirement` where netem is asked for and the kernel has none.
        """
        wanted = tuple(paths)
        shaping.require(wanted)
        self.plan = replace(self.plan, paths=wanted)
        self._settle()

    def firewall_counters(self) -> dict[str, firewall.Counted]:
        """What each firewall rule has counted, by its name."""
        with namespace.entered(self.plan.router_path):
            return firewall.read_counters()

    def set_load_balancers(self, balancers: Mapping[str, Iterable[str]]) -> None:
        """Sends each load-balancer address to the nodes with the given addresses, connection by connection.

        An address that is not named, or has no node, is unreachable.
        """
        routed = {address: list(to) for address, to in balancers.items()}
        router.sync_load_balancers(self._inside(), routed)
        uplink.sync_load_balancers(self._at_host(), self.plan, routed)

    def router_listener(self, address: str, port: int) -> socket.socket:
        """A listening TCP socket inside the router's namespace, for a server that lives in the caller's.

        Raises `KernelError` if the port is in use.
        """
        with namespace.entered(self.plan.router_path):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with translated(f"listen on {address}:{port} in the router"):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def router_receiver(self, address: str, port: int) -> socket.socket:
        """The same for datagrams: a bound UDP socket inside the router's namespace."""
        with namespace.entered(self.plan.router_path):
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            with translated(f"receive on {address}:{port} in the router"):
                receiver.bind((address, port))
        except BaseException:
            receiver.close()
            raise
        return receiver

    def close(self) -> None:
        """Closes the sockets; the VPC stays."""
        for opened in (self._host, self._router):
            if opened is not None:
                opened.close()
        self._host = self._router = None

    def __enter__(self) -> Vpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _plug_in(self, node: NodePlan) -> None:
        self._outages[node.name] = nodes.ensure_node(self._inside(), self.plan, node)
        self._complete_packets(node.port)
        self._nodes[node.name] = node
        # Whatever its namespace had before, it may be another one now.
        self._peers.pop(node.name, None)

    def _complete_packets(self, *ifnames: str) -> None:
        """Without offloads: what these links of the router send is as it is on a wire."""
        if not self.plan.offloads:
            with namespace.entered(self.plan.router_path):
                offload.turn_off(*ifnames)

    def _settle(self) -> None:
        """Makes what depends on which nodes there are as it should be."""
        members = tuple(self._nodes.values())
        router.sync_routes(self._inside(), self.plan)
        wanted = firewall.table_text(self.plan, members)
        if wanted != self._firewall:
            with namespace.entered(self.plan.router_path):
                firewall.apply(self.plan, members)
            self._firewall = wanted
        if self.plan.paths or self._paths is not None:
            paths = self.plan.paths, shaping.table_text(self.plan, members)
            if paths != self._paths:
                with namespace.entered(self.plan.router_path):
                    shaping.apply(self.plan, members)
                self._paths = paths
        if self.plan.overlay:
            self._settle_overlay(members)
        if self.plan.routes:
            with namespace.entered(self.plan.router_path):
                static_routes.sync(self._inside(), self.plan, members)

    def _settle_overlay(self, members: tuple[NodePlan, ...]) -> None:
        overlay.sync_router(self._inside(), self.plan, members)
        self._complete_packets(overlay.VTEP)
        for node in members:
            # A node whose peers are as they were is not entered: of many nodes only one has changed, mostly.
            before = self._peers.get(node.name, ())
            # One whose namespace was taken away by hand must not keep others from coming; it is told when it is back.
            if before != members and namespace.exists(self.plan.node_namespace(node.name)):
                with namespace.entered(self.plan.node_path(node.name)), Netlink() as inside:
                    overlay.sync_node(inside, self.plan, node, members)
                    if node not in before:
                        overlay.ensure_masquerade(self.plan, node)
                self._peers[node.name] = members

    def _at_host(self) -> Netlink:
        if self._host is None:
            self._host = Netlink()
        return self._host

    def _inside(self) -> Netlink:
        if self._router is None:
            with namespace.entered(self.plan.router_path):
                self._router = Netlink()
        return self._router
