"""ptp, portmap, tuning, loopback and the bridge's options, by packets between real namespaces."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cni.errors import CniError, Code, InvalidConfig, UnsupportedField
from cni.runtime import Attachment, Runtime
from netsim import firewall, namespace
from netsim.errors import NetsimError
from netsim.namespace import NamespaceExecutor, entered, namespace_path
from tests.kernel import world
from tests.kernel.cni.test_attach import attachment, conflist, node, pods

__all__ = ["node", "pods"]


class Network:
    """A runtime in the node's namespace."""

    def __init__(self, node: NamespaceExecutor, runtime: Runtime) -> None:
        self._node, self.runtime = node, runtime

    async def add(self, pod: str, **fields: Any) -> Any:
        return await self._node.run(self.runtime.add, attachment(pod, **fields))

    async def check(self, pod: str, **fields: Any) -> None:
        await self._node.run(self.runtime.check, attachment(pod, **fields))

    async def delete(self, pod: str, **fields: Any) -> None:
        await self._node.run(self.runtime.delete, attachment(pod, **fields))


def main_plugin(directory: Path, **fields: Any) -> dict[str, Any]:
    plugin: dict[str, Any] = conflist(directory / "ipam", **fields)["plugins"][0]
    return plugin


@pytest.fixture
def network_of(node: NamespaceExecutor, tmp_path: Path) -> Iterator[Callable[..., Network]]:
    """Makes a network of a list of plugins."""
    made: list[Network] = []

    def make(*plugins: dict[str, Any]) -> Network:
        listed = {"cniVersion": "1.1.0", "name": "net", "plugins": list(plugins)}
        made.append(Network(node, Runtime(listed, (), tmp_path / f"cache-{len(made)}")))
        return made[-1]

    yield make
    for each in made:
        each.runtime.close()


@pytest.fixture
def serve(pods: list[str]) -> Iterator[Any]:
    """Makes a pod answer on a port with its own name, by TCP and UDP; what it accepts waits in the backlog."""
    sockets: list[socket.socket] = []

    def listen(pod: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        with entered(namespace_path(pod)):
            listener = socket.socket(socket.AF_INET, kind)
        listener.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        listener.settimeout(5)
        sockets.append(listener)
        return listener

    yield listen
    for each in sockets:
        each.close()


def connect(netns: str, address: str, port: int) -> tuple[str, int]:
    """Opens a connection from a namespace; returns who the client was."""
    with entered(namespace_path(netns)):
        client = socket.create_connection((address, port), timeout=3)
    with client:
        name: tuple[str, int] = client.getsockname()
        return name


async def test_ptp_routes_between_containers_and_leaves_nothing(
    node: NamespaceExecutor, pods: list[str], netns: str, tmp_path: Path, network_of: Callable[..., Network]
) -> None:
    ipam = main_plugin(tmp_path)["ipam"]
    network = network_of({"type": "ptp", "mtu": 1460, "ipMasq": True, "ipam": ipam})
    before = world.run("ip", "-o", "link", netns=netns)
    results = [await network.add(pod) for pod in pods[:2]]
    assert [result.ips[0].address for result in results] == ["10.44.1.2/24", "10.44.1.3/24"]
    assert results[0].interfaces[1].sandbox == str(namespace_path(pods[0]))
    assert world.ping("10.44.1.3", netns=pods[0]), "container to container, by way of the namespace"
    assert world.ping("10.44.1.1", netns=pods[0]), "container to gateway"
    assert world.ping("10.44.1.2", netns=netns), "namespace to container"
    assert "10.44.1.1 dev eth0 scope link" in world.run("ip", "route", netns=pods[0])
    assert "10.44.1.0/24 via 10.44.1.1 dev eth0" in world.run("ip", "route", netns=pods[0])
    for pod in pods[:2]:
        await network.check(pod)
    world.run("ip", "route", "del", "10.44.1.2/32", netns=netns)
    with pytest.raises(CniError, match="there is no route to"):
        await network.check(pods[0])
    for pod in [*pods[:2], *pods[:2]]:
        await network.delete(pod)
    assert world.run("ip", "-o", "link", netns=netns) == before
    assert "CNI-" not in await node.run(firewall.save, "nat")


async def test_a_failed_ptp_add_gives_the_address_back(
    pods: list[str], tmp_path: Path, network_of: Callable[..., Network]
) -> None:
    ipam = main_plugin(tmp_path)["ipam"] | {"routes": [{"dst": "10.9.0.0/16", "gw": "172.31.0.1"}]}
    network = network_of({"type": "ptp", "ipam": ipam})
    with pytest.raises(NetsimError):
        await network.add(pods[0])
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]


@pytest.mark.parametrize("kind", ["bridge", "ptp"])
async def test_a_mapped_port_leads_to_the_container(
    node: NamespaceExecutor,
    pods: list[str],
    netns: str,
    tmp_path: Path,
    serve: Any,
    kind: str,
    network_of: Callable[..., Network],
) -> None:
    plugins = [main_plugin(tmp_path) | {"type": kind}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    network = network_of(*plugins)
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "TCP"}]
    asked = {"capabilities": {"portMappings": ports}}
    await network.add(pods[0], **asked)
    await network.add(pods[1])
    listener = serve(pods[0], 80)
    world.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo", netns=netns)
    for place, client, address in (
        ("the namespace itself", netns, "192.0.2.1"),
        ("a neighbour", pods[1], "192.0.2.1"),
        ("the container itself", pods[0], "192.0.2.1"),
        ("the loopback", netns, "127.0.0.1"),
    ):
        assert connect(client, address, 8080), place
        listener.accept()[0].close()
    await network.check(pods[0], **asked)
    await node.run(firewall.restore, "*nat\n-F CNI-HOSTPORT-DNAT\nCOMMIT\n")
    with pytest.raises(OSError, match="refused"):
        connect(netns, "192.0.2.1", 8080)
    await network.delete(pods[0])
    await network.delete(pods[0], **asked)
    assert "CNI-DN-" not in await node.run(firewall.save, "nat")


async def test_rules_of_a_container_that_nobody_remembers_go_with_gc(
    node: NamespaceExecutor, pods: list[str], network_of: Callable[..., Network], tmp_path: Path
) -> None:
    network = network_of(main_plugin(tmp_path), {"type": "portmap", "capabilities": {"portMappings": True}})
    for number, pod in enumerate(pods[:2]):
        await network.add(pod, capabilities={"portMappings": [{"hostPort": 8080 + number, "containerPort": 80}]})
    for path in (tmp_path / "cache-0" / "results").iterdir():
        path.unlink()
    kept = attachment(pods[1])
    await node.run(network.runtime.gc, [(kept.container_id, kept.ifname)])
    rules = await node.run(firewall.save, "nat")
    assert "--dport 8081" in rules
    assert "--dport 8080" not in rules


async def test_mapped_ports_of_an_address_and_by_udp(
    pods: list[str], netns: str, tmp_path: Path, serve: Any, network_of: Callable[..., Network]
) -> None:
    plugins = [main_plugin(tmp_path), {"type": "portmap", "capabilities": {"portMappings": True}}]
    network = network_of(*plugins)
    world.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo", netns=netns)
    world.run("ip", "addr", "add", "192.0.2.2/32", "dev", "lo", netns=netns)
    tcp = {"hostPort": 8080, "containerPort": 80, "hostIP": "192.0.2.2"}
    udp = {"hostPort": 5353, "containerPort": 53, "protocol": "udp"}
    await network.add(pods[0], capabilities={"portMappings": [tcp, udp]})
    listener, answering = serve(pods[0], 80), serve(pods[0], 53, socket.SOCK_DGRAM)
    with pytest.raises(OSError, match="refused"):
        connect(netns, "192.0.2.1", 8080)
    assert connect(netns, "192.0.2.2", 8080)
    listener.accept()[0].close()
    with entered(namespace_path(netns)):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(3)
        client.connect(("192.0.2.1", 5353))
        client.send(b"ask")
        asked, who = answering.recvfrom(100)
        answering.sendto(asked + b"ed", who)
        assert client.recv(100) == b"asked"


async def test_what_portmap_cannot_do_is_refused(
    pods: list[str], tmp_path: Path, network_of: Callable[..., Network]
) -> None:
    for field, error in (({"masqAll": True}, UnsupportedField), ({"markMasqBit": 40}, InvalidConfig)):
        with pytest.raises(error):
            await network_of(main_plugin(tmp_path), {"type": "portmap", **field}).add(pods[0])
    alone = network_of({"type": "portmap"})
    with pytest.raises(CniError, match="has to come behind"):
        await alone.add(pods[0])
    wrong = [{"hostPort": 8080, "containerPort": 80, "protocol": "icmp"}]
    listed = [main_plugin(tmp_path), {"type": "portmap", "capabilities": {"portMappings": True}}]
    with pytest.raises(InvalidConfig, match="one of tcp, udp, sctp"):
        await network_of(*listed).add(pods[0], capabilities={"portMappings": wrong})
    assert "eth0" not in world.run("ip", "-o", "link", netns=pods[0]), "the bridge's part was undone"


async def test_tuning_sets_what_the_container_shows(
    pods: list[str], tmp_path: Path, network_of: Callable[..., Network]
) -> None:
    tuning = {
        "type": "tuning",
        "sysctl": {"net.core.somaxconn": "321", "net.ipv4.conf.IFNAME.rp_filter": "2"},
        "mac": "02:00:00:00:00:07",
        "mtu": 1300,
        "promisc": True,
        "allmulti": True,
        "txQLen": 77,
    }
    network = network_of(main_plugin(tmp_path), tuning)
    result = await network.add(pods[0])
    shown = world.run("ip", "link", "show", "eth0", netns=pods[0])
    for expected in ("02:00:00:00:00:07", "mtu 1300", "PROMISC", "ALLMULTI", "qlen 77"):
        assert expected in shown
    assert world.run("cat", "/proc/sys/net/core/somaxconn", netns=pods[0]).strip() == "321"
    assert world.run("cat", "/proc/sys/net/ipv4/conf/eth0/rp_filter", netns=pods[0]).strip() == "2"
    assert (result.interfaces[2].mac, result.interfaces[2].mtu) == ("02:00:00:00:00:07", 1300)
    await network.check(pods[0])
    world.run("ip", "link", "set", "eth0", "mtu", "1200", netns=pods[0])
    with pytest.raises(CniError, match="mtu of eth0 is 1200, not 1300"):
        await network.check(pods[0])
    await network.delete(pods[0])


@pytest.mark.parametrize("name", ["kernel.panic", "net.ipv4/../../kernel.panic", "vm.swappiness"])
async def test_tuning_reaches_no_sysctl_of_the_host(
    pods: list[str], tmp_path: Path, name: str, network_of: Callable[..., Network]
) -> None:
    network = network_of(main_plugin(tmp_path), {"type": "tuning", "sysctl": {name: "1"}})
    with pytest.raises(CniError) as caught:
        await network.add(pods[0])
    assert caught.value.code in (Code.INVALID_CONFIG, Code.IO_FAILURE)


async def test_loopback_comes_up_and_goes_down(node: NamespaceExecutor, pods: list[str], tmp_path: Path) -> None:
    runtime = Runtime({"cniVersion": "1.0.0", "name": "lo", "plugins": [{"type": "loopback"}]}, (), tmp_path / "cache")
    world.run("ip", "link", "set", "lo", "down", netns=pods[0])
    lo = Attachment("c1", str(namespace_path(pods[0])), "lo")
    result = await node.run(runtime.add, lo)
    assert result.ips[0].address == "127.0.0.1/8"
    assert world.ping("127.0.0.1", netns=pods[0])
    await node.run(runtime.check, lo)
    world.run("ip", "link", "set", "lo", "down", netns=pods[0])
    with pytest.raises(CniError, match="not up"):
        await node.run(runtime.check, lo)
    namespace.delete_namespace(pods[0])
    await node.run(runtime.delete, Attachment("c1", "", "lo"))


async def test_isolated_ports_reach_the_gateway_and_not_each_other(
    pods: list[str], netns: str, tmp_path: Path, network_of: Callable[..., Network]
) -> None:
    network = network_of(main_plugin(tmp_path, portIsolation=True, promiscMode=True, hairpinMode=False))
    for pod in pods[:2]:
        await network.add(pod)
    assert world.ping("10.44.1.1", netns=pods[0])
    assert not world.ping("10.44.1.3", netns=pods[0])
    assert "PROMISC" in world.run("ip", "link", "show", "cbr0", netns=netns)


def bridges_know_vlans(netns: str) -> bool:
    asked = ["ip", "-n", netns, "link", "add", "br-asked", "type", "bridge", "vlan_filtering", "1"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


async def test_a_vlan_keeps_containers_apart(
    pods: list[str], netns: str, tmp_path: Path, network_of: Callable[..., Network]
) -> None:
    first = network_of(main_plugin(tmp_path, vlan=100))
    other = network_of(main_plugin(tmp_path, vlan=200, isGateway=False))
    if not bridges_know_vlans(netns):
        with pytest.raises(CniError, match="CONFIG_BRIDGE_VLAN_FILTERING"):
            await first.add(pods[0])
        assert "eth0" not in world.run("ip", "-o", "link", netns=pods[0]), "nothing of the attempt is left"
        pytest.skip("the bridges of this kernel do not know VLANs")
    await first.add(pods[0])
    await first.add(pods[1])
    await other.add(pods[2])
    assert world.ping("10.44.1.3", netns=pods[0]), "of the same VLAN"
    assert world.ping("10.44.1.1", netns=pods[0]), "the gateway of the VLAN"
    assert not world.ping("10.44.1.4", netns=pods[0]), "of another VLAN"
    assert "100 PVID" in world.run("bridge", "vlan", netns=netns)


@pytest.mark.parametrize(
    "fields",
    [
        {"vlan": 5000},
        {"vlan": 100, "vlanTrunk": [{"id": 3}]},
        {"vlanTrunk": [{"minID": 9, "maxID": 3}]},
        {"hairpinMode": True, "promiscMode": True},
        {"macspoofchk": True},
        {"portIsolation": "yes"},
    ],
)
async def test_a_wrong_option_of_the_bridge_is_named(
    pods: list[str], tmp_path: Path, fields: dict[str, Any], network_of: Callable[..., Network]
) -> None:
    with pytest.raises((InvalidConfig, UnsupportedField)) as caught:
        await network_of(main_plugin(tmp_path, **fields)).add(pods[0])
    assert any(name in str(caught.value) for name in fields)


def seconds_to_send(sender: str, receiver: str, address: str, size: int) -> float:
    """How long it takes until so many bytes have come from one namespace to the other by TCP."""
    with entered(namespace_path(receiver)):
        listener = socket.create_server((address, 9000))
    with listener, ThreadPoolExecutor(1) as pool:
        with entered(namespace_path(sender)):
            client = socket.create_connection((address, 9000), timeout=60)
        accepted, _ = listener.accept()
        with client, accepted:
            accepted.settimeout(20)
            began = time.monotonic()
            sending = pool.submit(client.sendall, bytes(size))
            left = size
            while left:
                left -= len(accepted.recv(min(left, 1 << 16)))
            took = time.monotonic() - began
            sending.result(5)
    return took


async def test_bandwidth_limits_each_direction_by_itself(
    node: NamespaceExecutor, pods: list[str], netns: str, network_of: Callable[..., Network], tmp_path: Path
) -> None:
    network = network_of(main_plugin(tmp_path), {"type": "bandwidth", "capabilities": {"bandwidth": True}})
    limits = {"ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 800_000}
    asked = {"capabilities": {"bandwidth": limits}}
    await network.add(pods[0], **asked)
    await network.add(pods[1])
    # A megabyte a second in, two out; the bucket lets 100 kB through at once.
    into = seconds_to_send(pods[1], pods[0], "10.44.1.2", 500_000)
    out = seconds_to_send(pods[0], pods[1], "10.44.1.3", 1_000_000)
    assert 0.3 < into < 5
    assert 0.3 < out < 5
    await network.check(pods[0], **asked)
    await node.run(firewall.run, ["tc", "qdisc", "del", "dev", _named(netns, "bwp"), "root"])
    with pytest.raises(CniError, match="the rate of bwp"):
        await network.check(pods[0], **asked)
    await network.delete(pods[0])
    await network.delete(pods[0], **asked)
    assert "bwp" not in world.run("ip", "-o", "link", netns=netns)


def _named(netns: str, prefix: str) -> str:
    names = [line.split(": ")[1] for line in world.run("ip", "-o", "link", netns=netns).splitlines()]
    return next(name for name in names if name.startswith(prefix))


async def test_a_rate_without_a_burst_is_refused(
    pods: list[str], network_of: Callable[..., Network], tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match="ingressBurst"):
        await network_of(main_plugin(tmp_path), {"type": "bandwidth", "ingressRate": 8000}).add(pods[0])
    with pytest.raises(UnsupportedField, match="shapedSubnets"):
        await network_of(main_plugin(tmp_path), {"type": "bandwidth", "shapedSubnets": ["10.0.0.0/8"]}).add(pods[0])
