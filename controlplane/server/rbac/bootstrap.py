"""Puts the default roles and bindings in place, and mends them, at every start.

As upstream's reconciliation: what is absent is made, missing rules, subjects and labels are added,
what somebody added stays, and an object annotated `autoupdate: "false"` is left alone. A start that
finds all in order writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from controlplane.api.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from controlplane.api.rules.rbac import GROUP
from controlplane.api.types import Kind, Object
from controlplane.server.rbac import controller_roles, defaults
from controlplane.server.rbac.rules import Rule, missing
from controlplane.server.registry import Registry
from controlplane.server.requests import DeleteOptions, WriteOptions
from controlplane.store import Key

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
NAMESPACE = "kube-system"

Default = tuple[Kind, Object]


async def ensure_default_roles(registry: Registry) -> None:
    """Makes what is missing of the default roles and bindings, all in one breath."""
    await asyncio.gather(*_steps(registry, _defaults()))


def _steps(registry: Registry, wanted: Iterable[Default]) -> Iterator[Coroutine[Any, Any, None]]:
    for kind, obj in wanted:
        metadata = obj["metadata"]
        latest = registry.store.latest(Key(kind.resource, metadata.get("namespace", ""), metadata["name"]))
        if latest is None:
            yield _create(registry, kind, obj)
            continue
        found = latest.decode()
        if found["metadata"].get("annotations", {}).get(AUTOUPDATE) == "false":
            continue
        if found.get("roleRef") != obj.get("roleRef"):
            yield _replace(registry, kind, obj)
            continue
        mended = _mended(found, obj)
        if mended != found:
            yield _update(registry, kind, mended)


async def _create(registry: Registry, kind: Kind, obj: Object) -> None:
    await registry.create(kind, obj["metadata"].get("namespace", ""), obj, WriteOptions())


async def _update(registry: Registry, kind: Kind, obj: Object) -> None:
    metadata = obj["metadata"]
    await registry.update(kind, metadata["name"], metadata.get("namespace", ""), obj, WriteOptions())


async def _replace(registry: Registry, kind: Kind, obj: Object) -> None:
    """A binding's role reference cannot change, so the binding is made anew; later, if finalizers hold the old one."""
    metadata = obj["metadata"]
    deleted = await registry.delete(kind, metadata["name"], metadata.get("namespace", ""), DeleteOptions())
    if deleted.gone:
        await _create(registry, kind, obj)


def _mended(found: Object, wanted: Object) -> Object:
    """`found` with all that `wanted` has and it lacks."""
    metadata = dict(found["metadata"])
    for part in ("labels", "annotations"):
        metadata[part] = wanted["metadata"].get(part, {}) | metadata.get(part, {})
    mended = found | {"metadata": metadata}
    if "aggregationRule" in wanted:
        mended["aggregationRule"] = _joined(found.get("aggregationRule", {}), wanted["aggregationRule"])
        return mended
    lacking = missing(
        [Rule.of(rule) for rule in found.get("rules", ())], [Rule.of(rule) for rule in wanted.get("rules", ())]
    )
    if lacking:
        mended["rules"] = [*found.get("rules", ()), *(rule.wire() for rule in lacking)]
    subjects = [one for one in wanted.get("subjects", ()) if one not in found.get("subjects", ())]
    if subjects:
        mended["subjects"] = [*found.get("subjects", ()), *subjects]
    return mended


def _joined(found: Object, wanted: Object) -> Object:
    field = "clusterRoleSelectors"
    lacking = [one for one in wanted[field] if one not in found.get(field, ())]
    return {field: [*found.get(field, ()), *lacking]} if lacking else found


def _defaults() -> Iterator[Default]:
    """Every default object; the aggregated roles after those that they collect, to be filled once."""
    for name, lines in defaults.CLUSTER_ROLES.items():
        yield CLUSTER_ROLE, _role(name, lines, aggregate_to=defaults.SOURCES.get(name, ""))
    for name in reversed(defaults.AGGREGATED):
        yield CLUSTER_ROLE, _aggregated(name, aggregate_to=defaults.AGGREGATED[name])
    for name, subjects in defaults.CLUSTER_BINDINGS.items():
        yield CLUSTER_ROLE_BINDING, _binding(name, CLUSTER_ROLE, name, subjects)
    for (namespace, name), lines in defaults.ROLES.items():
        yield ROLE, _role(name, lines, namespace=namespace)
    for (namespace, name), (role, subjects) in defaults.BINDINGS.items():
        yield ROLE_BINDING, _binding(name, ROLE, role, subjects, namespace=namespace)
    for account, lines in controller_roles.CONTROLLER_ROLES.items():
        name = controller_roles.PREFIX + account
        yield CLUSTER_ROLE, _role(name, lines)
        yield CLUSTER_ROLE_BINDING, _binding(name, CLUSTER_ROLE, name, f"ServiceAccount/{account}")


def _metadata(name: str, namespace: str = "", aggregate_to: str = "") -> Object:
    metadata: Object = {"name": name, "annotations": {AUTOUPDATE: "true"}, "labels": dict(LABELS)}
    if namespace:
        metadata["namespace"] = namespace
    if aggregate_to:
        metadata["labels"][AGGREGATE + aggregate_to] = "true"
    return metadata


def _role(name: str, lines: str, *, namespace: str = "", aggregate_to: str = "") -> Object:
    found = [rule.wire() for rule in defaults.rules(lines)]
    return {"metadata": _metadata(name, namespace, aggregate_to), "rules": found}


def _aggregated(name: str, *, aggregate_to: str) -> Object:
    selector = {"matchLabels": {f"{AGGREGATE}{name}": "true"}}
    return {
        "metadata": _metadata(name, aggregate_to=aggregate_to),
        "aggregationRule": {"clusterRoleSelectors": [selector]},
    }


def _binding(name: str, role_kind: Kind, role: str, subjects: str, *, namespace: str = "") -> Object:
    binding: Object = {
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": GROUP, "kind": role_kind.name, "name": role},
    }
    if subjects:
        binding["subjects"] = [_subject(*text.split("/")) for text in subjects.split()]
    return binding


def _subject(kind: str, name: str) -> Object:
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": NAMESPACE}
    return {"apiGroup": GROUP, "kind": kind, "name": name}
