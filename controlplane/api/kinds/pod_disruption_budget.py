"""PodDisruptionBudgets."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, not_supported
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.rules.numbers import count_or_percent, non_negative
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Kind, Object, Strategy

POLICIES = ("AlwaysAllow", "IfHealthyBudget")
COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _prepare_create(obj: Object) -> None:
    lifecycle.first_generation(obj)
    obj["status"] = dict.fromkeys(COUNTS, 0)


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        errors.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            errors += _validate_share(spec[name], f"spec.{name}")
    if "selector" in spec:
        errors += validate_selector(spec["selector"], "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in POLICIES:
        errors.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, POLICIES))
    return errors


def _validate_share(value: int | str, path: str) -> list[FieldError]:
    errors = count_or_percent(value, path)
    if not errors and isinstance(value, str) and int(value.removesuffix("%")) > 100:
        errors.append(invalid(path, value, "must not be greater than 100%"))
    return errors


def _validate_status(new: Object, _old: Object) -> list[FieldError]:
    return non_negative(new.get("status", {}), "status", *COUNTS)


POD_DISRUPTION_BUDGET = Kind(
    group="policy",
    version="v1",
    name="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    definition="io.k8s.api.policy.v1.PodDisruptionBudget",
    short_names=("pdb",),
    subresources=("status",),
    needs_version=True,
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        validate_status_update=_validate_status,
        columns=quota.BUDGET_COLUMNS,
        row=quota.budget_row,
    ),
)
