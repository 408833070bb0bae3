"""RoleBindings and ClusterRoleBindings: who has a role, in one namespace or everywhere."""

from __future__ import annotations

from functools import partial

from controlplane.api.printing import rbac as printing
from controlplane.api.rules.rbac import GROUP, default_binding, validate_binding, validate_binding_update
from controlplane.api.types import Kind, Strategy

ROLE_BINDING = Kind(
    group=GROUP,
    version="v1",
    name="RoleBinding",
    plural="rolebindings",
    definition="io.k8s.api.rbac.v1.RoleBinding",
    put_creates=True,
    strategy=Strategy(
        default=default_binding,
        validate=partial(validate_binding, namespaced=True),
        validate_update=partial(validate_binding_update, namespaced=True),
        columns=printing.BINDING_COLUMNS,
        row=printing.binding_row,
    ),
)

CLUSTER_ROLE_BINDING = Kind(
    group=GROUP,
    version="v1",
    name="ClusterRoleBinding",
    plural="clusterrolebindings",
    definition="io.k8s.api.rbac.v1.ClusterRoleBinding",
    namespaced=False,
    put_creates=True,
    strategy=Strategy(
        default=default_binding,
        validate=partial(validate_binding, namespaced=False),
        validate_update=partial(validate_binding_update, namespaced=False),
        columns=printing.BINDING_COLUMNS,
        row=printing.binding_row,
    ),
)
