"""Roles and ClusterRoles: rules that say what may be done, given to nobody yet."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.field import required
from controlplane.api.printing import rbac as printing
from controlplane.api.rules.rbac import GROUP, rbac_name, validate_rules
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Kind, Object, Strategy

NO_SELECTOR = "at least one clusterRoleSelector required if aggregationRule is non-nil"


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, rbac_name) + validate_rules(obj, namespaced=True)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + validate_rules(new, namespaced=True)


def _validate_cluster_role(obj: Object) -> list[FieldError]:
    return meta.validate(obj, rbac_name, namespaced=False) + _validate_cluster_rules(obj)


def _validate_cluster_role_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + _validate_cluster_rules(new)


def _validate_cluster_rules(obj: Object) -> list[FieldError]:
    errors = validate_rules(obj, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return errors
    path = "aggregationRule.clusterRoleSelectors"
    selectors = aggregation.get("clusterRoleSelectors", ())
    if not selectors:
        errors.append(required(path, NO_SELECTOR))
    for index, selector in enumerate(selectors):
        errors += validate_selector(selector, f"{path}[{index}]")
    return errors


ROLE = Kind(
    group=GROUP,
    version="v1",
    name="Role",
    plural="roles",
    definition="io.k8s.api.rbac.v1.Role",
    put_creates=True,
    strategy=Strategy(
        validate=_validate,
        validate_update=_validate_update,
        columns=printing.ROLE_COLUMNS,
        row=printing.role_row,
    ),
)

CLUSTER_ROLE = Kind(
    group=GROUP,
    version="v1",
    name="ClusterRole",
    plural="clusterroles",
    definition="io.k8s.api.rbac.v1.ClusterRole",
    namespaced=False,
    put_creates=True,
    strategy=Strategy(
        validate=_validate_cluster_role,
        validate_update=_validate_cluster_role_update,
        columns=printing.ROLE_COLUMNS,
        row=printing.role_row,
    ),
)
