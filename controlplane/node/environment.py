"""The environment of a container, in the kubelet's order: Services, envFrom, env with $(NAME) references."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from controlplane.api.kinds import CONFIG_MAP, SECRET
from controlplane.api.types import Kind, Object
from controlplane.node.errors import ConfigFailure
from controlplane.node.values import Sources, decoded, expand, pod_field, resource_field

MASTER_NAMESPACE = "default"
MASTER_SERVICES = frozenset({"kubernetes"})

_NAME = re.compile(r"[ -<>-~]+")


def service_variables(services: Iterable[Object], namespace: str, *, links: bool) -> dict[str, str]:
    """The Docker-style variables of the Services of a namespace, and always those of `kubernetes`."""
    chosen: dict[str, Object] = {}
    for service in services:
        metadata = service["metadata"]
        if service["spec"].get("clusterIP") in (None, "", "None"):
            continue
        name = metadata["name"]
        if metadata["namespace"] == namespace and links:
            chosen[name] = service
        elif metadata["namespace"] == MASTER_NAMESPACE and name in MASTER_SERVICES:
            chosen.setdefault(name, service)
    variables: dict[str, str] = {}
    for name in sorted(chosen):
        variables |= _of_service(name, chosen[name]["spec"])
    return variables


def _of_service(name: str, spec: Object) -> dict[str, str]:
    prefix, address = name.upper().replace("-", "_"), spec["clusterIP"]
    host = f"[{address}]" if ":" in address else address
    ports = spec.get("ports") or []
    found: dict[str, str] = {}
    if not ports:
        return found
    found[f"{prefix}_SERVICE_HOST"] = address
    found[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            found[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        number = str(port["port"])
        url = f"{protocol.lower()}://{host}:{number}"
        if index == 0:
            found[f"{prefix}_PORT"] = url
        long = f"{prefix}_PORT_{number}_{protocol}"
        found |= {
            long: url,
            f"{long}_PROTO": protocol.lower(),
            f"{long}_PORT": number,
            f"{long}_ADDR": address,
        }
    return found


async def build(
    pod: Object,
    container: Object,
    sources: Sources,
    services: dict[str, str],
    addresses: dict[str, Any],
    node: dict[str, str],
) -> dict[str, str]:
    """The variables that the manifest asks for; ConfigFailure when a required object or key is missing."""
    namespace = pod["metadata"]["namespace"]
    found = dict(services)
    for origin in container.get("envFrom") or []:
        for kind, word in ((CONFIG_MAP, "configMapRef"), (SECRET, "secretRef")):
            if word in origin:
                values = await _whole(sources, kind, namespace, origin[word])
                prefix = origin.get("prefix") or ""
                found |= {prefix + key: text for key, text in values.items() if _NAME.fullmatch(prefix + key)}
    for entry in container.get("env") or []:
        source = entry.get("valueFrom")
        if source:
            value = await _single(pod, container, source, sources, addresses, node)
            if value is None:
                continue
            found[entry["name"]] = value
        else:
            found[entry["name"]] = expand(entry.get("value") or "", found)
    return found


async def _whole(sources: Sources, kind: Kind, namespace: str, reference: Object) -> dict[str, str]:
    obj = await sources.find(kind, namespace, reference["name"])
    if obj is None:
        if reference.get("optional"):
            return {}
        raise ConfigFailure(f'{kind.singular} "{reference["name"]}" not found')
    return {key: value.decode(errors="replace") for key, value in decoded(obj).items()}


async def _single(
    pod: Object,
    container: Object,
    source: Object,
    sources: Sources,
    addresses: dict[str, Any],
    node: dict[str, str],
) -> str | None:
    if "fieldRef" in source:
        return pod_field(pod, source["fieldRef"]["fieldPath"], addresses)
    if "resourceFieldRef" in source:
        return resource_field(pod, container, source["resourceFieldRef"], node)
    for kind, word in ((CONFIG_MAP, "configMapKeyRef"), (SECRET, "secretKeyRef")):
        if word in source:
            return await _key(sources, kind, pod["metadata"]["namespace"], source[word])
    raise ConfigFailure(f"unsupported env source: {', '.join(sorted(source))}")


async def _key(sources: Sources, kind: Kind, namespace: str, reference: Object) -> str | None:
    name, key = reference["name"], reference["key"]
    obj = await sources.find(kind, namespace, name)
    if obj is None:
        if reference.get("optional"):
            return None
        raise ConfigFailure(f'{kind.singular} "{name}" not found')
    data = decoded(obj)
    if key not in data:
        if reference.get("optional"):
            return None
        raise ConfigFailure(f"couldn't find key {key} in {kind.name} {namespace}/{name}")
    return data[key].decode(errors="replace")
