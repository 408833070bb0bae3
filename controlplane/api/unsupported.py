"""Fields that are accepted and not honoured by this version: nothing is ignored without a word.

The table names fields by their path below the pod spec; "[]" stands for each item of a list. A
field leaves the table when something honours it. Each use of one gives a text for the HTTP
`Warning` header, so kubectl prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from controlplane.api.types import Object

_NOT_APPLIED = "is not applied by this version of netsim"
_NO_PROFILES = "is not applied by this version of netsim: containers run without such a profile"

_CONTAINER = {
    "securityContext.seLinuxOptions": _NO_PROFILES,
    "securityContext.windowsOptions": _NOT_APPLIED,
    "volumeMounts[].bindMountOptions": _NOT_APPLIED,
}

POD_SPEC: dict[str, str] = {
    "evictionResponders": _NOT_APPLIED,
    "resources": "is not applied by this version of netsim: limits of containers are",
    "runtimeClassName": "is not applied by this version of netsim: the pod runs under the node's only runtime",
    "securityContext.seLinuxChangePolicy": _NOT_APPLIED,
    "securityContext.seLinuxOptions": _NO_PROFILES,
    "securityContext.windowsOptions": _NOT_APPLIED,
    **{f"containers[].{name}": text for name, text in _CONTAINER.items()},
    **{f"initContainers[].{name}": text for name, text in _CONTAINER.items()},
}
"""Field of the pod spec to what happens instead."""

HOST_USERS = "is not applied by this version of netsim: pods have the machine's users"
"""Said where it is false."""

VOLUMES = frozenset(
    (
        "name",
        "configMap",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "gcePersistentDisk",
        "hostPath",
        "nfs",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
"""Fields of a volume that are honoured; a pod with another waits, and its events say for what."""


KINDS = {
    "ClusterTrustBundle": "is not projected into pods by this version of netsim",
    "DeviceClass": "devices are not allocated by this version of netsim",
    "DeviceTaintRule": "devices are not allocated by this version of netsim",
    "FlowSchema": "requests are not queued by this version of netsim: all are served alike",
    "Ingress": "no Ingress controller is running in this cluster: nothing is routed until one is",
    "IPAddress": "addresses of Services are not taken from IPAddresses by this version of netsim",
    "MutatingAdmissionPolicy": "is not evaluated by this version of netsim: no request is changed by it",
    "MutatingAdmissionPolicyBinding": "is not evaluated by this version of netsim: no request is changed by it",
    "PodCertificateRequest": "no signer is running in this cluster: the request is not signed",
    "PriorityLevelConfiguration": "requests are not queued by this version of netsim: all are served alike",
    "ResourceClaim": "devices are not allocated by this version of netsim",
    "ResourceClaimTemplate": "devices are not allocated by this version of netsim",
    "ResourceSlice": "devices are not allocated by this version of netsim",
    "ServiceCIDR": "addresses of Services are not taken from ServiceCIDRs by this version of netsim",
    "StorageVersionMigration": "nothing is rewritten by this version of netsim",
    "ValidatingAdmissionPolicy": "is not evaluated by this version of netsim: no request is refused by it",
    "ValidatingAdmissionPolicyBinding": "is not evaluated by this version of netsim: no request is refused by it",
}
"""Kinds that are kept and shown, and that nothing acts on, to what is said about a new one."""


def kind_warnings(obj: Object) -> list[str]:
    """The warning for an object of a kind that nothing acts on yet, for its strategy to give."""
    return [f"{obj['kind']}: {KINDS[obj['kind']]}"]


def pod_warnings(obj: Object) -> list[str]:
    """The warnings for a pod."""
    return _pod_spec(obj["spec"], "spec")


def template_warnings(obj: Object) -> list[str]:
    """The warnings for anything with a pod template."""
    return _pod_spec(obj["spec"]["template"]["spec"], "spec.template.spec")


def job_template_warnings(obj: Object) -> list[str]:
    """The warnings for a CronJob."""
    return _pod_spec(obj["spec"]["jobTemplate"]["spec"]["template"]["spec"], "spec.jobTemplate.spec.template.spec")


def _pod_spec(spec: Mapping[str, Any], path: str) -> list[str]:
    found = list(_warnings(spec, _POD_TREE, path))
    if spec.get("hostUsers") is False:
        found.append(f"{path}.hostUsers: {HOST_USERS}")
    for index, volume in enumerate(spec.get("volumes", ())):
        place = f"{path}.volumes[{index}]"
        text = "is not supported by this version of netsim: the pod waits for it"
        found += [f"{place}.{source}: {text}" for source in volume if source not in VOLUMES]
    return found


class _Branch(NamedTuple):
    """One step of the paths of a table: a field, whether it is a list, and the text or what comes below."""

    field: str
    many: bool
    text: str
    below: tuple[_Branch, ...]


def _tree(table: Mapping[str, str]) -> tuple[_Branch, ...]:
    """The paths of a table by their first step, so that each step of an object is looked up once."""
    grouped: dict[str, dict[str, str]] = {}
    for path, text in table.items():
        step, _, rest = path.partition(".")
        grouped.setdefault(step, {})[rest] = text
    return tuple(
        _Branch(step.removesuffix("[]"), step.endswith("[]"), rests.pop("", ""), _tree(rests))
        for step, rests in grouped.items()
    )


def _warnings(fields: Mapping[str, Any], tree: tuple[_Branch, ...], path: str) -> Iterator[str]:
    for branch in tree:
        value = fields.get(branch.field)
        if not value:
            continue
        place = f"{path}.{branch.field}"
        if branch.text:
            yield f"{place}: {branch.text}"
        elif branch.many:
            for index, item in enumerate(value):
                yield from _warnings(item, branch.below, f"{place}[{index}]")
        else:
            yield from _warnings(value, branch.below, place)


_POD_TREE = _tree(POD_SPEC)
