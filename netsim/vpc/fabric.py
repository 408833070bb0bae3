"""A VPC made real. Its methods block and are for one thread at a time, in the host's network namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from types import TracebackType

from netsim import modules, namespace
from netsim.errors import translated
from netsim.netlink import Netlink
from netsim.vpc import node as nodes
from netsim.vpc import router, uplink
from netsim.vpc.plan import NodePlan, VpcPlan

_BACKLOG = 1024


class Vpc:
    """The kernel objects of a `VpcPlan`. Holds two netlink sockets and no state that the kernel does not have."""

    def __init__(self, plan: VpcPlan) -> None:
        self.plan = plan
        self._host: Netlink | None = None
        self._router: Netlink | None = None

    def ensure(self) -> None:
        """The router, its subnets and the link to the host; what is right already is not touched."""
        modules.ensure_bridge_filtering()
        router.ensure_router(self.plan)
        uplink.ensure_uplink(self._at_host(), self._inside(), self.plan)
        router.sync_routes(self._inside(), self.plan)

    def ensure_node(self, node: NodePlan) -> None:
        """The node's namespace, plugged in and reachable, and the route to its pods."""
        nodes.ensure_node(self._inside(), self.plan, node)
        router.sync_routes(self._inside(), self.plan)

    def delete_node(self, name: str) -> None:
        """The opposite; whatever still runs inside the node has lost its network. Absent is no error."""
        nodes.delete_node(self._inside(), self.plan, name)
        router.sync_routes(self._inside(), self.plan)

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

    def _at_host(self) -> Netlink:
        if self._host is None:
            self._host = Netlink()
        return self._host

    def _inside(self) -> Netlink:
        if self._router is None:
            with namespace.entered(self.plan.router_path):
                self._router = Netlink()
        return self._router
