"""What the admission plugins fill in, and what they refuse, through a registry in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import AlreadyExists, Forbidden, Invalid
from controlplane.api.kinds import NAMESPACE, NODE, POD, SERVICE, SERVICE_ACCOUNT
from controlplane.api.types import Object
from controlplane.client.local import LocalClient
from controlplane.server.assembly import open_registry


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalClient]:
    async with open_registry(tmp_path / "state.db") as registry:
        yield LocalClient(registry)


async def pod(client: LocalClient, **spec: Any) -> Object:
    body = {"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}
    return await client.create(POD, body, "default")


async def service(client: LocalClient, name: str, **spec: Any) -> Object:
    spec = {"ports": [{"port": 80}], "selector": {"app": name}} | spec
    return await client.create(SERVICE, {"metadata": {"name": name}, "spec": spec}, "default")


async def test_a_pod_finds_its_accounts_token(client: LocalClient) -> None:
    await client.create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, "default")
    made = await pod(client)
    assert made["spec"]["serviceAccountName"] == "default"
    (volume,) = made["spec"]["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert made["spec"]["containers"][0]["volumeMounts"] == [
        {"name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    ]
    without = await pod(client, automountServiceAccountToken=False)
    assert "volumes" not in without["spec"]


async def test_an_account_that_is_named_must_be_there(client: LocalClient) -> None:
    with pytest.raises(Forbidden, match='error looking up service account default/robot: serviceaccount "robot" not'):
        await pod(client, serviceAccountName="robot")


async def test_priority_comes_from_its_class(client: LocalClient) -> None:
    made = await pod(client, priorityClassName="system-node-critical")
    assert (made["spec"]["priority"], (await pod(client))["spec"]["priority"]) == (2_000_001_000, 0)
    with pytest.raises(Forbidden, match="no PriorityClass with name high was found"):
        await pod(client, priorityClassName="high")


async def test_tolerations_are_added_unless_given(client: LocalClient) -> None:
    made = await pod(client, tolerations=[{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}])
    assert [one.get("tolerationSeconds") for one in made["spec"]["tolerations"]] == [None, 300]


async def test_generated_names_differ(client: LocalClient) -> None:
    names = {(await pod(client))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    await client.create(NAMESPACE, {"metadata": {"name": "other"}})
    with pytest.raises(AlreadyExists):
        await client.create(NAMESPACE, {"metadata": {"name": "other"}})


async def test_services_get_an_address_and_ports(client: LocalClient) -> None:
    made = await service(client, "a", type="NodePort", ports=[{"name": "t", "port": 53}, {"name": "h", "port": 80}])
    ports = [port["nodePort"] for port in made["spec"]["ports"]]
    assert len(set(ports)) == 2
    assert all(30000 <= port <= 32767 for port in ports)
    assert made["spec"]["clusterIP"].startswith("10.48.")
    assert made["spec"]["clusterIPs"] == [made["spec"]["clusterIP"]]
    headless = await service(client, "b", clusterIP="None")
    assert headless["spec"]["clusterIPs"] == ["None"]


async def test_a_port_of_two_protocols_has_one_node_port(client: LocalClient) -> None:
    ports = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    made = await service(client, "dns", type="NodePort", ports=ports)
    assert len({port["nodePort"] for port in made["spec"]["ports"]}) == 1


async def test_what_is_taken_is_refused(client: LocalClient) -> None:
    first = await service(client, "a", type="NodePort")
    node_port = first["spec"]["ports"][0]["nodePort"]
    with pytest.raises(Invalid, match="provided port is already allocated"):
        await service(client, "b", type="NodePort", ports=[{"port": 80, "nodePort": node_port}])
    with pytest.raises(Invalid, match="provided IP is already allocated"):
        await service(client, "b", clusterIP=first["spec"]["clusterIP"])
    with pytest.raises(Invalid, match="The range of valid ports is 30000-32767"):
        await service(client, "b", type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    await client.delete(SERVICE, "a", "default")
    again = await service(client, "b", clusterIP=first["spec"]["clusterIP"])
    assert again["spec"]["clusterIP"] == first["spec"]["clusterIP"]


async def test_an_update_keeps_what_was_allocated(client: LocalClient) -> None:
    first = await service(client, "a", type="NodePort")
    body = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"type": "NodePort", "ports": [{"port": 81}]}}
    second = await client.update(SERVICE, body)
    assert second["spec"]["clusterIP"] == first["spec"]["clusterIP"]
    assert second["spec"]["ports"][0]["nodePort"] == first["spec"]["ports"][0]["nodePort"]
    third = await client.patch(SERVICE, "a", "default", body={"spec": {"type": "ClusterIP"}})
    assert "nodePort" not in third["spec"]["ports"][0]


async def test_allocations_survive_a_restart(tmp_path: Path) -> None:
    async with open_registry(tmp_path / "state.db") as registry:
        first = await service(LocalClient(registry), "a", type="NodePort")
    async with open_registry(tmp_path / "state.db") as registry:
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await service(LocalClient(registry), "b", clusterIP=first["spec"]["clusterIP"])


async def test_a_pod_waits_for_the_first_account_of_its_namespace(tmp_path: Path) -> None:
    async with open_registry(tmp_path / "state.db", account_patience=5.0) as registry:
        patient = LocalClient(registry)
        waiting = asyncio.ensure_future(pod(patient))
        await asyncio.sleep(0)
        await patient.create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, "default")
        made = await waiting
        assert made["spec"]["volumes"][0]["name"].startswith("kube-api-access-")


async def test_a_pod_whose_account_does_not_come_is_refused(tmp_path: Path) -> None:
    async with open_registry(tmp_path / "state.db", account_patience=0.05) as registry:
        text = 'error looking up service account default/default: serviceaccount "default" not found'
        with pytest.raises(Forbidden, match=text):
            await pod(LocalClient(registry))


async def test_a_pod_has_its_nodes_zone_and_region(client: LocalClient) -> None:
    labels = {"topology.kubernetes.io/zone": "a", "topology.kubernetes.io/region": "r", "other": "x"}
    await client.create(NODE, {"metadata": {"name": "node-1", "labels": labels}})
    made = await pod(client)
    name = made["metadata"]["name"]
    binding = {"metadata": {"labels": {"of": "binding"}}, "target": {"kind": "Node", "name": "node-1"}}
    await client.create(POD, binding, "default", subresource="binding", name=name)
    found = (await client.get(POD, name, "default"))["metadata"]["labels"]
    assert found == {"of": "binding"} | {key: value for key, value in labels.items() if key != "other"}
