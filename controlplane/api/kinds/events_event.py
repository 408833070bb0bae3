"""Events in events.k8s.io/v1: the core group's Events under other names.

Kept as core Events. Fields follow pkg/apis/events/v1/conversion.go, checks ValidateEventCreate.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, required
from controlplane.api.kinds.event import EVENT
from controlplane.api.printing import cluster
from controlplane.api.types import Conversion, Kind, Object, Strategy

RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_ORIGINAL = {core: name for name, core in RENAMED.items()}
_UNSET = ("deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount", "deprecatedSource")
_FIELDS = {"involvedObject": "regarding", "reportingComponent": "reportingController"}


def _to_stored(obj: Object) -> Object:
    renamed = {RENAMED.get(name, name): value for name, value in obj.items()}
    return renamed | {"apiVersion": EVENT.api_version, "kind": EVENT.name}


def _from_stored(obj: Object) -> Object:
    renamed = {_ORIGINAL.get(name, name): value for name, value in obj.items()}
    return renamed | {"apiVersion": EVENTS_EVENT.api_version, "kind": EVENTS_EVENT.name}


def _validate(obj: Object) -> list[FieldError]:
    """What this version asks for beyond the checks of the stored form."""
    errors = [] if obj.get("eventTime") else [required("eventTime")]
    if obj.get("type") not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {obj.get('type', '')}"))
    return errors + [invalid(RENAMED[name], "", "needs to be unset") for name in _UNSET if obj.get(name)]


def _fields(obj: Object) -> dict[str, str]:
    found = EVENT.strategy.fields(_to_stored(obj))
    renamed = {}
    for name, value in found.items():
        first, dot, rest = name.partition(".")
        renamed[_FIELDS.get(first, first) + dot + rest] = value
    return renamed


EVENTS_EVENT = Kind(
    group="events.k8s.io",
    version="v1",
    name="Event",
    plural="events",
    definition="io.k8s.api.events.v1.Event",
    short_names=("ev",),
    put_creates=True,
    strategy=Strategy(
        validate=_validate,
        validate_update=meta.validate_update,
        fields=_fields,
        columns=cluster.EVENT_COLUMNS,
        row=lambda obj, now: cluster.event_row(_to_stored(obj), now),
    ),
    conversion=Conversion(_to_stored, _from_stored, EVENT),
)
