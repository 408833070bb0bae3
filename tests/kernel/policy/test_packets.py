"""Real connections through the rules: the usual policies of the books, and each row of the specification."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from contextlib import closing
from typing import Any

import pytest

from netsim import firewall, namespace
from netsim.namespace import namespace_path
from netsim.nflog import NflogSocket
from tests.conftest import Eventually
from tests.kernel.policy.conftest import LABELS, PORTS, World, denied, policy
from tests.kernel.world import ping

EVERYBODY = {(a, b) for a in LABELS for b in LABELS if a != b}
TO_WEB = {(a, "web") for a in LABELS if a != "web"}
FROM_WEB = {("web", b) for b in LABELS if b != "web"}
CLIENT = {"podSelector": {"matchLabels": {"role": "client"}}}
TOOLS = {"namespaceSelector": {"matchLabels": {"purpose": "tools"}}}


def test_without_policies_all_pods_reach_each_other(world: World) -> None:
    world.apply()
    assert world.matrix() == EVERYBODY


def test_default_deny_ingress(world: World) -> None:
    world.apply(policy(policyTypes=["Ingress"]))
    assert world.matrix() == EVERYBODY - TO_WEB
    assert not world.answers("client", "web")
    assert not ping(world.address("web"), netns=world.netns["client"])
    assert denied(world, "web") >= 5


def test_default_deny_egress(world: World) -> None:
    world.apply(policy(policyTypes=["Egress"]))
    assert world.matrix() == EVERYBODY - FROM_WEB


def test_default_deny_of_a_namespace(world: World) -> None:
    world.apply(policy(podSelector={}, policyTypes=["Ingress", "Egress"]))
    # "other" is in another namespace, and "far" on another node, whose rules are not these.
    assert world.matrix() == {("other", "far"), ("far", "other")}


def test_allow_all_beside_default_deny(world: World) -> None:
    world.apply(policy("deny", policyTypes=["Ingress"]), policy("allow", ingress=[{}]))
    assert world.matrix() == EVERYBODY


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (CLIENT, {"client"}),
        ({"podSelector": {}}, {"client", "far"}),
        (TOOLS, {"other"}),
        ({"namespaceSelector": {}}, {"client", "other", "far"}),
        ({"namespaceSelector": {}, **CLIENT}, {"client"}),
        ({**TOOLS, **CLIENT}, set()),
        ({"podSelector": {"matchExpressions": [{"key": "role", "operator": "NotIn", "values": ["client"]}]}}, {"far"}),
        ({"podSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}, {"far"}),
        ({"ipBlock": {"cidr": "10.44.0.0/16"}}, {"client", "other", "far"}),
        ({"ipBlock": {"cidr": "10.44.0.0/16", "except": ["10.44.2.0/24", "10.44.1.4/32"]}}, {"client"}),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.44.1.0/24"]}}, {"far"}),
        ({"ipBlock": {"cidr": "10.44.2.9/32"}}, {"far"}),
    ],
)
def test_peers(world: World, peer: dict[str, Any], allowed: set[str]) -> None:
    world.apply(policy(ingress=[{"from": [peer]}]))
    assert {source for source, _, _ in world.connected({(source, "web", 80) for source, _ in TO_WEB})} == allowed


def test_peers_add_up_within_a_rule_and_among_policies(world: World) -> None:
    world.apply(
        policy("a", ingress=[{"from": [CLIENT]}, {"from": [TOOLS], "ports": [{"port": 81}]}]),
        policy("b", ingress=[{"from": [{"podSelector": {"matchLabels": {"team": "far"}}}], "ports": [{"port": 90}]}]),
    )
    reached = world.connected({(s, "web", port) for s in ("client", "other", "far") for port in (80, 81, 90)})
    assert {(source, port) for source, _, port in reached} == {
        ("client", 80),
        ("client", 81),
        ("client", 90),
        ("other", 81),
        ("far", 90),
    }


@pytest.mark.parametrize(
    ("ports", "open_ports", "udp"),
    [
        ([{"port": 80}], {80}, False),
        ([{"port": 80, "endPort": 81}, {"port": 8080}], {80, 81, 8080}, False),
        ([{"port": "http"}], {8080}, False),
        ([{"protocol": "TCP"}], {80, 81, 90, 8080}, False),
        ([{"protocol": "UDP", "port": 53}], set(), True),
        ([{"port": "none"}], set(), False),
    ],
)
def test_ports(world: World, ports: list[dict[str, Any]], open_ports: set[int], udp: bool) -> None:
    world.apply(policy(ingress=[{"ports": ports}]))
    assert {port for _, _, port in world.connected({("far", "web", port) for port in PORTS})} == open_ports
    assert world.answers("client", "web") == udp


def test_udp_ranges(world: World) -> None:
    world.apply(policy(ingress=[{"ports": [{"protocol": "UDP", "port": 5000, "endPort": 5001}]}]))
    assert [world.answers("client", "web", port) for port in (5000, 5001, 5002)] == [True, True, False]


def test_egress_to_a_named_port_of_some_pods(world: World) -> None:
    to_web = {"podSelector": {"matchLabels": {"app": "web"}}}
    client = {"matchLabels": {"role": "client"}}
    world.apply(
        policy(podSelector=client, egress=[{"to": [to_web], "ports": [{"port": "http"}]}], policyTypes=["Egress"])
    )
    assert world.connects("client", "web", 8080)
    assert not world.connects("client", "web", 80)
    assert not world.connects("client", "far", 8080)


def test_deny_egress_but_dns(world: World) -> None:
    world.apply(policy(podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"protocol": "UDP", "port": 53}]}]))
    assert world.answers("client", "far")
    assert not world.connects("client", "far")
    assert not world.answers("client", "far", 5000)


def test_sctp_is_told_from_others(world: World) -> None:
    world.apply(policy(ingress=[{"ports": [{"protocol": "SCTP", "port": 7}]}]))
    chunk = struct.pack(">BBHIIHHI", 1, 0, 20, 0x1234, 65536, 1, 1, 1)
    arrived = []
    with (
        closing(world.socket("far", socket.SOCK_RAW, socket.IPPROTO_SCTP)) as client,
        closing(world.socket("web", socket.SOCK_RAW, socket.IPPROTO_SCTP)) as server,
    ):
        server.settimeout(0.3)
        for port in (7, 8):
            head = struct.pack(">HHI", 9, port, 0)
            client.sendto(head + struct.pack("<I", _crc32c(head + bytes(4) + chunk)) + chunk, (world.address("web"), 0))
        try:
            while packet := server.recv(200):
                arrived.append(struct.unpack_from(">H", packet, 22)[0])
        except TimeoutError:
            assert arrived == [7]


def test_what_goes_to_and_comes_from_the_pods_own_node_is_allowed(world: World) -> None:
    world.apply(policy(podSelector={}, policyTypes=["Ingress", "Egress"]))
    assert world.connects("node", "web")
    with closing(world.socket("node", socket.SOCK_STREAM)) as listener:
        listener.bind(("", 10250))
        listener.listen()
        assert world.connects("web", "10.44.1.1", 10250)


def test_a_pod_reaches_itself_through_a_service(world: World) -> None:
    world.apply(policy(policyTypes=["Ingress", "Egress"]))
    nat = (
        "*nat\n-A PREROUTING -d 10.48.0.50/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.44.1.2:80\n"
        "-A POSTROUTING -s 10.44.1.2/32 -d 10.44.1.2/32 -j MASQUERADE\nCOMMIT\n"
    )
    with namespace.entered(namespace_path(world.node)):
        firewall.restore(nat)
    try:
        assert world.connects("web", "10.48.0.50")
        assert not world.connects("client", "10.48.0.50")
    finally:
        with namespace.entered(namespace_path(world.node)):
            firewall.restore("*nat\nCOMMIT\n", noflush=False)


def test_connections_that_were_there_before_go_on(world: World, eventually: Eventually) -> None:
    with closing(world.socket("client", socket.SOCK_STREAM)) as client:
        client.settimeout(1)
        client.connect((world.address("web"), 90))
        world.apply(policy(policyTypes=["Ingress", "Egress"]))
        client.send(b"hello")
        assert not world.connects("client", "web", 90)
        eventually(lambda: unacknowledged(client) == 0)


def test_denied_packets_are_counted_and_logged(world: World) -> None:
    node = world.apply(policy(policyTypes=["Ingress"]))
    (chain,) = node.postures
    with namespace.entered(namespace_path(world.node)):
        opened = NflogSocket(100)
    with closing(opened):
        assert not world.connects("far", "web", 8080)
        packet = opened.receive()[0]
    assert (packet.prefix, packet.source, packet.destination) == (chain, "10.44.2.9", "10.44.1.2")
    assert (packet.protocol, packet.port) == ("tcp", 8080)
    assert denied(world, "web") == 1
    assert f'[1:60] -A {chain} -m set --match-set {chain} dst -m comment --comment "denied' in world.saved(
        counters=True
    )


def test_counters_outlive_changes_of_other_policies(world: World) -> None:
    world.apply(policy(policyTypes=["Ingress"]))
    assert not world.connects("client", "web")
    before = denied(world, "web")
    world.apply(policy(policyTypes=["Ingress"]), policy("tools", namespace="tools", podSelector={}))
    assert denied(world, "web") == before > 0


def unacknowledged(client: socket.socket) -> int:
    """How many bytes the peer has not acknowledged."""
    (count,) = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))
    return int(count)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
