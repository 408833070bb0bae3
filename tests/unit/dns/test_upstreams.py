from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.api.types import Object
from controlplane.dns.upstreams import Upstreams
from tests.unit.dns.conftest import World

NAME = ("www", "example", "com")
HOST = [("192.0.2.53", 53), ("2001:db8::53", 53)]


def config(**data: object) -> Object:
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.fixture
def resolv_conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text("# of the host\nsearch example.com\nnameserver 192.0.2.53\nnameserver\t2001:db8::53\noptions x\n")
    return path


@pytest.fixture
async def upstreams(world: World, resolv_conf: Path) -> AsyncIterator[Upstreams]:
    made = Upstreams(world.informers, resolv_conf)
    task = asyncio.create_task(world.informers.run())
    await made.wait_synced()
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def settled() -> None:
    """The informer has taken in what the world has sent."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_hosts_resolvers(upstreams: Upstreams) -> None:
    assert list(upstreams.servers_for(NAME)) == HOST


async def test_the_hosts_resolvers_are_read_again_when_they_change(upstreams: Upstreams, resolv_conf: Path) -> None:
    upstreams.servers_for(NAME)
    await asyncio.to_thread(resolv_conf.write_text, "nameserver 192.0.2.54\n")
    assert list(upstreams.servers_for(NAME)) == [("192.0.2.54", 53)]
    await asyncio.to_thread(resolv_conf.unlink)
    assert not upstreams.servers_for(NAME)


async def test_never_in_a_circle(upstreams: Upstreams) -> None:
    upstreams.own = frozenset({HOST[0]})
    assert list(upstreams.servers_for(NAME)) == HOST[1:]


async def test_the_config_map_names_others(upstreams: Upstreams, world: World) -> None:
    stubs = {"corp.example": ["10.1.2.3", "10.1.2.4:5353"], "Lab.Corp.Example.": ["10.1.2.5"]}
    world.put(config(stubDomains=stubs, upstreamNameservers=["9.9.9.9", "2620:fe::fe"]))
    await settled()
    assert list(upstreams.servers_for(NAME)) == [("9.9.9.9", 53), ("2620:fe::fe", 53)]
    assert list(upstreams.servers_for(("www", "corp", "example"))) == [("10.1.2.3", 53), ("10.1.2.4", 5353)]
    assert list(upstreams.servers_for(("www", "lab", "corp", "example"))) == [("10.1.2.5", 53)]
    world.delete(config())
    await settled()
    assert list(upstreams.servers_for(("www", "corp", "example"))) == HOST


@pytest.mark.parametrize(
    "data",
    [
        {"stubDomains": "{"},
        {"stubDomains": []},
        {"stubDomains": {"example.com": ["10.1.2.3"]}, "upstreamNameservers": "x"},
        {"stubDomains": {"corp.example": "10.1.2.3"}},
        {"upstreamNameservers": ["resolver.example"]},
        {"upstreamNameservers": ["10.1.2.3:domain"]},
        {"upstreamNameservers": {"10.1.2.3": 53}},
    ],
)
async def test_a_config_map_that_is_wrong_changes_nothing(
    upstreams: Upstreams, world: World, data: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        world.put(config(**data))
        await settled()
    assert list(upstreams.servers_for(NAME)) == HOST
    assert [record.message for record in caplog.records] == ["ConfigMap kube-dns is not used"]


async def test_the_clusters_configuration_until_the_config_map_names_others(world: World, resolv_conf: Path) -> None:
    stubs = {"corp.example": ("10.1.2.3", "10.1.2.4:5353")}
    made = Upstreams(world.informers, resolv_conf, stub_domains=stubs, nameservers=("9.9.9.9",))
    task = asyncio.create_task(world.informers.run())
    await made.wait_synced()
    try:
        assert list(made.servers_for(("db", "corp", "example"))) == [("10.1.2.3", 53), ("10.1.2.4", 5353)]
        assert list(made.servers_for(NAME)) == [("9.9.9.9", 53)]
        world.put(config(stubDomains={"other.example": ["10.9.9.9"]}))
        await settled()
        assert list(made.servers_for(("db", "corp", "example"))) == [("9.9.9.9", 53)]
        assert list(made.servers_for(("db", "other", "example"))) == [("10.9.9.9", 53)]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
