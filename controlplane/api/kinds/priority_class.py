"""PriorityClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, not_supported
from controlplane.api.printing import cluster
from controlplane.api.types import Kind, Object, Strategy

HIGHEST_FOR_USERS = 1_000_000_000
SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def _default(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
    obj.setdefault("value", 0)


def _prepare_create(obj: Object) -> None:
    obj["metadata"]["generation"] = 1


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain, namespaced=False)
    name = obj["metadata"].get("name", "")
    if name.startswith("system-"):
        if SYSTEM.get(name) != obj["value"]:
            text = "priority class names with 'system-' prefix are reserved for system use only. error: "
            why = (
                f"{name} is not a known system priority class"
                if name not in SYSTEM
                else f"value of {name} must be {SYSTEM[name]}"
            )
            errors.append(forbidden("metadata.name", text + why))
    elif obj["value"] > HIGHEST_FOR_USERS:
        errors.append(forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST_FOR_USERS}"))
    if obj["preemptionPolicy"] not in ("Never", "PreemptLowerPriority"):
        supported = ("PreemptLowerPriority", "Never")
        errors.append(not_supported("preemptionPolicy", obj["preemptionPolicy"], supported))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["value"] != old.get("value", 0):
        errors.append(forbidden("value", "may not be changed in an update."))
    if new["preemptionPolicy"] != old.get("preemptionPolicy"):
        errors.append(invalid("preemptionPolicy", new["preemptionPolicy"], "field is immutable"))
    return errors


PRIORITY_CLASS = Kind(
    group="scheduling.k8s.io",
    version="v1",
    name="PriorityClass",
    plural="priorityclasses",
    definition="io.k8s.api.scheduling.v1.PriorityClass",
    namespaced=False,
    short_names=("pc",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        validate=_validate,
        validate_update=_validate_update,
        columns=cluster.PRIORITY_CLASS_COLUMNS,
        row=cluster.priority_class_row,
    ),
)
