"""Nodes."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, forbidden, invalid_each, not_supported, required
from controlplane.api.printing import cluster
from controlplane.api.rules.scheduling import EFFECTS
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})
    status = obj.get("status", {})
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def _prepare_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "status")


def _prepare_status_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "spec")


def _validate_spec(spec: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(spec.get("taints", ())):
        path = f"spec.taints[{index}]"
        key, effect = taint.get("key", ""), taint.get("effect", "")
        errors += invalid_each(f"{path}.key", key, names.label_key(key))
        errors += invalid_each(f"{path}.value", taint.get("value", ""), names.label_value(taint.get("value", "")))
        if not effect:
            errors.append(required(f"{path}.effect"))
        elif effect not in EFFECTS:
            errors.append(not_supported(f"{path}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            errors.append(duplicate(path, taint))
        seen.add((key, effect))
    for index, cidr in enumerate(spec.get("podCIDRs", ())):
        errors += invalid_each(f"spec.podCIDRs[{index}]", cidr, names.cidr(cidr))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain, namespaced=False) + _validate_spec(obj["spec"])


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    spec, before = new["spec"], old.get("spec", {})
    if spec == before:
        return errors
    for name in ("podCIDRs", "providerID"):
        if before.get(name) and spec.get(name) != before[name]:
            text = 'node updates may not change podCIDR except from "" to valid'
            if name == "providerID":
                text = 'node updates may not change providerID except from "" to valid'
            errors.append(forbidden(f"spec.{name}", text))
    return errors + _validate_spec(spec)


NODE = Kind(
    group="",
    version="v1",
    name="Node",
    plural="nodes",
    definition="io.k8s.api.core.v1.Node",
    namespaced=False,
    short_names=("no",),
    subresources=("proxy", "status"),
    strategy=Strategy(
        default=_default,
        prepare_update=_prepare_update,
        prepare_status_update=_prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        fields=lambda obj: {"spec.unschedulable": "true" if obj.get("spec", {}).get("unschedulable") else "false"},
        columns=cluster.NODE_COLUMNS,
        row=cluster.node_row,
    ),
)
