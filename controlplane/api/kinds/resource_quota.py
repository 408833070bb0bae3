"""ResourceQuotas."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.rules.quota import validate_amounts, validate_scope_selector, validate_scopes
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    hard = spec.get("hard", {})
    errors = validate_amounts(hard, "spec.hard")
    errors += validate_scopes(spec.get("scopes", ()), hard, "spec.scopes")
    return errors + validate_scope_selector(spec.get("scopeSelector", {}), hard, "spec.scopeSelector")


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    if set(new["spec"].get("scopes", ())) != set(old["spec"].get("scopes", ())):
        errors.append(invalid("spec.scopes", new["spec"].get("scopes", []), IMMUTABLE))
    return errors


def _validate_status(new: Object, _old: Object) -> list[FieldError]:
    status = new.get("status", {})
    return validate_amounts(status.get("hard", {}), "status.hard") + validate_amounts(
        status.get("used", {}), "status.used"
    )


RESOURCE_QUOTA = Kind(
    group="",
    version="v1",
    name="ResourceQuota",
    plural="resourcequotas",
    definition="io.k8s.api.core.v1.ResourceQuota",
    short_names=("quota",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=_validate_update,
        validate_status_update=_validate_status,
        columns=quota.QUOTA_COLUMNS,
        row=quota.quota_row,
    ),
)
