"""Events."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, required
from controlplane.api.printing import cluster
from controlplane.api.types import Kind, Object, Strategy

ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
LONGEST, LONGEST_MESSAGE = 128, 1024


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain)
    about = obj.get("involvedObject", {}).get("namespace", "")
    namespace = obj["metadata"].get("namespace")
    if obj.get("eventTime"):
        if not about and namespace not in ("default", "kube-system"):
            errors.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
        return errors + _validate_report(obj)
    if (about and about != namespace) or (not about and namespace != "default"):
        errors.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
    return errors


def _validate_report(obj: Object) -> list[FieldError]:
    """What events of the newer sort, which have a time to the microsecond, have to say."""
    controller = obj.get("reportingComponent", "")
    place = "reportingController"
    errors = invalid_each(place, controller, names.label_key(controller)) if controller else [required(place)]
    for name in ("reportingInstance", "action", "reason"):
        value = obj.get(name, "")
        if not value:
            errors.append(required(name))
        elif len(value) > LONGEST:
            errors.append(invalid(name, "", f"can have at most {LONGEST} characters"))
    if len(obj.get("message", "")) > LONGEST_MESSAGE:
        errors.append(invalid("message", "", f"can have at most {LONGEST_MESSAGE} characters"))
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
    put_creates=True,
    strategy=Strategy(
        validate=_validate,
        validate_update=meta.validate_update,
        fields=_fields,
        columns=cluster.EVENT_COLUMNS,
        row=cluster.event_row,
    ),
)
