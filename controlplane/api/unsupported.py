"""Fields that are accepted and not honoured by this version: nothing is ignored without a word.

The table names fields by their path below the pod spec; "[]" stands for each item of a list. A
field leaves the table when something honours it. Each use of one gives a text for the HTTP
`Warning` header, so kubectl prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controlplane.api.types import Object

_NOT_APPLIED = "is not applied by this version of netsim"
_NO_PROFILES = "is not applied by this version of netsim: containers run without such a profile"

_CONTAINER = {
    "livenessProbe.grpc": "is not supported by this version of netsim: the probe always fails",
    "readinessProbe.grpc": "is not supported by this version of netsim: the probe always fails",
    "startupProbe.grpc": "is not supported by this version of netsim: the probe always fails",
    "ports[].hostIP": _NOT_APPLIED,
    "ports[].hostPort": "is reserved by the scheduler, but the port is not forwarded by this version of netsim",
    "resizePolicy": _NOT_APPLIED,
    "restartPolicyRules": "is not applied by this version of netsim: the restart policy of the pod is",
    "securityContext.appArmorProfile": _NO_PROFILES,
    "securityContext.seLinuxOptions": _NO_PROFILES,
    "securityContext.seccompProfile": _NO_PROFILES,
    "securityContext.windowsOptions": _NOT_APPLIED,
    "stdin": "is not supported by this version of netsim: standard input is empty",
    "stdinOnce": "is not supported by this version of netsim: standard input is empty",
    "volumeDevices": "is not supported by this version of netsim: the container sees no device",
    "volumeMounts[].mountPropagation": "is not applied by this version of netsim: mounts are private",
    "volumeMounts[].recursiveReadOnly": _NOT_APPLIED,
}

POD_SPEC: dict[str, str] = {
    "activeDeadlineSeconds": "is not applied by this version of netsim: the pod runs on past its deadline",
    "evictionResponders": _NOT_APPLIED,
    "hostIPC": "is not applied by this version of netsim: the pod has an IPC namespace of its own",
    "hostUsers": _NOT_APPLIED,
    "hostnameOverride": _NOT_APPLIED,
    "resources": "is not applied by this version of netsim: limits of containers are",
    "runtimeClassName": "is not applied by this version of netsim: the pod runs under the node's only runtime",
    "securityContext.appArmorProfile": _NO_PROFILES,
    "securityContext.fsGroupChangePolicy": _NOT_APPLIED,
    "securityContext.seLinuxChangePolicy": _NOT_APPLIED,
    "securityContext.seLinuxOptions": _NO_PROFILES,
    "securityContext.seccompProfile": _NO_PROFILES,
    "securityContext.supplementalGroupsPolicy": _NOT_APPLIED,
    "securityContext.windowsOptions": _NOT_APPLIED,
    "setHostnameAsFQDN": _NOT_APPLIED,
    "shareProcessNamespace": "is not applied by this version of netsim: containers do not see each other's processes",
    "volumes[].emptyDir.sizeLimit": _NOT_APPLIED,
    **{f"containers[].{name}": text for name, text in _CONTAINER.items()},
    **{f"initContainers[].{name}": text for name, text in _CONTAINER.items()},
}
"""Field of the pod spec to what happens instead."""

SERVICE_SPEC = {
    "trafficDistribution": "is not applied by this version of netsim: traffic goes to all endpoints alike",
}

VOLUMES = frozenset(("name", "configMap", "downwardAPI", "emptyDir", "hostPath", "projected", "secret"))
"""Fields of a volume that are honoured; a pod with another waits, and its events say for what."""


def pod_warnings(obj: Object) -> list[str]:
    """The warnings for a pod."""
    return _pod_spec(obj["spec"], "spec")


def template_warnings(obj: Object) -> list[str]:
    """The warnings for anything with a pod template."""
    return _pod_spec(obj["spec"]["template"]["spec"], "spec.template.spec")


def service_warnings(obj: Object) -> list[str]:
    """The warnings for a Service."""
    return list(_warnings(obj["spec"], SERVICE_SPEC, "spec"))


def _pod_spec(spec: Mapping[str, Any], path: str) -> list[str]:
    found = list(_warnings(spec, POD_SPEC, path))
    for index, volume in enumerate(spec.get("volumes", ())):
        place = f"{path}.volumes[{index}]"
        text = "is not supported by this version of netsim: the pod waits for it"
        found += [f"{place}.{source}: {text}" for source in volume if source not in VOLUMES]
    return found


def _warnings(fields: Mapping[str, Any], table: Mapping[str, str], path: str) -> Iterator[str]:
    for name, text in table.items():
        for place in _places(fields, name.split("."), path):
            yield f"{place}: {text}"


def _places(value: Any, names: list[str], path: str) -> Iterable[str]:
    """The paths at which `names` lead to a value that says something."""
    if not names:
        if value not in (None, False, "", [], {}):
            yield path
        return
    name, rest = names[0], names[1:]
    field = name.removesuffix("[]")
    if not isinstance(value, dict) or field not in value:
        return
    if name.endswith("[]"):
        for index, item in enumerate(value[field]):
            yield from _places(item, rest, f"{path}.{field}[{index}]")
    else:
        yield from _places(value[field], rest, f"{path}.{field}")
