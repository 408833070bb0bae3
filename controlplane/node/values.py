"""Values that a manifest takes from elsewhere: fields of the pod, resources, ConfigMaps and Secrets.

Pure, except that ConfigMaps and Secrets come through `Sources`.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from controlplane.api.errors import NotFound
from controlplane.api.kinds import CONFIG_MAP, SECRET
from controlplane.api.quantity import NANO, nanos
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.node.errors import ConfigFailure

_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")
_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z0-9]+)\))")


class Sources:
    """ConfigMaps and Secrets: from the shared informers, or from the API if one is too new for them."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._informers = {kind: informers.of(kind) for kind in (CONFIG_MAP, SECRET)}

    async def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None if there is none."""
        found = self._informers[kind].get(name, namespace)
        if found is not None:
            return found
        try:
            return await self._client.get(kind, name, namespace)
        except NotFound:
            return None


def decoded(obj: Object) -> dict[str, bytes]:
    """The data of a ConfigMap or Secret as bytes."""
    binary = {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    data = obj.get("data") or {}
    if obj["kind"] == SECRET.name:
        return {key: base64.b64decode(value or "") for key, value in data.items()}
    return binary | {key: value.encode() for key, value in data.items()}


def expand(text: str, variables: dict[str, str]) -> str:
    """Replaces $(NAME) by the variable; $$ is one $, and an unknown name stays as it is."""
    return _REFERENCE.sub(lambda m: "$" if m[1] is None else variables.get(m[1], m[0]), text)


def references(text: str) -> list[str]:
    """The names of the variables that a text refers to."""
    return [match[1] for match in _REFERENCE.finditer(text) if match[1] is not None]


def pod_field(pod: Object, path: str, addresses: dict[str, Any]) -> str:
    """The downward API's fieldRef; `addresses` has podIP, podIPs, hostIP and hostIPs. ConfigFailure if unknown."""
    metadata, spec = pod["metadata"], pod["spec"]
    match = _SUBSCRIPT.fullmatch(path)
    if match:
        mapping = metadata.get(match[1].removeprefix("metadata.")) or {}
        return str(mapping.get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        mapping = metadata.get(path.removeprefix("metadata.")) or {}
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(mapping.items()))
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": addresses.get("hostIP", ""),
        "status.hostIPs": ",".join(addresses.get("hostIPs", [])),
        "status.podIP": addresses.get("podIP", ""),
        "status.podIPs": ",".join(addresses.get("podIPs", [])),
    }
    if path not in simple:
        raise ConfigFailure(f"unsupported fieldPath: {path}")
    return str(simple[path])


def resource_field(pod: Object, container: Object, reference: Object, node: dict[str, str]) -> str:
    """The downward API's resourceFieldRef; a limit that is not set is the node's allocatable."""
    name = reference.get("containerName")
    if name:
        every = [*pod["spec"].get("containers", []), *pod["spec"].get("initContainers", [])]
        container = next((c for c in every if c["name"] == name), container)
    section, _, resource = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    value = (resources.get(section) or {}).get(resource)
    if value is None and section == "requests":
        value = (resources.get("limits") or {}).get(resource, "0")
    elif value is None:
        value = node.get(resource, "0")
    divisor = nanos(reference.get("divisor") or "1") or NANO
    return str(-(-nanos(value) // divisor))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
