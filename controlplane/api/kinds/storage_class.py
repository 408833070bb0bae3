"""StorageClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, forbidden, invalid, invalid_each, not_supported, required, too_long
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy

BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
RECLAIM_POLICIES = ("Delete", "Retain")
PARAMETERS_BYTES, PARAMETERS_COUNT = 256 * 1024, 512


def _default(obj: Object) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _rules(obj: Object) -> list[FieldError]:
    provisioner = obj.get("provisioner", "")
    errors = [] if provisioner else [required("provisioner")]
    if provisioner:
        errors += invalid_each("provisioner", provisioner, names.label_key(provisioner.lower()))
    errors += validate_parameters(obj.get("parameters", {}))
    if obj["reclaimPolicy"] not in RECLAIM_POLICIES:
        errors.append(not_supported("reclaimPolicy", obj["reclaimPolicy"], RECLAIM_POLICIES))
    if obj["volumeBindingMode"] not in BINDING_MODES:
        errors.append(not_supported("volumeBindingMode", obj["volumeBindingMode"], BINDING_MODES))
    for index, term in enumerate(obj.get("allowedTopologies", ())):
        for number, wanted in enumerate(term.get("matchLabelExpressions", ())):
            place, key = f"allowedTopologies[{index}].matchLabelExpressions[{number}]", wanted.get("key", "")
            if not wanted.get("values"):
                errors.append(required(f"{place}.values"))
            errors += invalid_each(f"{place}.key", key, names.label_key(key))
    return errors


def validate_parameters(parameters: dict[str, str]) -> list[FieldError]:
    """Every error in the parameters that a driver gets."""
    errors: list[FieldError] = []
    if len(parameters) > PARAMETERS_COUNT:
        errors.append(too_long("parameters", PARAMETERS_COUNT))
    if "" in parameters:
        errors.append(invalid("parameters", "", "field can not be empty."))
    if sum(len(key) + len(value) for key, value in parameters.items()) > PARAMETERS_BYTES:
        errors.append(too_long("parameters", PARAMETERS_BYTES))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    errors += [
        forbidden(name, f"updates to {name} are forbidden.")
        for name in ("parameters", "provisioner", "reclaimPolicy")
        if new.get(name) != old.get(name)
    ]
    if new["volumeBindingMode"] != old.get("volumeBindingMode"):
        errors.append(invalid("volumeBindingMode", new["volumeBindingMode"], IMMUTABLE))
    return errors


STORAGE_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    name="StorageClass",
    plural="storageclasses",
    definition="io.k8s.api.storage.v1.StorageClass",
    namespaced=False,
    short_names=("sc",),
    strategy=Strategy(
        default=_default,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        columns=storage.CLASS_COLUMNS,
        row=storage.class_row,
    ),
)
