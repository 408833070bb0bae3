"""StatefulSets."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported
from controlplane.api.printing import workloads
from controlplane.api.rules import workload
from controlplane.api.rules.claims import default_claim_spec, validate_claim_spec
from controlplane.api.rules.numbers import count_or_percent, non_negative
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import template_warnings

DEFAULT_HISTORY = 10
RETENTION = ("Delete", "Retain")
CHANGEABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _default(obj: Object) -> None:
    workload.default_workload(obj)
    spec = obj["spec"]
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
        strategy["rollingUpdate"].setdefault("maxUnavailable", 1)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for name in ("whenDeleted", "whenScaled"):
        if not retention.get(name):
            retention[name] = "Retain"
    spec.setdefault("revisionHistoryLimit", DEFAULT_HISTORY)
    for template in spec.get("volumeClaimTemplates", ()):
        template.setdefault("apiVersion", "v1")
        template.setdefault("kind", "PersistentVolumeClaim")
        template.setdefault("metadata", {})
        default_claim_spec(template.setdefault("spec", {}))
        template.setdefault("status", {}).setdefault("phase", "Pending")


def _prepare_create(obj: Object) -> None:
    workload.prepare_create(obj)
    obj["status"] = {"replicas": 0, "availableReplicas": 0}


def _validate_spec(spec: dict[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = spec["podManagementPolicy"]
    if policy not in ("OrderedReady", "Parallel"):
        errors.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    errors += _validate_strategy(spec["updateStrategy"], "spec.updateStrategy")
    for name, value in spec["persistentVolumeClaimRetentionPolicy"].items():
        if value not in RETENTION:
            errors.append(not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{name}", value, RETENTION))
    errors += non_negative(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    errors += non_negative(spec.get("ordinals", {}), "spec.ordinals", "start")
    service = spec.get("serviceName")
    if service:
        errors += invalid_each("spec.serviceName", service, names.dns1123_label(service))
    for index, template in enumerate(spec.get("volumeClaimTemplates", ())):
        errors += validate_claim_spec(template["spec"], f"spec.volumeClaimTemplates[{index}].spec")
    errors += workload.validate_selector_given(spec, "statefulset")
    return errors + workload.validate_template_for(_with_claims(spec), "StatefulSet")


def _with_claims(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec` with the claims of its templates among the volumes, as its pods have them."""
    names = [one["metadata"].get("name", "") for one in spec.get("volumeClaimTemplates", ())]
    if not names:
        return spec
    inner = spec["template"]["spec"]
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    kept = [volume for volume in inner.get("volumes", ()) if volume.get("name") not in names]
    return {**spec, "template": {**spec["template"], "spec": {**inner, "volumes": [*kept, *claims]}}}


def _validate_strategy(strategy: dict[str, Any], path: str) -> list[FieldError]:
    rolling = strategy.get("rollingUpdate")
    inner = f"{path}.rollingUpdate"
    if strategy["type"] == "OnDelete":
        text = "only allowed for updateStrategy 'RollingUpdate'"
        return [invalid(inner, rolling, text)] if rolling is not None else []
    if strategy["type"] != "RollingUpdate":
        return [invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    if rolling is None:
        return []
    errors = non_negative(rolling, inner, "partition")
    unavailable = rolling["maxUnavailable"]
    wrong = count_or_percent(unavailable, f"{inner}.maxUnavailable")
    if not wrong and unavailable in (0, "0%"):
        wrong = [invalid(f"{inner}.maxUnavailable", unavailable, "cannot be 0")]
    if not wrong and isinstance(unavailable, str) and int(unavailable.removesuffix("%")) > 100:
        wrong = [invalid(f"{inner}.maxUnavailable", unavailable, "must not be greater than 100%")]
    return errors + wrong


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_label) + _validate_spec(obj["spec"])


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["spec"] == old["spec"]:
        return errors
    errors += _validate_spec(new["spec"])
    kept, before = ({k: v for k, v in obj["spec"].items() if k not in CHANGEABLE} for obj in (new, old))
    if kept != before:
        *first, last = (f"'{name}'" for name in CHANGEABLE)
        text = f"updates to statefulset spec for fields other than {', '.join(first)} and {last} are forbidden"
        errors.append(forbidden("spec", text))
    return errors


STATEFUL_SET = Kind(
    group="apps",
    version="v1",
    name="StatefulSet",
    plural="statefulsets",
    definition="io.k8s.api.apps.v1.StatefulSet",
    short_names=("sts",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=workload.prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=template_warnings,
        columns=workloads.STATEFUL_SET_COLUMNS,
        row=workloads.stateful_set_row,
    ),
)
