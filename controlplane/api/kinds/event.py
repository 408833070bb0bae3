"""Events."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid
from controlplane.api.printing import cluster
from controlplane.api.types import Kind, Object, Strategy

ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain)
    about = obj.get("involvedObject", {}).get("namespace", "")
    namespace = obj["metadata"].get("namespace")
    if (about and about != namespace) or (not about and namespace != "default"):
        errors.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
    return errors


def _fields(obj: Object) -> dict[str, str]:
    about = obj.get("involvedObject", {})
    source = obj.get("source", {}).get("component", "") or obj.get("reportingComponent", "")
    return {f"involvedObject.{name}": about.get(name, "") for name in ABOUT} | {
        "reason": obj.get("reason", ""),
        "reportingComponent": obj.get("reportingComponent", ""),
        "source": source,
        "type": obj.get("type", ""),
    }


EVENT = Kind(
    group="",
    version="v1",
    name="Event",
    plural="events",
    definition="io.k8s.api.core.v1.Event",
    short_names=("ev",),
    strategy=Strategy(
        validate=_validate,
        validate_update=meta.validate_update,
        fields=_fields,
        columns=cluster.EVENT_COLUMNS,
        row=cluster.event_row,
    ),
)
