"""The runtime with our own plugins, called in process, between real namespaces."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cni.errors import CniError, Code, InvalidEnvironment, UnsupportedField
from cni.runtime import Attachment, Runtime
from netsim import firewall, namespace, syscalls
from netsim.errors import AlreadyExists
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, namespace_path
from tests.conftest import Eventually
from tests.kernel import world


def conflist(data: Path, subnet: str = "10.44.1.0/24", **fields: Any) -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "dataDir": str(data),
        "ranges": [[{"subnet": subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "bridge", "bridge": "cbr0", "isGateway": True, "hairpinMode": True, "mtu": 1460, "ipam": ipam}
    return {"cniVersion": "1.1.0", "name": "net", "plugins": [plugin | fields]}


@pytest.fixture
def pods(cluster: str) -> Iterator[list[str]]:
    names = [f"{cluster}-pod-{number}" for number in range(3)]
    for name in names:
        namespace.create_namespace(name, Mark(cluster, "pod", name))
    yield names
    for name in names:
        namespace.delete_namespace(name)


@pytest.fixture
def node(netns: str) -> Iterator[NamespaceExecutor]:
    executor = NamespaceExecutor(namespace_path(netns), "node")
    yield executor
    executor.close()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(conflist(tmp_path / "ipam"), (), tmp_path / "cache")
    yield made
    made.close()


def attachment(pod: str, **fields: Any) -> Attachment:
    return Attachment(pod.rsplit("-", 2)[-2] + pod.rsplit("-", 1)[-1], str(namespace_path(pod)), **fields)


async def test_add_ping_check_delete_delete_again_and_nothing_is_left(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str, tmp_path: Path
) -> None:
    before = world.run("ip", "-o", "link", netns=netns)
    results = [await node.run(runtime.add, attachment(pod)) for pod in pods]
    assert [result.ips[0].address for result in results] == [f"10.44.1.{number}/24" for number in (2, 3, 4)]
    assert results[0].interfaces[2].mac == "0a:58:0a:2c:01:02"
    assert world.ping("10.44.1.3", netns=pods[0]), "pod to pod"
    assert world.ping("10.44.1.1", netns=pods[0]), "pod to gateway"
    assert world.ping("10.44.1.2", netns=netns), "node to pod"
    inside = world.run("ip", "route", netns=pods[0]).splitlines()
    assert inside[0].startswith("default via 10.44.1.1 dev eth0")
    assert "mtu 1460" in world.run("ip", "link", "show", "eth0", netns=pods[0])
    assert "hairpin on" in world.run("bridge", "-d", "link", netns=netns)
    for pod in pods:
        await node.run(runtime.check, attachment(pod))
    for pod in [*pods, *pods]:
        await node.run(runtime.delete, attachment(pod))
    links = world.run("ip", "-o", "link", netns=netns)
    assert len(links.splitlines()) == len(before.splitlines()) + 1, "only the bridge is left"
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]
    assert not list((tmp_path / "ipam" / "net" / "owners").iterdir())
    assert not list((tmp_path / "cache" / "results").iterdir())


async def test_delete_succeeds_when_the_namespace_is_gone(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str, tmp_path: Path, eventually: Eventually
) -> None:
    await node.run(runtime.add, attachment(pods[0]))
    namespace.delete_namespace(pods[0])
    for _ in range(2):
        await node.run(runtime.delete, attachment(pods[0]))
    assert not (tmp_path / "ipam" / "net" / "10.44.1.2").exists()
    eventually(lambda: "veth" not in world.run("ip", "-o", "link", netns=netns), message="the pair is gone")


async def test_a_namespace_that_something_still_holds_is_cut_off_all_the_same(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str
) -> None:
    await node.run(runtime.add, attachment(pods[0]))
    with syscalls.opened(str(namespace_path(pods[0]))):
        namespace.delete_namespace(pods[0])
        await node.run(runtime.delete, attachment(pods[0]))
        assert not world.ping("10.44.1.2", netns=netns)


@pytest.mark.parametrize(
    "damage",
    [
        ["ip", "address", "delete", "10.44.1.2/24", "dev", "eth0"],
        ["ip", "route", "delete", "default"],
        ["ip", "link", "set", "eth0", "down"],
        ["ip", "link", "delete", "eth0"],
    ],
)
async def test_check_says_what_differs(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], damage: list[str]
) -> None:
    await node.run(runtime.add, attachment(pods[0]))
    world.run(*damage, netns=pods[0])
    with pytest.raises(CniError) as caught:
        await node.run(runtime.check, attachment(pods[0]))
    assert caught.value.code == Code.CHECK_FAILED


async def test_check_of_what_was_never_attached_is_refused(node: NamespaceExecutor, runtime: Runtime) -> None:
    with pytest.raises(CniError, match="not attached") as caught:
        await node.run(runtime.check, Attachment("nobody", "/run/netns/nobody"))
    assert caught.value.code == Code.UNKNOWN_CONTAINER


async def test_a_failed_add_leaves_nothing(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str, tmp_path: Path
) -> None:
    world.run("ip", "link", "add", "eth0", "type", "bridge", netns=pods[0])
    with pytest.raises(AlreadyExists, match="eth0"):
        await node.run(runtime.add, attachment(pods[0]))
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]
    assert "veth" not in world.run("ip", "-o", "link", netns=netns)
    with pytest.raises(InvalidEnvironment, match="CNI_NETNS"):
        await node.run(runtime.add, Attachment("gone", "/run/netns/gone"))


async def test_when_a_later_plugin_fails_the_earlier_ones_are_undone(
    node: NamespaceExecutor, pods: list[str], netns: str, tmp_path: Path
) -> None:
    configuration = conflist(tmp_path / "ipam")
    configuration["plugins"].append({"type": "frob"})
    runtime = Runtime(configuration, (), tmp_path / "cache")
    with pytest.raises(CniError, match="frob"):
        await node.run(runtime.add, attachment(pods[0]))
    assert "veth" not in world.run("ip", "-o", "link", netns=netns)
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]
    await node.run(runtime.close)


async def test_an_add_that_was_cut_short_can_be_repeated(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str
) -> None:
    first = await node.run(runtime.add, attachment(pods[0]))
    again = await node.run(runtime.add, attachment(pods[0]))
    assert again == first
    assert world.run("ip", "-o", "link", netns=netns).count("veth") == 1
    assert world.ping("10.44.1.2", netns=netns)


async def test_gc_detaches_what_is_not_valid(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str, tmp_path: Path
) -> None:
    for pod in pods:
        await node.run(runtime.add, attachment(pod))
    (tmp_path / "ipam" / "net" / "10.44.1.77").write_text("forgotten\r\neth0")
    kept = attachment(pods[1])
    await node.run(runtime.gc, [(kept.container_id, kept.ifname)])
    held = {path.name for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")}
    assert held == {"10.44.1.3"}
    assert world.run("ip", "-o", "link", netns=netns).count("veth") == 1
    await node.run(runtime.check, kept)


async def test_a_pod_reaches_itself_by_an_address_that_is_translated(
    node: NamespaceExecutor, runtime: Runtime, pods: list[str], netns: str
) -> None:
    await node.run(runtime.add, attachment(pods[0]))
    rules = "*nat\n-A PREROUTING -d 10.48.0.7/32 -p tcp -j DNAT --to-destination 10.44.1.2:80\n"
    rules += "-A POSTROUTING -s 10.44.1.2/32 -d 10.44.1.2/32 -j MASQUERADE\nCOMMIT\n"
    await node.run(firewall.restore, rules)
    with world.answering(pods[0], "10.44.1.2", 80, "myself"):
        assert world.ask("10.48.0.7", 80, netns=pods[0]).startswith("myself 10.44.1.1")


async def test_masquerade_is_made_and_taken_back(node: NamespaceExecutor, pods: list[str], tmp_path: Path) -> None:
    runtime = Runtime(conflist(tmp_path / "ipam", ipMasq=True), (), tmp_path / "cache")
    await node.run(runtime.add, attachment(pods[0]))
    rules = await node.run(firewall.save, "nat")
    assert "-A POSTROUTING -s 10.44.1.2/32" in rules
    assert "! -d 224.0.0.0/4" in rules
    for _ in range(2):
        await node.run(runtime.delete, attachment(pods[0]))
        assert "CNI-" not in await node.run(firewall.save, "nat")
    runtime.close()


async def test_a_mac_by_capability_and_an_address_by_argument(
    node: NamespaceExecutor, pods: list[str], tmp_path: Path
) -> None:
    configuration = conflist(tmp_path / "ipam", capabilities={"mac": True})
    runtime = Runtime(configuration, (), tmp_path / "cache")
    wanted = attachment(pods[0], args={"IP": "10.44.1.40"}, capabilities={"mac": "02:11:22:33:44:55", "other": 1})
    result = await node.run(runtime.add, wanted)
    assert result.ips[0].address == "10.44.1.40/24"
    assert "02:11:22:33:44:55" in world.run("ip", "link", "show", "eth0", netns=pods[0])
    runtime.close()


async def test_what_is_not_done_is_refused_by_name(node: NamespaceExecutor, pods: list[str], tmp_path: Path) -> None:
    runtime = Runtime(conflist(tmp_path / "ipam", macspoofchk=True), (), tmp_path / "cache")
    with pytest.raises(UnsupportedField, match="macspoofchk: True"):
        await node.run(runtime.add, attachment(pods[0]))
    with pytest.raises(UnsupportedField):
        await node.run(runtime.status)


async def test_status_is_quiet_when_all_is_well(node: NamespaceExecutor, runtime: Runtime) -> None:
    await node.run(runtime.status)


def test_two_nodes_at_once(cluster: str, tmp_path: Path) -> None:
    """Each node's runtime works in its own thread; neither sees the other's namespace."""
    nodes = [f"{cluster}-n{number}" for number in (1, 2)]
    for name in nodes:
        namespace.create_namespace(name, Mark(cluster, "node", name))
    executors = [NamespaceExecutor(namespace_path(name), name) for name in nodes]
    runtimes = [
        Runtime(conflist(tmp_path / name, f"10.44.{number}.0/24"), (), tmp_path / f"cache-{name}")
        for number, name in enumerate(nodes, 1)
    ]
    made: list[str] = []
    lock = threading.Lock()

    def attach(number: int) -> str:
        name = f"{cluster}-p{number}"
        namespace.create_namespace(name, Mark(cluster, "pod", name))
        with lock:
            made.append(name)
        result = runtimes[number % 2].add(Attachment(f"c{number}", str(namespace_path(name))))
        return result.ips[0].address

    try:
        futures = [executors[number % 2].submit(attach, number) for number in range(20)]
        addresses = [future.result(30) for future in futures]
        assert len(set(addresses)) == 20
        for name in nodes:
            assert world.run("ip", "-o", "link", netns=name).count("veth") == 10
    finally:
        for executor, runtime in zip(executors, runtimes, strict=True):
            executor.close()
            runtime.close()
        with ThreadPoolExecutor(1) as pool:
            list(pool.map(namespace.delete_namespace, [*made, *nodes]))


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"dst": "::/0"}, "a route of IPv6: ::/0"),
        ({"dst": "0.0.0.0/0", "gw": "fe80::1"}, "a route of IPv6: 0.0.0.0/0"),
        ({"dst": "10.0.0.0/40"}, "dst is '10.0.0.0/40'"),
        ({"dst": "10.9.9.9/16"}, "dst is '10.9.9.9/16'"),
        ({"dst": "0.0.0.0/0", "gw": "nowhere"}, "gw is 'nowhere'"),
    ],
)
@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
async def test_a_route_that_cannot_be_is_refused(
    node: NamespaceExecutor, pods: list[str], tmp_path: Path, plugin: str, route: dict[str, str], said: str
) -> None:
    written = conflist(tmp_path / "ipam", type=plugin)
    written["plugins"][0]["ipam"]["routes"] = [route]
    runtime = Runtime(written, (), tmp_path / "cache")
    try:
        with pytest.raises(CniError, match=said):
            await node.run(runtime.add, attachment(pods[0]))
    finally:
        runtime.close()
    assert not [path for path in (tmp_path / "ipam" / "net").iterdir() if path.name.startswith("10.")]


async def test_an_address_that_is_none_is_told(node: NamespaceExecutor, pods: list[str], tmp_path: Path) -> None:
    program = tmp_path / "wrong-ipam"
    program.write_text('#!/bin/sh\necho \'{"cniVersion": "1.1.0", "ips": [{"address": "10.44.1"}]}\'\n')
    program.chmod(0o755)
    runtime = Runtime(conflist(tmp_path, ipam={"type": "wrong-ipam"}), [tmp_path], tmp_path / "cache")
    try:
        with pytest.raises(CniError, match=r"address is '10\.44\.1'"):
            await node.run(runtime.add, attachment(pods[0]))
    finally:
        runtime.close()
