"""MutatingAdmissionPolicies and their bindings."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import extensions
from controlplane.api.rules import admission_policies as policies
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _policy(obj: Object) -> list[FieldError]:
    return policies.validate_policy(obj["spec"]) + policies.validate_mutations(obj["spec"])


def _binding(obj: Object) -> list[FieldError]:
    return policies.validate_binding(obj["spec"])


MUTATING_ADMISSION_POLICY = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    definition="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    namespaced=False,
    categories=("api-extensions",),
    strategy=Strategy(
        default=policies.default_policy,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _policy, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _policy(new),
        warnings=kind_warnings,
        columns=extensions.MUTATING_POLICY_COLUMNS,
        row=extensions.mutating_policy_row,
    ),
)

MUTATING_ADMISSION_POLICY_BINDING = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    definition="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    namespaced=False,
    categories=("api-extensions",),
    strategy=Strategy(
        default=policies.default_binding,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _binding, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _binding(new),
        warnings=kind_warnings,
        columns=extensions.POLICY_BINDING_COLUMNS,
        row=extensions.policy_binding_row,
    ),
)
