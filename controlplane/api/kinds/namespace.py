"""Namespaces."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid_each
from controlplane.api.printing import cluster
from controlplane.api.types import Kind, Object, Strategy

NAME_LABEL = "kubernetes.io/metadata.name"


def _default(obj: Object) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        metadata["labels"] = metadata.get("labels", {}) | {NAME_LABEL: metadata["name"]}
    obj.setdefault("spec", {})
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"phase": "Active"}
    finalizers = obj["spec"].get("finalizers", [])
    if "kubernetes" not in finalizers:
        obj["spec"]["finalizers"] = [*finalizers, "kubernetes"]


def _prepare_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "spec", "status")


def _prepare_status_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "spec")


def _validate_finalizers(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in obj["spec"].get("finalizers", ()):
        errors += invalid_each("spec.finalizers", name, names.label_key(name))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_label, namespaced=False) + _validate_finalizers(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + _validate_finalizers(new)


NAMESPACE = Kind(
    group="",
    version="v1",
    name="Namespace",
    plural="namespaces",
    definition="io.k8s.api.core.v1.Namespace",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=("finalize", "status"),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=_prepare_update,
        prepare_status_update=_prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        fields=lambda obj: {"status.phase": obj.get("status", {}).get("phase", "")},
        columns=cluster.NAMESPACE_COLUMNS,
        row=cluster.namespace_row,
    ),
)
