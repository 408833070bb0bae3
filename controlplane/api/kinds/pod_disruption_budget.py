"""PodDisruptionBudgets."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

POD_DISRUPTION_BUDGET = Kind(
    group="policy",
    version="v1",
    name="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    definition="io.k8s.api.policy.v1.PodDisruptionBudget",
    short_names=("pdb",),
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=quota.BUDGET_COLUMNS,
        row=quota.budget_row,
    ),
)
