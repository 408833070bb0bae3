"""Quotas and limit ranges at admission, and the defaults that admission gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import Forbidden
from controlplane.api.kinds import (
    CONFIG_MAP,
    INGRESS,
    INGRESS_CLASS,
    LIMIT_RANGE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    RUNTIME_CLASS,
    SERVICE,
    STORAGE_CLASS,
)
from controlplane.api.types import Kind, Object
from controlplane.server.assembly import open_registry
from controlplane.server.registry import Registry
from controlplane.server.requests import DeleteOptions, WriteOptions

OPTIONS = WriteOptions()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path / "state.db") as opened:
        yield opened


async def create(registry: Registry, kind: Kind, name: str, **fields: Any) -> Object:
    body = {"metadata": {"name": name}, **fields}
    namespace = "default" if kind.namespaced else ""
    return (await registry.create(kind, namespace, body, OPTIONS)).document


def spec(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: Any) -> Object:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {"containers": [{"name": "web", "image": "nginx", "resources": resources}], **more}


async def refused(registry: Registry, kind: Kind, name: str, **fields: Any) -> str:
    with pytest.raises(Forbidden) as error:
        await create(registry, kind, name, **fields)
    return error.value.message


async def test_a_quota_is_not_exceeded(registry: Registry) -> None:
    hard = {"pods": "2", "requests.cpu": "1", "count/configmaps": "1", "services.nodeports": "1"}
    await create(registry, RESOURCE_QUOTA, "small", spec={"hard": hard})
    assert await refused(registry, POD, "silent", spec=spec()) == (
        'pods "silent" is forbidden: failed quota: small: must specify requests.cpu for: web'
    )
    await create(registry, POD, "a", spec=spec({"cpu": "600m"}))
    assert await refused(registry, POD, "b", spec=spec({"cpu": "500m"})) == (
        'pods "b" is forbidden: exceeded quota: small, requested: requests.cpu=500m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    await create(registry, POD, "b", spec=spec({"cpu": "400m"}))
    assert "exceeded quota: small, requested: pods=1,requests.cpu=1m" in await refused(
        registry, POD, "c", spec=spec({"cpu": "1m"})
    )
    await registry.delete(POD, "a", "default", DeleteOptions(grace_period_seconds=0))
    await create(registry, POD, "c", spec=spec({"cpu": "600m"}))
    await create(registry, CONFIG_MAP, "one")
    assert "requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1" in await refused(
        registry, CONFIG_MAP, "two"
    )
    ports = {"type": "NodePort", "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}
    assert "requested: services.nodeports=2, used: services.nodeports=0" in await refused(
        registry, SERVICE, "web", spec=ports
    )


async def test_a_quota_counts_what_was_there_and_what_an_update_adds(registry: Registry) -> None:
    await create(registry, SERVICE, "web", spec={"ports": [{"port": 80}]})
    await create(registry, RESOURCE_QUOTA, "small", spec={"hard": {"services": "1", "services.nodeports": "0"}})
    assert "used: services=1" in await refused(registry, SERVICE, "more", spec={"ports": [{"port": 80}]})
    with pytest.raises(Forbidden, match=r"requested: services\.nodeports=1"):
        await registry.patch(SERVICE, "web", "default", {"spec": {"type": "NodePort"}}, "merge", OPTIONS)
    await registry.patch(SERVICE, "web", "default", {"metadata": {"labels": {"a": "b"}}}, "merge", OPTIONS)


async def test_what_is_used_is_known_after_a_restart(tmp_path: Path) -> None:
    async with open_registry(tmp_path / "again.db") as first:
        await create(first, RESOURCE_QUOTA, "small", spec={"hard": {"pods": "1"}})
        await create(first, POD, "a", spec=spec())
    async with open_registry(tmp_path / "again.db") as second:
        assert "used: pods=1" in await refused(second, POD, "b", spec=spec())


async def test_scopes_narrow_a_quota(registry: Registry) -> None:
    await create(registry, RESOURCE_QUOTA, "loose", spec={"hard": {"pods": "0"}, "scopes": ["BestEffort"]})
    assert "exceeded quota: loose" in await refused(registry, POD, "silent", spec=spec())
    await create(registry, POD, "saying", spec=spec({"cpu": "1"}))
    selector = {
        "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]
    }
    await create(registry, RESOURCE_QUOTA, "high", spec={"hard": {"pods": "0"}, "scopeSelector": selector})
    assert "exceeded quota: high" in await refused(
        registry, POD, "high", spec=spec({"cpu": "1"}, priorityClassName="system-node-critical")
    )


async def test_a_limit_range_fills_in_and_refuses(registry: Registry) -> None:
    container = {
        "type": "Container",
        "default": {"cpu": "500m"},
        "defaultRequest": {"cpu": "250m", "memory": "64Mi"},
        "min": {"cpu": "100m"},
        "max": {"cpu": "1"},
    }
    claim = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
    await create(registry, LIMIT_RANGE, "range", spec={"limits": [container, claim]})
    pod = await create(registry, POD, "silent", spec=spec())
    assert pod["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "250m", "memory": "64Mi"},
        "limits": {"cpu": "500m"},
    }
    assert pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container web; cpu limit for container web"
    )
    assert await refused(registry, POD, "greedy", spec=spec({"cpu": "50m"}, {"cpu": "2"})) == (
        'pods "greedy" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, '
        "maximum cpu usage per Container is 1, but limit is 2]"
    )
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "500Mi"}}}
    assert await refused(registry, PERSISTENT_VOLUME_CLAIM, "data", spec=wanted) == (
        'persistentvolumeclaims "data" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, '
        "but request is 500Mi"
    )


async def test_sizes_are_said_as_they_were_written(registry: Registry) -> None:
    await create(registry, LIMIT_RANGE, "range", spec={"limits": [{"type": "Container", "max": {"memory": "400M"}}]})
    assert await refused(registry, POD, "big", spec=spec({"memory": "64Mi"}, {"memory": "500M"})) == (
        'pods "big" is forbidden: maximum memory usage per Container is 400M, but limit is 500M'
    )


async def test_the_whole_pod_is_in_a_range_too(registry: Registry) -> None:
    item = {"type": "Pod", "max": {"memory": "1Gi"}, "maxLimitRequestRatio": {"cpu": "2"}}
    await create(registry, LIMIT_RANGE, "range", spec={"limits": [item]})
    two = spec({"cpu": "1", "memory": "1Mi"}, {"cpu": "3", "memory": "600Mi"})
    two["containers"].append(two["containers"][0] | {"name": "other"})
    assert await refused(registry, POD, "big", spec=two) == (
        'pods "big" is forbidden: [maximum memory usage per Pod is 1Gi, but limit is 1200Mi, '
        "cpu max limit to request ratio per Pod is 2, but provided ratio is 3.000000]"
    )


async def test_claims_get_the_default_class_and_are_protected(registry: Registry) -> None:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    body = {"metadata": {"name": "fast", "annotations": default}, "provisioner": "example.com/disk"}
    await registry.create(STORAGE_CLASS, "", body, OPTIONS)
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = await create(registry, PERSISTENT_VOLUME_CLAIM, "data", spec=wanted)
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    none = await create(registry, PERSISTENT_VOLUME_CLAIM, "none", spec=wanted | {"storageClassName": ""})
    assert none["spec"]["storageClassName"] == ""
    larger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    with pytest.raises(Forbidden, match="Only bound persistent volume claims can be expanded"):
        await registry.patch(PERSISTENT_VOLUME_CLAIM, "data", "default", larger, "merge", OPTIONS)


async def test_ingresses_get_the_default_class(registry: Registry) -> None:
    note = {"ingressclass.kubernetes.io/is-default-class": "true"}
    body = {"metadata": {"name": "nginx", "annotations": note}, "spec": {"controller": "example.com/nginx"}}
    await registry.create(INGRESS_CLASS, "", body, OPTIONS)
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = await create(registry, INGRESS, "web", spec={"defaultBackend": backend})
    assert ingress["spec"]["ingressClassName"] == "nginx"


async def test_a_runtime_class_must_be_there_and_brings_its_overhead(registry: Registry) -> None:
    assert await refused(registry, POD, "web", spec=spec(runtimeClassName="kata")) == (
        'pods "web" is forbidden: pod rejected: RuntimeClass "kata" not found'
    )
    await create(
        registry,
        RUNTIME_CLASS,
        "kata",
        handler="kata",
        overhead={"podFixed": {"cpu": "10m"}},
        scheduling={"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]},
    )
    pod = await create(registry, POD, "web", spec=spec(runtimeClassName="kata"))
    assert pod["spec"]["overhead"] == {"cpu": "10m"}
    assert pod["spec"]["nodeSelector"] == {"vm": "yes"}
    assert {"key": "vm", "operator": "Exists"} in pod["spec"]["tolerations"]
    assert "pod.spec.nodeSelector[vm] = no" in await refused(
        registry, POD, "other", spec=spec(runtimeClassName="kata", nodeSelector={"vm": "no"})
    )
