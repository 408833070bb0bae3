"""ReplicationControllers, the ReplicaSets of old: their selector is a plain map of labels."""

from __future__ import annotations

from collections.abc import Mapping

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import required
from controlplane.api.printing import workloads
from controlplane.api.rules import workload
from controlplane.api.rules.numbers import non_negative
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import template_warnings


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if "template" not in spec:
        return
    workload.default_workload(obj)
    labels = spec["template"]["metadata"].get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("labels"):
            metadata["labels"] = dict(labels)


def _validate_spec(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = non_negative(spec, "spec", "minReadySeconds")
    selector = spec.get("selector")
    if not selector:
        errors.append(required("spec.selector"))
    errors += non_negative(spec, "spec", "replicas")
    if "template" not in spec:
        return [*errors, required("spec.template")]
    as_others = {"selector": {"matchLabels": selector or {}}, "template": spec["template"]}
    return errors + workload.validate_template_for(as_others, "ReplicationController")


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_spec(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    return errors if new["spec"] == old["spec"] else errors + _validate_spec(new)


def _warnings(obj: Object) -> list[str]:
    return template_warnings(obj) if "template" in obj["spec"] else []


def _fields(obj: Object) -> Mapping[str, str]:
    return {"status.replicas": str(obj.get("status", {}).get("replicas", 0))}


REPLICATION_CONTROLLER = Kind(
    group="",
    version="v1",
    name="ReplicationController",
    plural="replicationcontrollers",
    definition="io.k8s.api.core.v1.ReplicationController",
    short_names=("rc",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=Strategy(
        default=_default,
        prepare_create=workload.prepare_create,
        prepare_update=workload.prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=_warnings,
        fields=_fields,
        columns=workloads.REPLICA_SET_COLUMNS,
        row=workloads.replica_set_row,
    ),
)
