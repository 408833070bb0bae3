from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from controlplane.dns.records import Answer, Code, Type
from controlplane.dns.zone import Zone
from tests.unit.dns.conftest import World, alias, endpoints, namespace, node, service

MakeZone = Callable[[], Awaitable[Zone]]


def ask(zone: Zone, name: str, qtype: Type = Type.A) -> Answer:
    answer = zone.lookup(tuple(name.split(".")), qtype)
    assert answer is not None, "would be forwarded"
    return answer


def data(answer: Answer) -> list[str]:
    assert answer.code == Code.NOERROR
    return [record.data for record in answer.records]


def is_missing(answer: Answer) -> bool:
    """NXDOMAIN, with the SOA record that says for how long."""
    assert answer.authority is not None
    return answer.code == Code.NXDOMAIN and not answer.records


def is_empty(answer: Answer) -> bool:
    """NODATA: the name is there, and has no such record."""
    assert answer.authority is not None
    return answer.code == Code.NOERROR and not answer.records


async def test_a_service_has_its_cluster_ip(world: World, zone: MakeZone) -> None:
    world.put(service("web", "10.48.0.20"))
    made = await zone()
    assert data(ask(made, "web.default.svc.cluster.local")) == ["10.48.0.20"]
    assert is_empty(ask(made, "web.default.svc.cluster.local", Type.AAAA))
    assert is_missing(ask(made, "wob.default.svc.cluster.local"))
    assert is_missing(ask(made, "web.other.svc.cluster.local"))


async def test_srv_of_a_named_port(world: World, zone: MakeZone) -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    world.put(service("web", "10.48.0.20", ports=ports))
    made = await zone()
    answer = ask(made, "_dns._udp.web.default.svc.cluster.local", Type.SRV)
    assert [(r.port, r.data) for r in answer.records] == [(53, "web.default.svc.cluster.local")]
    assert [(r.owner, r.data) for r in answer.extra] == [("web.default.svc.cluster.local", "10.48.0.20")]
    assert is_missing(ask(made, "_dns._tcp.web.default.svc.cluster.local", Type.SRV))
    assert [r.port for r in ask(made, "web.default.svc.cluster.local", Type.SRV).records] == [80, 53]


async def test_a_headless_service_has_its_ready_endpoints(world: World, zone: MakeZone) -> None:
    unready = ("10.44.1.4", {"conditions": {"ready": False}})
    world.put(
        service("db", "None"),
        endpoints("db", ("10.44.1.2", {"hostname": "db-0"}), ("10.44.1.3", {"conditions": {"ready": True}}), unready),
    )
    made = await zone()
    assert data(ask(made, "db.default.svc.cluster.local")) == ["10.44.1.2", "10.44.1.3"]
    assert data(ask(made, "db-0.db.default.svc.cluster.local")) == ["10.44.1.2"]
    assert data(ask(made, "10-44-1-3.db.default.svc.cluster.local")) == ["10.44.1.3"]
    assert is_missing(ask(made, "10-44-1-4.db.default.svc.cluster.local"))
    answer = ask(made, "_http._tcp.db.default.svc.cluster.local", Type.SRV)
    assert [(r.port, r.data, r.weight) for r in answer.records] == [
        (8080, "db-0.db.default.svc.cluster.local", 50),
        (8080, "10-44-1-3.db.default.svc.cluster.local", 50),
    ]


async def test_a_headless_service_without_ready_endpoints_does_not_exist(world: World, zone: MakeZone) -> None:
    world.put(service("db", "None"), endpoints("db", ("10.44.1.4", {"conditions": {"ready": False}})))
    assert is_missing(ask(await zone(), "db.default.svc.cluster.local"))


async def test_a_headless_service_without_ports(world: World, zone: MakeZone) -> None:
    world.put(service("db", "None", ports=[]), endpoints("db", "10.44.1.2", ports=[]))
    made = await zone()
    assert data(ask(made, "db.default.svc.cluster.local")) == ["10.44.1.2"]
    assert is_empty(ask(made, "db.default.svc.cluster.local", Type.SRV))


async def test_addresses_of_both_families(world: World, zone: MakeZone) -> None:
    six = endpoints("db", "fd00::2", addressType="IPv6")
    six["metadata"]["name"] = "db-6"
    world.put(service("db", "None"), endpoints("db", "10.44.1.2"), six)
    made = await zone()
    assert data(ask(made, "db.default.svc.cluster.local")) == ["10.44.1.2"]
    assert data(ask(made, "db.default.svc.cluster.local", Type.AAAA)) == ["fd00::2"]
    assert data(ask(made, "fd00--2.db.default.svc.cluster.local", Type.AAAA)) == ["fd00::2"]


async def test_an_alias_within_the_cluster_is_followed(world: World, zone: MakeZone) -> None:
    world.put(service("web", "10.48.0.20"), alias("www", "web.default.svc.cluster.local"))
    made = await zone()
    answer = ask(made, "www.default.svc.cluster.local")
    assert [(r.type, r.owner, r.data) for r in answer.records] == [
        (Type.CNAME, "", "web.default.svc.cluster.local"),
        (Type.A, "web.default.svc.cluster.local", "10.48.0.20"),
    ]
    assert answer.depends == {"default/www", "default/web"}
    assert data(ask(made, "www.default.svc.cluster.local", Type.CNAME)) == ["web.default.svc.cluster.local"]
    assert is_missing(ask(made, "_http._tcp.www.default.svc.cluster.local", Type.SRV))


async def test_an_alias_out_of_the_cluster_is_left_to_upstream(world: World, zone: MakeZone) -> None:
    world.put(alias("www", "www.example.com."))
    answer = ask(await zone(), "www.default.svc.cluster.local")
    assert (data(answer), answer.alias) == (["www.example.com"], "www.example.com")


async def test_aliases_in_a_circle_end(world: World, zone: MakeZone) -> None:
    world.put(alias("one", "two.default.svc.cluster.local"), alias("two", "one.default.svc.cluster.local"))
    assert ask(await zone(), "one.default.svc.cluster.local").code == Code.SERVFAIL


async def test_an_alias_that_is_an_address_is_none(world: World, zone: MakeZone) -> None:
    world.put(alias("www", "192.0.2.1"))
    assert is_missing(ask(await zone(), "www.default.svc.cluster.local"))


async def test_pod_names_are_addresses(world: World, zone: MakeZone) -> None:
    made = await zone()
    assert data(ask(made, "10-44-1-2.default.pod.cluster.local")) == ["10.44.1.2"]
    assert is_empty(ask(made, "10-44-1-2.default.pod.cluster.local", Type.AAAA))
    assert data(ask(made, "fd00--2.default.pod.cluster.local", Type.AAAA)) == ["fd00::2"]
    assert is_missing(ask(made, "10-44-1-2.nowhere.pod.cluster.local"))
    assert is_missing(ask(made, "10-44-1-256.default.pod.cluster.local"))
    assert is_missing(ask(made, "web.default.pod.cluster.local"))


@pytest.mark.parametrize(
    "name",
    ["cluster.local", "svc.cluster.local", "pod.cluster.local", "default.svc.cluster.local", "dns.cluster.local"],
)
async def test_names_above_others_exist(zone: MakeZone, name: str) -> None:
    assert is_empty(ask(await zone(), name))


@pytest.mark.parametrize(
    "name",
    ["nowhere.svc.cluster.local", "a.b.c.web.default.svc.cluster.local", "_tcp.web.default.svc.cluster.local", "x.y"],
)
async def test_names_that_do_not_exist(world: World, zone: MakeZone, name: str) -> None:
    world.put(service("web", "10.48.0.20"))
    answer = (await zone()).lookup(tuple(name.split(".")), Type.A)
    assert answer is None if name == "x.y" else answer is not None and is_missing(answer)


async def test_the_zone_itself(zone: MakeZone) -> None:
    made = await zone()
    assert data(ask(made, "dns-version.cluster.local", Type.TXT)) == ["1.1.0"]
    assert is_empty(ask(made, "dns-version.cluster.local", Type.A))
    (soa,) = data(ask(made, "cluster.local", Type.SOA))
    assert soa.startswith("ns.dns.cluster.local hostmaster.cluster.local ")
    assert data(ask(made, "cluster.local", Type.NS)) == ["kube-dns.kube-system.svc.cluster.local"]
    assert data(ask(made, "ns.dns.cluster.local")) == ["10.48.0.10"]


async def test_nodes_have_names(world: World, zone: MakeZone) -> None:
    world.put(node("node-1", "10.128.0.11"))
    made = await zone()
    assert data(ask(made, "node-1")) == data(ask(made, "node-1.cluster.local")) == ["10.128.0.11"]
    assert is_empty(ask(made, "node-1", Type.AAAA))
    assert is_missing(ask(made, "node-2.cluster.local"))
    assert made.lookup(("node-2",), Type.A) is None


async def test_names_of_addresses(world: World, zone: MakeZone) -> None:
    world.put(
        service("web", "10.48.0.20"),
        service("db", "None"),
        endpoints("db", "10.44.1.2", ("10.44.1.3", {"hostname": "db-1"}), "10.128.0.11"),
        node("node-1", "10.128.0.11"),
    )
    made = await zone()
    expected = {
        "20.0.48.10": ["web.default.svc.cluster.local"],
        "2.1.44.10": ["10-44-1-2.db.default.svc.cluster.local"],
        "3.1.44.10": ["db-1.db.default.svc.cluster.local"],
        "11.0.128.10": ["node-1.cluster.local", "10-128-0-11.db.default.svc.cluster.local"],
    }
    assert {name: data(ask(made, f"{name}.in-addr.arpa", Type.PTR)) for name in expected} == expected
    assert is_missing(ask(made, "9.9.44.10.in-addr.arpa", Type.PTR))
    assert made.lookup(("8", "8", "8", "8", "in-addr", "arpa"), Type.PTR) is None
    assert made.lookup(("8", "in-addr", "arpa"), Type.PTR) is None


async def test_a_namespace_of_its_own(world: World, zone: MakeZone) -> None:
    world.put(namespace("shop"), service("web", "10.48.0.21", namespace="shop"), service("web", "10.48.0.20"))
    made = await zone()
    assert data(ask(made, "web.shop.svc.cluster.local")) == ["10.48.0.21"]
    assert data(ask(made, "web.default.svc.cluster.local")) == ["10.48.0.20"]
