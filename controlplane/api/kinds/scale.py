"""Scale: the body of every /scale subresource, not a resource of its own."""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid
from controlplane.api.types import Kind, Object, Strategy


def _validate(obj: Object) -> list[FieldError]:
    replicas = obj.get("spec", {}).get("replicas", 0)
    return [invalid("spec.replicas", replicas, names.NON_NEGATIVE)] if replicas < 0 else []


SCALE = Kind(
    group="autoscaling",
    version="v1",
    name="Scale",
    plural="scales",
    definition="io.k8s.api.autoscaling.v1.Scale",
    verbs=("get", "patch", "update"),
    strategy=Strategy(validate=_validate, validate_update=lambda new, old: _validate(new)),
)
