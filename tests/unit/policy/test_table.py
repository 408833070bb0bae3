"""The table that is kept up to date change by change says the same as one that is made anew, after every change."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.kinds import NAMESPACE, NETWORK_POLICY, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.policy import PolicyTable
from controlplane.policy.rules import NodePolicy, compile_node
from controlplane.server.assembly import open_registry

KINDS = (POD, NAMESPACE, NETWORK_POLICY)
NAMES = ("a", "b")
LABELS = ({}, {"app": "u"}, {"app": "v"}, {"app": "u", "tier": "w"})
STEPS = 70


class Cluster:
    """Random changes of pods, namespaces and policies."""

    def __init__(self, client: LocalClient, seed: int) -> None:
        self.client = client
        self.chance = random.Random(seed)
        self.pods: dict[tuple[str, str], str] = {}
        self.policies: set[tuple[str, str]] = set()
        self.number = 0

    async def step(self) -> None:
        choice = self.chance.choice(("pod", "pod", "policy", "relabel", "namespace", "unpod", "unpolicy", "end"))
        await getattr(self, f"_{choice}")()

    async def _pod(self) -> None:
        self.number += 1
        key = (self.chance.choice(NAMES), f"pod-{self.number}")
        address = f"10.44.1.{1 + self.number}"
        ports = [{"name": "web", "containerPort": 80}] if self.chance.random() < 0.5 else []
        body = {
            "metadata": {"name": key[1], "labels": self._labels()},
            "spec": {
                "nodeName": self.chance.choice(("n1", "n2")),
                "containers": [{"name": "c", "image": "c", "ports": ports}],
            },
        }
        await self.client.create(POD, body, key[0])
        await self._status(key, {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"})
        self.pods[key] = address

    async def _relabel(self) -> None:
        if self.pods:
            namespace, name = self.chance.choice(sorted(self.pods))
            labels = {"app": None, "tier": None, **self._labels()}
            await self.client.patch(POD, name, namespace, body={"metadata": {"labels": labels}})

    async def _end(self) -> None:
        if self.pods:
            await self._status(self.chance.choice(sorted(self.pods)), {"phase": "Succeeded"})

    async def _unpod(self) -> None:
        if self.pods:
            namespace, name = self.chance.choice(sorted(self.pods))
            await self.client.delete(POD, name, namespace, grace_period_seconds=0)
            del self.pods[namespace, name]

    async def _namespace(self) -> None:
        labels = {"team": self.chance.choice(("x", "y", None))}
        await self.client.patch(NAMESPACE, self.chance.choice(NAMES), body={"metadata": {"labels": labels}})

    async def _policy(self) -> None:
        key = (self.chance.choice(NAMES), f"policy-{self.chance.randrange(4)}")
        spec = {"podSelector": self._selector(), "ingress": [self._rule("from")], "egress": [self._rule("to")]}
        spec["policyTypes"] = self.chance.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
        if key in self.policies:
            await self.client.patch(NETWORK_POLICY, key[1], key[0], body={"spec": spec})
        else:
            await self.client.create(NETWORK_POLICY, {"metadata": {"name": key[1]}, "spec": spec}, key[0])
            self.policies.add(key)

    async def _unpolicy(self) -> None:
        if self.policies:
            namespace, name = self.chance.choice(sorted(self.policies))
            await self.client.delete(NETWORK_POLICY, name, namespace)
            self.policies.remove((namespace, name))

    async def _status(self, key: tuple[str, str], status: dict[str, Any]) -> None:
        await self.client.patch(POD, key[1], key[0], body={"status": status}, subresource="status")

    def _rule(self, side: str) -> dict[str, Any]:
        peer: dict[str, Any] = {"podSelector": self._selector()}
        if self.chance.random() < 0.5:
            peer["namespaceSelector"] = self.chance.choice(({}, {"matchLabels": {"team": "x"}}))
        return {side: [peer], "ports": [{"port": "web"}] if self.chance.random() < 0.4 else []}

    def _selector(self) -> dict[str, Any]:
        return {"matchLabels": self._labels()}

    def _labels(self) -> dict[str, str]:
        return dict(self.chance.choice(LABELS))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalClient]:
    async with open_registry(tmp_path / "state.db") as registry:
        made = LocalClient(registry)
        for name in NAMES:
            await made.create(NAMESPACE, {"metadata": {"name": name}})
        yield made


@pytest.mark.parametrize("seed", range(3))
async def test_a_followed_table_equals_a_fresh_one(client: LocalClient, seed: int) -> None:
    cluster = Cluster(client, seed)
    informers = Informers(client)
    table = PolicyTable(informers)
    watching = asyncio.create_task(informers.run())
    try:
        await table.wait_synced()
        wrote = []
        for _ in range(STEPS):
            await cluster.step()
            await _caught_up(client, informers)
            # One that begins now reads everything anew from what the informers hold.
            fresh = PolicyTable(informers)
            for node in ("n1", "n2"):
                followed = _compiled(table, node)
                assert followed == _compiled(fresh, node)
                wrote.append(len(followed.chains))
        assert max(wrote) > 2
        assert min(wrote) == 0
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _compiled(table: PolicyTable, node: str) -> NodePolicy:
    return compile_node(table.pods(node), table.members)


async def _caught_up(client: LocalClient, informers: Informers) -> None:
    async with asyncio.timeout(30):
        for kind in KINDS:
            wanted = {
                obj["metadata"]["uid"]: obj["metadata"]["resourceVersion"] for obj in (await client.list(kind)).items
            }
            while wanted != {o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in informers.of(kind).list()}:  # noqa: ASYNC110
                await asyncio.sleep(0)


DENY = {"podSelector": {}, "policyTypes": ["Ingress"]}
MIRROR = "kubernetes.io/config.mirror"


@pytest.fixture
async def informers(client: LocalClient) -> AsyncIterator[Informers]:
    made = Informers(client)
    watching = asyncio.create_task(made.run())
    yield made
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


@pytest.fixture
async def table(client: LocalClient, informers: Informers) -> PolicyTable:
    """One that follows a cluster in which everything that comes to namespace "a" is denied."""
    await client.create(NETWORK_POLICY, {"metadata": {"name": "deny"}, "spec": DENY}, "a")
    made = PolicyTable(informers)
    await made.wait_synced()
    await _caught_up(client, informers)
    return made


async def _made(client: LocalClient, informers: Informers, **metadata: Any) -> Object:
    body = {
        "metadata": {"name": "web", **metadata},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "c"}]},
    }
    pod = await client.create(POD, body, "a")
    await _caught_up(client, informers)
    return pod


def _addresses(table: PolicyTable) -> list[str]:
    return sorted(pod.address for pod, _ in table.pods("n1"))


async def test_a_pod_counts_from_the_moment_that_its_address_is_noted(
    client: LocalClient, informers: Informers, table: PolicyTable
) -> None:
    pod = await _made(client, informers)
    assert _addresses(table) == []
    assert table.note(pod, ["10.44.1.2"])
    assert _addresses(table) == ["10.44.1.2"]


async def test_one_that_went_while_it_was_made_is_not_noted(
    client: LocalClient, informers: Informers, table: PolicyTable
) -> None:
    pod = await _made(client, informers)
    await client.delete(POD, "web", "a", grace_period_seconds=0)
    await _caught_up(client, informers)
    assert not table.note(pod, ["10.44.1.2"])
    assert _addresses(table) == []
    successor = await _made(client, informers)
    assert not table.note(pod, ["10.44.1.2"]), "another has the name now"
    assert table.note(successor, ["10.44.1.3"])
    assert _addresses(table) == ["10.44.1.3"]


async def test_a_static_pod_is_its_mirror(client: LocalClient, informers: Informers, table: PolicyTable) -> None:
    mirror = await _made(client, informers, annotations={MIRROR: "digest"})
    as_its_node_sees_it = {**mirror, "metadata": {**mirror["metadata"], "uid": "digest"}}
    assert table.note(as_its_node_sees_it, ["10.44.1.2"])
    assert _addresses(table) == ["10.44.1.2"]
    await client.delete(POD, "web", "a", grace_period_seconds=0)
    await _caught_up(client, informers)
    assert _addresses(table) == []
