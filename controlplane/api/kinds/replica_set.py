"""ReplicaSets."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import workloads
from controlplane.api.rules import workload
from controlplane.api.rules.numbers import non_negative
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import template_warnings


def _default(obj: Object) -> None:
    workload.default_workload(obj)


def _validate_spec(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = non_negative(spec, "spec", "replicas", "minReadySeconds")
    errors += workload.validate_selector_given(spec, "replicaset")
    return errors + workload.validate_template_for(spec, "ReplicaSet")


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_spec(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["spec"] == old["spec"]:
        return errors
    return errors + _validate_spec(new) + workload.validate_same_selector(new, old)


REPLICA_SET = Kind(
    group="apps",
    version="v1",
    name="ReplicaSet",
    plural="replicasets",
    definition="io.k8s.api.apps.v1.ReplicaSet",
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=Strategy(
        default=_default,
        prepare_create=workload.prepare_create,
        prepare_update=workload.prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=template_warnings,
        columns=workloads.REPLICA_SET_COLUMNS,
        row=workloads.replica_set_row,
    ),
)
