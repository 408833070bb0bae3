"""Cluster addresses and node ports through the API: whatever comes at once, and over restarts, never one twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.kinds import SERVICE
from controlplane.client.local import LocalClient
from tests.api.conftest import serving

ROUNDS = 4
AT_ONCE = 40
FEW_ADDRESSES = [f"10.48.0.{number}" for number in range(20, 26)]
FEW_PORTS = range(30000, 30006)


def service(name: str, chance: random.Random) -> Any:
    """A Service that takes what is free, or asks for one of a few addresses and ports that others want too."""
    port: dict[str, Any] = {"port": 80, "protocol": chance.choice(["TCP", "UDP"])}
    spec: dict[str, Any] = {"type": chance.choice(["ClusterIP", "NodePort", "LoadBalancer"]), "ports": [port]}
    if chance.random() < 0.3:
        spec["clusterIP"] = chance.choice(FEW_ADDRESSES)
    if spec["type"] != "ClusterIP" and chance.random() < 0.3:
        port["nodePort"] = chance.choice(FEW_PORTS)
    return {"metadata": {"name": name}, "spec": spec}


async def step(client: LocalClient, name: str, seed: int) -> str:
    """Creates a Service, and by chance changes its type or deletes it; "refused" where something was taken."""
    chance = random.Random(seed)
    try:
        await client.create(SERVICE, service(name, chance), "default")
        if chance.random() < 0.3:
            kind = chance.choice(["ClusterIP", "NodePort"])
            await client.patch(SERVICE, name, "default", body={"spec": {"type": kind}})
        if chance.random() < 0.3:
            await client.delete(SERVICE, name, "default")
    except ApiError as error:
        return "refused" if "already allocated" in str(error) else str(error)
    return "done"


async def check(client: LocalClient) -> int:
    """Nothing is held twice; how many Services there are."""
    services = (await client.list(SERVICE, "default")).items
    addresses = [one["spec"]["clusterIP"] for one in services]
    ports = [
        (port["protocol"], port["nodePort"]) for one in services for port in one["spec"]["ports"] if "nodePort" in port
    ]
    assert len(set(addresses)) == len(addresses)
    assert len(set(ports)) == len(ports)
    return len(services)


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_given_twice_whatever_comes_at_once_and_after_restarts(tmp_path: Path, seed: int) -> None:
    outcomes: set[str] = set()
    for turn in range(ROUNDS):
        async with serving(tmp_path) as server:
            steps = (
                step(server.local, f"s-{turn}-{number}", seed * 10_000 + turn * 100 + number)
                for number in range(AT_ONCE)
            )
            outcomes |= set(await asyncio.gather(*steps))
            assert await check(server.local) > turn * AT_ONCE / 4
    assert outcomes == {"done", "refused"}
