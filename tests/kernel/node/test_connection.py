"""Whether the API server can be reached from a node's namespace: asked of the network, not of the process."""

from __future__ import annotations

import socket

from controlplane.node.connection import Connection
from netsim import link, namespace
from netsim.namespace import NamespaceExecutor
from netsim.netlink import Netlink


async def test_a_node_is_connected_while_its_network_is(netns: str, netlink: Netlink) -> None:
    path = namespace.namespace_path(netns)
    with namespace.entered(path):
        listener = socket.create_server(("127.0.0.1", 0))
    executor = NamespaceExecutor(path, "node")
    connection = Connection(lambda: executor, listener.getsockname())
    try:
        with listener:
            assert await connection.check()
            netlink.send(link.change("lo", up=False))
            assert not await connection.check()
            assert not connection.up
            netlink.send(link.change("lo", up=True))
            assert await connection.check()
        assert not await connection.check(), "nobody listens any more"
    finally:
        executor.close()


async def test_without_an_address_to_ask_it_is_taken_for_granted(netns: str) -> None:
    executor = NamespaceExecutor(namespace.namespace_path(netns), "node")
    assert await Connection(lambda: executor, None).check()
    executor.close()
